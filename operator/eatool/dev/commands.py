"""The command lines of the two servers."""

from __future__ import annotations

from pathlib import Path

ADDRESS = "127.0.0.1"
# Relative to the directory both servers run in: a socket path may not exceed 108 bytes. etcd
# wants a port in the name. A socket in a 0700 directory keeps other users of this machine out
# of etcd, which would otherwise be a way around RBAC.
_ETCD_CLIENTS = "unix://etcd.sock:0"
_ETCD_PEERS = "unix://etcd-peers.sock:0"


def etcd_command(binary: Path, directory: Path, *, fast: bool) -> list[str]:
    """Run etcd as its own only member; `fast` gives up durability."""
    command = [
        str(binary),
        f"--data-dir={directory}/etcd",
        "--name=eatool-dev",
        "--initial-cluster=eatool-dev=http://localhost:2380",  # a name only: it has no peers
        f"--listen-client-urls={_ETCD_CLIENTS}",
        f"--advertise-client-urls={_ETCD_CLIENTS}",
        f"--listen-peer-urls={_ETCD_PEERS}",
        "--log-level=warn",
    ]
    return [*command, "--unsafe-no-fsync"] if fast else command


def kube_apiserver_command(binary: Path, pki: Path, port: int) -> list[str]:
    """Run kube-apiserver with RBAC, and with tokens it signs itself."""
    return [
        str(binary),
        f"--etcd-servers={_ETCD_CLIENTS}",
        f"--bind-address={ADDRESS}",
        f"--advertise-address={ADDRESS}",
        f"--secure-port={port}",
        "--endpoint-reconciler-type=none",  # a loopback address may not be an endpoint
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--service-account-key-file={pki}/sa.key",
        "--authorization-mode=RBAC",  # not Node: there are no nodes
        # Pods would need the service accounts that only a controller manager creates.
        "--disable-admission-plugins=ServiceAccount",
        "--profiling=false",
    ]
