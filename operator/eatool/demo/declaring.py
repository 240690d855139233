"""The brokers of the demo as EventBrokers: the examples, with the addresses of today."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from eatool.demo.listening import DemoBroker


def write_manifests(brokers: Iterable[DemoBroker], examples: Path, folder: Path) -> None:
    """One file for each broker in ``folder``, to be applied with kubectl."""
    folder.mkdir(exist_ok=True)
    for broker in brokers:
        documents = list(yaml.safe_load_all((examples / broker.manifest).read_text()))
        for document in documents:
            if document["kind"] == "EventBroker":
                document["metadata"]["name"] = broker.name
                document["spec"] |= {"addresses": [broker.address], **broker.spec}
        (folder / f"{broker.name}.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
