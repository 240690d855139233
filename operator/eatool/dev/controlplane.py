"""etcd and kube-apiserver, started and stopped together.

There is no controller manager, no scheduler and no node, which has consequences:

- Deleting a namespace marks it and leaves its content; nothing finalizes it.
- Namespaces get no `default` service account, so the ServiceAccount admission plugin is off.
- Owner references are recorded and never garbage-collected; pods stay Pending.

Custom resources, finalizers, admission policies, RBAC, tokens and watches are the real thing.
"""

from __future__ import annotations

import fcntl
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from eatool.dev.apiclient import ApiClient
from eatool.dev.binaries import Binaries, find_binaries
from eatool.dev.certificates import CertificateAuthority, KeyPair, private_key, write_private
from eatool.dev.commands import ADDRESS, etcd_command, kube_apiserver_command
from eatool.dev.kubeconfig import Token, write_kubeconfig
from eatool.dev.ports import free_port
from eatool.dev.processes import Server

_READY_SECONDS = 120.0
_REPORT_SECONDS = 5.0
# Keeps no state, and would wait a minute for the last watch to end.
_API_SERVER_PATIENCE = 2.0
_ETCD_PATIENCE = 10.0
_PORT_ATTEMPTS = 5

Report = Callable[[str], None]


class ControlPlaneError(RuntimeError):
    """The control plane did not start; the message ends with the log."""


class _PortTakenError(Exception):
    """Somebody took the port between our look and the server's bind."""


def _silent(_: str) -> None:
    pass


