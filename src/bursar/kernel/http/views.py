"""What we answer with: frozen, with ids in their public form outside and as UUIDs inside."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """A row as others see it. Queries return it, routes answer with it, pages draw it."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def of(cls, row: Any) -> Self:
        """Return the view of a database row whose columns are named like its fields."""
        return cls.model_validate(dict(row))
