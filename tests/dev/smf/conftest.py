from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.solace import SolaceAddress

from eatool.dev.smf import SmfBroker
from eatool.dev.smf.process import BrokerProcess
from eatool.publishing.solace_loading import load_client

if TYPE_CHECKING:
    from tests.dev.smf.client import Client

Where = SolaceAddress | SmfBroker | BrokerProcess
Connect = Callable[..., "Client"]


@pytest.fixture
def library(solace_client_library: None) -> ModuleType:
    """tests/dev/smf/client.py, without the library's changes to logging."""
    load_client()
    from tests.dev.smf import client

    return client


@pytest.fixture
def connect(library: ModuleType) -> Iterator[Connect]:
    """``connect(broker, **options)``: a connected client, disconnected afterwards."""
    made: list[Client] = []

    def connect(where: Where, **options: Any) -> Client:
        made.append(library.Client(address_of(where), **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def refuse(library: ModuleType) -> Callable[..., str]:
    """``refuse(broker, **options)``: the error of a connection that must fail."""

    def refuse(where: Where, **options: Any) -> str:
        error: str = library.refusal(address_of(where), **options)
        return error

    return refuse


def address_of(where: Where) -> SolaceAddress:
    return where if isinstance(where, SolaceAddress) else SolaceAddress.of(where)
