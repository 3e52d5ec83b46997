"""Pages of a list: newest first, from the row where the last page ended. A cursor is a public id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query

from bursar.kernel import ids

ROWS = 50
NEWEST = UUID(int=2**128 - 1)
OLDEST = UUID(int=0)

Before = Annotated[str | None, Query(alias="before", max_length=64)]
"""The cursor of a page, as its address has it."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """Part of a list. after: the cursor of the next page; None at the end."""

    rows: tuple[Row, ...]
    after: str | None = None


def sliced(rows: Sequence[Row], cursors: Sequence[str], *, limit: int = ROWS) -> Slice[Row]:
    """Return the first `limit` of the rows. rows: read with one more than the limit; cursors: the id of each."""
    more = len(rows) > limit
    return Slice(tuple(rows[:limit]), cursors[limit - 1] if more else None)


def narrowed(columns: str, of: str) -> dict[tuple[bool, bool], str]:
    """Return a list's statements by which filters there are: a status, a customer. of: the short name of the table listed.

    Parameters: tenant, the id below which it begins, how many rows, and the filters' values.
    """
    end = f"order by {of}.id desc limit $3"
    return {
        (False, False): f"{columns} {end}",
        (True, False): f"{columns} and {of}.status = $4 {end}",
        (False, True): f"{columns} and {of}.customer_id = $4 {end}",
        (True, True): f"{columns} and {of}.status = $4 and {of}.customer_id = $5 {end}",
    }


def before(prefix: str, cursor: str | None) -> UUID:
    """Return the id below which a page begins. Raises IdInvalid."""
    return ids.parse(prefix, cursor) if cursor else NEWEST
