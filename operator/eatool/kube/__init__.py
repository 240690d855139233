"""The operator's side that talks Kubernetes; the only package that imports kopf."""
