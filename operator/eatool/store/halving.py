"""One bad request must not keep its neighbours from being committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from eatool.store.port import StoreError, StoreUnavailable

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


def by_halves(
    commit: Callable[[Sequence[_Request]], Sequence[_Answer]], batch: Sequence[_Request]
) -> list[_Answer | StoreError]:
    """Commit a batch; a request that breaks it is found by halving, and gets the error.

    Raises :class:`~eatool.store.port.StoreUnavailable` when nothing was committed.
    """
    try:
        return list(commit(batch))
    except StoreUnavailable:
        raise
    except StoreError as error:
        if len(batch) == 1:
            return [error]
    middle = len(batch) // 2
    answers = by_halves(commit, batch[:middle])
    try:
        return answers + by_halves(commit, batch[middle:])
    except StoreUnavailable as error:
        return answers + [error] * (len(batch) - middle)