class ControlPlane:
    """A control plane that keeps everything it has in one directory.

    `fast` gives up durability: etcd never waits for the disk. For tests.
    `die_with_parent` ties the servers to the thread that starts them; without it they
    stay until `stop` is called, from this process or another.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fast: bool = False,
        die_with_parent: bool = False,
        binaries: Binaries | None = None,
    ) -> None:
        self.directory = directory.expanduser().resolve()
        self.etcd = Server("etcd", self.directory)
        self.kube_apiserver = Server("kube-apiserver", self.directory)
        self._fast = fast
        self._die_with_parent = die_with_parent
        self._binaries = binaries

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address of the API server; the same after a restart unless its port was taken."""
        return f"https://{ADDRESS}:{self._port_file.read_text().strip()}"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of a cluster administrator."""
        return self.directory / "admin.kubeconfig"

    @property
    def ca(self) -> Path:
        """Certificate that vouches for the API server."""
        return self._pki / "ca.crt"

    @property
    def running(self) -> bool:
        """Whether both servers run."""
        return self.etcd.pid is not None and self.kube_apiserver.pid is not None

    def start(self, report: Report = _silent) -> bool:
        """Start what is not there and wait until it is ready; False if it already was."""
        binaries = self._binaries or find_binaries()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)
        with self._locked():
            if self.running and self._is_ready():
                return False
            self._stop_servers()  # one of the two may have survived a crash of the other
            self._prepare()
            try:
                self._start_etcd(binaries)
                self._start_api_server(binaries, report)
                self._write_admin_kubeconfig()
            except BaseException:
                self._stop_servers()
                raise
        return True

    def stop(self) -> bool:
        """Stop both servers; False if neither ran. What they stored stays."""
        if not self.directory.is_dir():
            return False
        with self._locked():
            return self._stop_servers()

    def erase(self) -> None:
        """Stop, and forget everything that was stored."""
        if not self.directory.is_dir():
            return
        with self._locked():
            self._stop_servers()
            # Only what we made: the directory is the user's choice, and might be their home.
            for directory in (self.directory / "etcd", self._pki, self._users):
                shutil.rmtree(directory, ignore_errors=True)
            for file in (self._port_file, self.kubeconfig, self.etcd.log, self.kube_apiserver.log):
                file.unlink(missing_ok=True)

    def client(self, *, token: str | None = None) -> ApiClient:
        """Connect as the administrator, or as the owner of a token."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if token is None:
            context.load_cert_chain(*self.admin_certificate)
        return ApiClient(self.url, context, token)

    @property
    def admin_certificate(self) -> tuple[Path, Path]:
        """Certificate and key files of the administrator."""
        return self._pki / "admin.crt", self._pki / "admin.key"

    def authority(self) -> CertificateAuthority:
        """Sign certificates that the API server, and clients of this control plane, accept."""
        return CertificateAuthority.load_or_create(self._pki)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Issue a client certificate for a user; what they may do is up to RBAC."""
        return write_kubeconfig(
            self._users / f"{user.replace('/', '_')}.kubeconfig",
            server=self.url,
            ca=self.ca.read_bytes(),
            user=user,
            credentials=self.authority().client(user, groups),
        )

    def service_account_token(self, namespace: str, name: str, *, seconds: int = 3600) -> str:
        """Request a token of an existing service account (TokenRequest, at least 600 seconds)."""
        answer = self.client().call(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )
        return str(answer["status"]["token"])

    def service_account_kubeconfig(self, namespace: str, name: str, *, seconds: int = 3600) -> Path:
        """Write a kubeconfig that acts as an existing service account."""
        return write_kubeconfig(
            self._users / f"{namespace}.{name}.serviceaccount.kubeconfig",
            server=self.url,
            ca=self.ca.read_bytes(),
            user=f"system:serviceaccount:{namespace}:{name}",
            credentials=Token(self.service_account_token(namespace, name, seconds=seconds)),
        )

    @property
    def _pki(self) -> Path:
        return self.directory / "pki"

    @property
    def _users(self) -> Path:
        return self.directory / "users"

    @property
    def _port_file(self) -> Path:
        return self.directory / "port"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep two `up` or `down` of one directory from crossing each other."""
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prepare(self) -> None:
        """Issue certificates: one authority for the life of the directory, the rest afresh."""
        self._pki.mkdir(exist_ok=True)
        self._users.mkdir(exist_ok=True)
        authority = self.authority()
        names = (ADDRESS, "localhost", "kubernetes", "kubernetes.default.svc")
        authority.serving(names).write(self._pki, "apiserver")
        authority.client("admin", ["system:masters"]).write(self._pki, "admin")
        if not (self._pki / "sa.key").exists():  # tokens, too, outlive a restart
            write_private(self._pki / "sa.key", private_key())

    def _start_etcd(self, binaries: Binaries) -> None:
        command = etcd_command(binaries.etcd, self.directory, fast=self._fast)
        self.etcd.spawn(command, die_with_parent=self._die_with_parent)

    def _start_api_server(self, binaries: Binaries, report: Report) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            port = free_port(self._port_file if attempt == 0 else None)
            write_private(self._port_file, f"{port}\n".encode())
            command = kube_apiserver_command(binaries.kube_apiserver, self._pki, port)
            self.kube_apiserver.spawn(command, die_with_parent=self._die_with_parent)
            try:
                self._await_ready(report)
            except _PortTakenError:
                report(f"port {port} was taken, trying another")
                self.kube_apiserver.stop(_API_SERVER_PATIENCE)
                continue
            return
        raise ControlPlaneError(f"no free port in {_PORT_ATTEMPTS} attempts")

    def _write_admin_kubeconfig(self) -> None:
        """Last, when the port is certain."""
        certificate, key = self.admin_certificate
        write_kubeconfig(
            self.kubeconfig,
            server=self.url,
            ca=self.ca.read_bytes(),
            user="admin",
            credentials=KeyPair(certificate.read_bytes(), key.read_bytes()),
        )

    def _await_ready(self, report: Report) -> None:
        started = reported = time.monotonic()
        while not self._is_ready():
            self._check_alive()
            now = time.monotonic()
            if now - started > _READY_SECONDS:
                raise self._failure(self.kube_apiserver, f"is not ready after {now - started:.0f}s")
            if now - reported > _REPORT_SECONDS:
                reported = now
                report(f"waiting for the API server, {now - started:.0f}s")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        """Ask as the administrator: RBAC lets nobody else in before it has its own roles."""
        try:
            return self.client().request("GET", "/readyz").status == HTTPStatus.OK
        except OSError:
            return False

    def _check_alive(self) -> None:
        if self.kube_apiserver.pid is None:
            if "address already in use" in self.kube_apiserver.log_tail(50):
                raise _PortTakenError
            raise self._failure(self.kube_apiserver, "ended")
        if self.etcd.pid is None:
            raise self._failure(self.etcd, "ended")

    def _failure(self, server: Server, what: str) -> ControlPlaneError:
        return ControlPlaneError(
            f"{server.name} {what}; the end of {server.log}:\n{server.log_tail()}"
        )

    def _stop_servers(self) -> bool:
        """The API server first: it would complain about a missing etcd until it is killed."""
        stopped = [
            self.kube_apiserver.stop(_API_SERVER_PATIENCE),
            self.etcd.stop(_ETCD_PATIENCE),
        ]
        return any(stopped)
