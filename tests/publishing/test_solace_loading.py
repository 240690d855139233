"""What importing the client library costs those who do not use it, and those who do."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("solace_client_library")


def run(program: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter: imports happen once in a process."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_only_a_connection_imports_the_library() -> None:
    found = run(
        "import sys, eatool.publishing.solace, eatool.publishing.connecting\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'solace'])"
    )
    assert found.stdout == "[]\n"


def test_logging_stays_as_it_was_configured() -> None:
    """The library's own configuration would close our handler and write to standard output."""
    found = run(
        "import logging, logging.config\n"
        "from eatool.telemetry.logs import configure\n"
        "from eatool.publishing.solace_loading import load_client\n"
        "configure('info', 'json')\n"
        "before = (logging.config.dictConfig, list(logging.root.handlers), logging.root.level)\n"
        "listed = list(logging._handlerList)\n"
        "load_client()\n"
        "after = (logging.config.dictConfig, list(logging.root.handlers), logging.root.level)\n"
        "assert before == after and listed == logging._handlerList\n"
        "logging.getLogger('eatool.publishing').info('ours')\n"
        "logging.getLogger('solace.messaging.core').warning('told by the relay as well')\n"
        "logging.getLogger('solace.messaging.core.api').error('theirs')\n"
    )
    assert found.stdout == ""
    ours, theirs = found.stderr.splitlines()
    assert json.loads(ours)["message"] == "ours"
    assert json.loads(theirs)["logger"] == "solace.messaging.core.api"


def test_logging_may_be_configured_afterwards() -> None:
    run(
        "import logging, logging.config\n"
        "from eatool.publishing.solace_loading import load_client\n"
        "load_client()\n"
        "logging.config.dictConfig({'version': 1, 'root': {'level': 'ERROR'}})\n"
        "assert logging.root.level == logging.ERROR\n"
    )


def test_a_missing_library_is_a_lost_session_that_names_it() -> None:
    found = run(
        "import asyncio, sys\n"
        "sys.modules['solace'] = None\n"
        "from eatool.publishing.port import SessionLost\n"
        "from eatool.publishing.solace import SolacePublisher\n"
        "from eatool.publishing.solace_options import SolaceOptions\n"
        "async def main():\n"
        "    publisher = SolacePublisher(SolaceOptions('broker.test'))\n"
        "    try:\n"
        "        await publisher.connect()\n"
        "    except SessionLost as error:\n"
        "        print(error)\n"
        "    await publisher.close()\n"
        "asyncio.run(main())\n"
    )
    assert found.stdout == (
        "tcp://broker.test:55555: the package solace-pubsubplus is not installed\n"
    )
