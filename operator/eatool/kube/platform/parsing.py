"""From a body to the model its CustomResourceDefinition was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from eatool.domain.kind import SpecObject
from eatool.publishing.problems import SpecProblem

S = TypeVar("S", bound=SpecObject)


def spec_of(model: type[S], body: Mapping[str, Any]) -> S:
    """The spec of an object; :class:`SpecProblem` for the first complaint about it.

    The API server has checked the same schema, unless an older one is installed.
    """
    try:
        return model.model_validate(body.get("spec") or {}, by_alias=True, by_name=False)
    except ValidationError as invalid:
        first = invalid.errors()[0]
    path = "spec" + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]
    )
    raise SpecProblem(path, "InvalidSpec", first["msg"])
