"""Importing the Solace client library, which costs memory and time and takes over logging."""

from __future__ import annotations

import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, Final

_LOGGER: Final = "solace.messaging"
_importing: Final = Lock()


@cache
def load_client() -> Any:
    """The module ``eatool.publishing.solace_client``, imported at the first call.

    ImportError when ``solace-pubsubplus`` is not installed.
    """
    with _importing, _logging_kept():
        return import_module("eatool.publishing.solace_client")


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Ignore the library's logging configuration, whatever else is configured meanwhile.

    On import it calls ``dictConfig``, which closes every handler of the process and sends the
    library's own records to standard output.
    """
    configure = logging.config.dictConfig

    def guarded(config: Any) -> None:
        if _LOGGER in config.get("loggers", {}):
            # It warns of what it also raises, and that the relay tells in its own words.
            logging.getLogger(_LOGGER).setLevel(logging.ERROR)
        else:
            configure(config)

    logging.config.dictConfig = guarded
    try:
        yield
    finally:
        logging.config.dictConfig = configure
