"""A Kubernetes control plane on this machine: etcd and kube-apiserver, no nodes, no containers.

For trying the operator out, for its tests and for demonstrations. Nothing in here is imported
by the operator itself, and nothing in here imports another part of `eatool`.
"""
