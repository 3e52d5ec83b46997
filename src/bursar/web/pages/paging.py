"""Pages of a list: newest first, from the row where the last page ended. A cursor is a public id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from bursar.kernel import ids

ROWS = 50
NEWEST = UUID(int=2**128 - 1)
OLDEST = UUID(int=0)

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


def before(prefix: str, cursor: str | None) -> UUID:
    """Return the id below which a page begins. Raises IdInvalid."""
    return ids.parse(prefix, cursor) if cursor else NEWEST
