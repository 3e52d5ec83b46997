"""Pages of lists over HTTP: `limit` and `cursor` in, `{"data": […], "next_cursor": …}` out."""

from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bursar.kernel.http.inputs import Filters
from bursar.kernel.listing import ASKED, LIMIT_DEFAULT, LIMIT_MAX, CursorInvalid, Part, Slice, after_cursor, cursor

Item = TypeVar("Item")


def _cursor(text: object) -> UUID | None:
    try:
        return after_cursor(text) if isinstance(text, str) else None
    except CursorInvalid as error:
        raise PydanticCustomError("cursor_invalid", "This is not a cursor we gave") from error


Cursor = Annotated[
    UUID, BeforeValidator(_cursor, json_schema_input_type=Annotated[str, Field(pattern="^[A-Za-z0-9_-]{22}$")])
]


class PageFilters(Filters):
    """What every list takes."""

    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="Rows of a page.")
    cursor: Cursor | None = Field(default=None, description="`next_cursor` of the page before.")

    @property
    def slice(self) -> Slice:
        return Slice(self.limit, self.cursor)

    @property
    def given(self) -> dict[str, Any]:
        """The filters that were asked for, by name."""
        return {name: value for name, value in self if name not in ("limit", "cursor") and value is not None}


class DeletableFilters(PageFilters):
    """What every list of things that can be deleted takes."""

    include_deleted: bool = Field(default=False, description="List deleted ones too.")

    @property
    def given(self) -> dict[str, Any]:
        asked = {name: value for name, value in super().given.items() if name != "include_deleted"}
        return asked if self.include_deleted else asked | {"present": ASKED}


class Page(BaseModel, Generic[Item]):
    """A page of a list, newest first."""

    data: list[Item]
    next_cursor: str | None = Field(
        examples=["AZxyz3k0cD2f9a0b1c2d3Q"], description="Pass it as `cursor`; null on the last page."
    )


def page_of(part: Part[Item]) -> Page[Item]:
    """Return the answer for a part of a list."""
    return Page(data=list(part.rows), next_cursor=cursor(part.next_after) if part.next_after else None)
