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
  verbs: [list, watch, patch]
- apiGroups: [eatool.io]
  resources: {{- include "eatool.statuses" . | nindent 4 }}
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{- /* What the operator may do in its own namespace, where brokers are declared. */ -}}
{{- define "eatool.platformRules" -}}
- apiGroups: [platform.eatool.io]
  resources: [eventbrokers, eventreplays, parkedstreams]
  verbs: [list, watch]
- apiGroups: [platform.eatool.io]
  resources: [eventbrokers/status, eventreplays/status, parkedstreams/status]
  verbs: [patch]
# It makes and removes these itself: they show what a broker refuses.
- apiGroups: [platform.eatool.io]
  resources: [parkedstreams]
  verbs: [create, delete]
# Watched for changes only; read are those that an EventBroker names.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{- /* What the operator is configured with; extraEnv replaces entries by name. A second entry of the
       same name would be refused by a server-side apply, which Helm 4 does. */ -}}
{{- define "eatool.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: EATOOL_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: EATOOL_HTTP_PORT
  value: "8080"
- name: EATOOL_ENVIRONMENT
  value: {{ .Values.environment }}
- name: EATOOL_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
{{- if eq .Values.store.type "sqlite" }}
- name: EATOOL_STORE_URL
  value: sqlite:////var/lib/eatool/eatool.db
{{- end }}
{{- if eq .Values.store.type "postgresql" }}
- name: EATOOL_SECRETS_DIR
  value: /etc/eatool/secrets
{{- end }}
- name: EATOOL_ROLLOUT
  value: {{ .Values.rollout.enabled | quote }}
- name: EATOOL_ROLLOUT_INTERVAL
  value: {{ .Values.rollout.interval | quote }}
- name: EATOOL_LEGACY_NAMESPACE
  value: {{ .Values.rollout.legacyNamespace }}
- name: EATOOL_TRUSTED_ACTOR_ANNOTATION
  value: {{ .Values.admission.actorPolicy.enabled | quote }}
{{- with .Values.operator }}
- name: EATOOL_WORKERS
  value: {{ .workers | quote }}
- name: EATOOL_RESYNC_INTERVAL
  value: {{ .resyncInterval | quote }}
- name: EATOOL_REFERENCE_RETRY
  value: {{ .referenceRetry | quote }}
- name: EATOOL_LOG_LEVEL
  value: {{ .logLevel }}
- name: EATOOL_LOG_FORMAT
  value: {{ .logFormat }}
- name: EATOOL_POLICY_REQUIRE_REASON
  value: {{ join "," .policies.requireReason | quote }}
- name: EATOOL_POLICY_REQUIRE_APPROVAL
  value: {{ join "," .policies.requireApproval | quote }}
- name: EATOOL_POLICY_STRICT_LIFECYCLE
  value: {{ join "," .policies.strictLifecycle | quote }}
{{- end }}
{{- end }}
