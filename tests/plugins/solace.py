"""Stand-ins of a Solace broker: one of its own for each test, or a real one where there is one.

The real client library talks to them over a socket. Without it the tests say loudly that they
did not run; with ``EATOOL_REQUIRE_SOLACE=1`` they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from eatool.dev.certificates import CertificateAuthority
from eatool.dev.smf import Access, SmfBroker
from eatool.dev.smf.process import BrokerProcess, TlsFiles

HINT: Final = "client library of Solace not found: pip install 'eatool-operator[solace]'"
_OTHER_HOST: Final = "broker.test"


@dataclass(frozen=True)
class SolaceAddress:
    """Where a broker is and how to log in."""

    url: str
    vpn: str
    username: str
    password: str
    trust: Path | None = None
    """Folder of certificates to trust; None: not over TLS."""

    @classmethod
    def of(cls, broker: SmfBroker | BrokerProcess, access: Access | None = None) -> SolaceAddress:
        """A stand-in's; ``access`` as it was given."""
        access = access or Access()
        username, password = next(iter(access.users.items()))
        return cls(broker.url, access.vpn, username, password)


@dataclass(frozen=True)
class SolaceTls:
    """PEM files. The client library wants a folder of certificates to trust, not a file."""

    server: TlsFiles
    """Valid for 127.0.0.1 and localhost."""
    misnamed: TlsFiles
    """Valid for another host."""
    client: Path
    client_key: Path
    trust: Path
    trust_nobody: Path

    @classmethod
    def create(cls, folder: Path) -> SolaceTls:
        """Make all of them."""
        authority = CertificateAuthority.create("test CA")
        trust, nobody = folder / "trust", folder / "nobody"
        trust.mkdir(parents=True)
        nobody.mkdir()
        ca = trust / "ca.pem"
        ca.write_bytes(authority.pair.certificate)
        server = authority.serving(["127.0.0.1", "localhost"]).write(folder, "server")
        misnamed = authority.serving([_OTHER_HOST]).write(folder, "misnamed")
        client, client_key = authority.client("relay").write(folder, "client")
        return cls(
            server=TlsFiles(*server, client_ca=ca),
            misnamed=TlsFiles(*misnamed, client_ca=ca),
            client=client,
            client_key=client_key,
            trust=trust,
            trust_nobody=nobody,
        )


#: Makes a started stand-in with a test's own settings, those of its class.
MakeSolace = Callable[..., SmfBroker]
MakeSolaceProcess = Callable[..., BrokerProcess]


@pytest.fixture
def solace_client_library() -> None:
    """Nothing of Solace can be tested without it."""
    if find_spec("solace") is None:
        if os.environ.get("EATOOL_REQUIRE_SOLACE") == "1":
            pytest.fail(HINT)
        pytest.skip(f"NOT RUN: {HINT}")


@pytest.fixture
def make_solace(solace_client_library: None) -> Iterator[MakeSolace]:
    """Stand-ins with a test's own settings, in threads; all are stopped afterwards."""
    made: list[SmfBroker] = []

    def make(**settings: Any) -> SmfBroker:
        broker = SmfBroker(**settings)
        broker.start()
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def solace(make_solace: MakeSolace) -> SmfBroker:
    """A running stand-in in a thread, that cuts, rejects, delays and tells what came."""
    return make_solace()


@pytest.fixture
def make_solace_process(tmp_path: Path, solace_client_library: None) -> Iterator[MakeSolaceProcess]:
    """Stand-ins with a test's own settings, as processes; all are killed afterwards."""
    made: list[BrokerProcess] = []

    def make(**settings: Any) -> BrokerProcess:
        folder = tmp_path / f"solace-{len(made)}"
        broker = BrokerProcess(folder, **settings)
        broker.start()
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def solace_process(make_solace_process: MakeSolaceProcess) -> BrokerProcess:
    """A running stand-in that can be killed and started again with what it had acknowledged."""
    return make_solace_process()


@pytest.fixture(scope="session")
def solace_tls(tmp_path_factory: pytest.TempPathFactory) -> SolaceTls:
    """Certificates of a server and a client."""
    return SolaceTls.create(tmp_path_factory.mktemp("solace-tls"))


@pytest.fixture
def solace_address(request: pytest.FixtureRequest, solace_client_library: None) -> SolaceAddress:
    """A real broker, if ``EATOOL_TEST_SOLACE_URL`` names one, else a stand-in.

    For tests that see only what a client sees. Further variables: ``..._VPN``,
    ``..._USERNAME``, ``..._PASSWORD`` and, for ``tcps``, ``..._TRUST``, a folder of PEM files.
    """
    url = os.environ.get("EATOOL_TEST_SOLACE_URL")
    if url is None:
        return SolaceAddress.of(request.getfixturevalue("solace"))
    trust = os.environ.get("EATOOL_TEST_SOLACE_TRUST")
    return SolaceAddress(
        url,
        vpn=os.environ.get("EATOOL_TEST_SOLACE_VPN", "default"),
        username=os.environ.get("EATOOL_TEST_SOLACE_USERNAME", "default"),
        password=os.environ.get("EATOOL_TEST_SOLACE_PASSWORD", "default"),
        trust=None if trust is None else Path(trust),
    )
