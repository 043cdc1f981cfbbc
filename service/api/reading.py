"""JSON values to request schemas, with errors in this service's words: the field, what was expected, what came."""

from __future__ import annotations

import re
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from service.errors import InvalidInput

_MAX_CHARS = 64  # of foreign text in a message

Schema = TypeVar("Schema", bound=BaseModel)


def read(schema: type[Schema], data: object, parent: str) -> Schema:
    """`data` as `schema`.

    Args:
        schema: a request schema.
        data: a JSON value.
        parent: path of `data` in the request, empty for the body itself.

    Raises:
        InvalidInput: the first thing that does not fit.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path, kind = first["loc"], first["type"]
        field = _join(parent, path) or "body"
        if kind == "extra_forbidden":
            known = ", ".join(_fields(schema, path[:-1]))
            raise InvalidInput(field, f"only the fields {known}", "an unknown field") from None
        if kind == "missing":
            raise InvalidInput(field, "a value", "nothing") from None
        raise InvalidInput(field, _expected(kind, first["msg"]), shown(first["input"])) from None


def shown(value: object) -> str:
    """A JSON value, short enough for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case str() if len(value) > _MAX_CHARS:
            return f"{value[:_MAX_CHARS]!r}... of {len(value)} characters"
        case _:
            return repr(value)[:_MAX_CHARS]


def _join(parent: str, path: tuple[int | str, ...]) -> str:
    for step in path:
        parent += f"[{step}]" if isinstance(step, int) else f".{step[:_MAX_CHARS]}"
    return parent.removeprefix(".")


def _expected(kind: str, message: str) -> str:
    """Pydantic's "Input should be a valid string" in the form "a valid string"."""
    if kind in ("model_type", "model_attributes_type"):
        return "an object"
    words = re.sub(r"^\w+ should (be|have) ", "", message)
    return re.sub(r" after validation.*$", "", words)


def _fields(schema: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields at `path` within `schema`."""
    for step in path:
        annotation: Any = schema.model_fields[step].annotation if isinstance(step, str) else None
        schema = next(part for part in (annotation, *get_args(annotation)) if _is_schema(part))
    return list(schema.model_fields)


def _is_schema(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
