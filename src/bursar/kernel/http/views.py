"""What we answer with: frozen, with ids in their public form outside and as UUIDs inside."""

from typing import Any, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict


class View(BaseModel):
    """A row as others see it. Queries return it, routes answer with it."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Return the view of a database row whose columns are named like its fields."""
        return cls.model_validate(dict(row))


def _decoded(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str) else value


FromJson = BeforeValidator(_decoded)
"""Annotates a field that the database gives as the text of a JSON value."""
