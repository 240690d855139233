"""Fold events into rows: the one definition of a read model's content.

Pure, so that whatever folds the log gets the same rows. Every value comes from the events,
times included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eatool.domain.identity import EntityRef
from eatool.projections.tables import ReadTable
from eatool.store.port import RecordedEvent

#: Column values of one row. ``created_at`` is ``None`` when the folded events do not tell.
Row = dict[str, Any]


def fold_rows(
    events: Iterable[RecordedEvent], tables: Mapping[str, ReadTable]
) -> dict[str, list[Row]]:
    """The newest row of every entity that ``events`` (in log order) are about.

    Events are full snapshots, so the last one of an entity says all but when it was created.

    Returns:
        rows by aggregate type, in order of their entities' first event. Streams of other
        aggregate types are passed over.

    """
    last: dict[EntityRef, RecordedEvent] = {}
    created: dict[EntityRef, RecordedEvent] = {}
    for event in events:
        ref = event.ref
        read = tables.get(ref.aggregate_type)
        if read is None:
            continue
        last[ref] = event
        if event.type == read.created_type:
            created[ref] = event
    rows: dict[str, list[Row]] = {}
    for ref, event in last.items():
        read = tables[ref.aggregate_type]
        birth = created.get(ref)
        rows.setdefault(ref.aggregate_type, []).append(
            {
                "namespace": ref.namespace,
                "id": ref.name,
                "uid": event.metadata["uid"],
                "version": event.version,
                "created_at": birth.recorded_at if birth else None,
                "updated_at": event.recorded_at,
                "deleted_at": event.recorded_at if event.type == read.deleted_type else None,
                "position": event.position,
                "event_id": event.event_id,
                "generation": event.metadata["generation"],
                **read.spec_values(event.data["entity"]),
            }
        )
    return rows
