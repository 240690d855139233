"""What a command came to, as it is stored with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticSerializationError

from eatool.domain.errors import FieldError
from eatool.store.port import InvalidEvent


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Complaint(_Result):
    """A :class:`~eatool.domain.errors.FieldError` on its way to whoever asked."""

    field: str
    code: str
    message: str


class Recorded(_Result):
    """In the log: ``version`` of the stream afterwards, positions of the first and last event."""

    kind: Literal["Recorded"] = "Recorded"
    version: int
    first_position: int
    last_position: int


class Unchanged(_Result):
    """The entity already was as desired; version 0 when it was never recorded."""

    kind: Literal["Unchanged"] = "Unchanged"
    version: int


class Refused(_Result):
    """The domain's answer is no. The log is untouched, and asking again changes nothing.

    Unless one of ``blocked_by`` (stream ids) changes: see ``CommandQueue.wake``.
    """

    kind: Literal["Refused"] = "Refused"
    errors: tuple[Complaint, ...]
    blocked_by: tuple[str, ...] = ()


class Outdated(_Result):
    """The log knows more of the object than this command: a newer generation, or incarnation."""

    kind: Literal["Outdated"] = "Outdated"


class Awaiting(_Result):
    """Undecided until ``missing`` (stream ids) are recorded. The command is not finished."""

    kind: Literal["Awaiting"] = "Awaiting"
    errors: tuple[Complaint, ...]
    missing: tuple[str, ...]


Result = Annotated[
    Recorded | Unchanged | Refused | Outdated | Awaiting, Field(discriminator="kind")
]

_RESULT: TypeAdapter[Result] = TypeAdapter(Result)


def dump(result: Result) -> str:
    """The stored form; ``InvalidEvent`` when there is none."""
    try:
        return _RESULT.dump_json(result).decode()
    except PydanticSerializationError as error:  # half a surrogate pair, quoted in a complaint
        raise InvalidEvent("the result cannot be stored") from error


def load(text: str) -> Result:
    """The way back."""
    return _RESULT.validate_json(text)


def complaints(errors: Iterable[FieldError]) -> tuple[Complaint, ...]:
    """Field errors of the domain in their stored form."""
    return tuple(
        Complaint(field=each.field, code=each.code.value, message=each.message) for each in errors
    )
