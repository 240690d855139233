{{- define "eatool.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "eatool.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "eatool.name" . -}}
{{ ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "eatool.selector" -}}
app.kubernetes.io/name: {{ include "eatool.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "eatool.labels" -}}
{{ include "eatool.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: eatool-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "eatool.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "eatool.fullname" .) }}
{{- else -}}
{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "eatool.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "eatool.claim" -}}
{{ .Values.store.sqlite.existingClaim | default (printf "%s-log" (include "eatool.fullname" .)) }}
{{- end }}

{{- /* Plurals of the kinds, read from the generated CRDs: a new kind needs no edit here. */ -}}
{{- define "eatool.plurals" -}}
{{- if not (.Files.Glob "files/crds/eatool.io_*.yaml") }}
{{- fail "files/crds is empty: this copy of the chart lost its symbolic link. Use the packaged chart, or a checkout that keeps links." }}
{{- end }}
{{- range $path, $_ := .Files.Glob "files/crds/eatool.io_*.yaml" }}
- {{ ($.Files.Get $path | fromYaml).spec.names.plural }}
{{- end }}
{{- end }}

{{- define "eatool.statuses" -}}
{{- range $path, $_ := .Files.Glob "files/crds/eatool.io_*.yaml" }}
- {{ ($.Files.Get $path | fromYaml).spec.names.plural }}/status
{{- end }}
{{- end }}

{{- /* What the operator may do in a namespace it watches. */ -}}
{{- define "eatool.rules" -}}
- apiGroups: [eatool.io]
  resources: {{- include "eatool.plurals" . | nindent 4 }}
  # patch is for the finalizer; the operator never writes a spec.
  verbs: [get, list, watch, patch]
- apiGroups: [eatool.io]
  resources: {{- include "eatool.statuses" . | nindent 4 }}
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
