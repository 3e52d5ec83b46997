"""Lists: newest first, a page at a time, from the place where the last page ended.

A list's statement is put together from constants, and holds only the conditions that were asked for, so that each
combination has a plan of its own. A cursor is the id of the last row seen: no page costs more than the first.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid, NotFound

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200

ASKED: Final = object()
"""The value of a condition that takes no parameter."""

View = TypeVar("View")

_CLOCKS_APART: Final = timedelta(days=1)
"""How far the clock that makes ids and the one that stamps rows may be from one another."""

_BOUNDS: Final = {"since_id": "{key} >= {{}}", "until_id": "{key} < {{}}"}


class CursorInvalid(Invalid):
    """The cursor is not one that we gave."""

    code = "cursor_invalid"


class FilterNotFound(NotFound):
    """A filter names something that this tenant does not have."""

    code = "filter_not_found"


@dataclass(frozen=True, slots=True)
class Slice:
    """Which page: at most `limit` rows after the row `after`; None is the beginning."""

    limit: int = LIMIT_DEFAULT
    after: UUID | None = None


@dataclass(frozen=True, slots=True)
class Part(Generic[View]):
    """A page of a list. next_after: the row after which the next page begins; None on the last page."""

    rows: tuple[View, ...]
    next_after: UUID | None


@dataclass(frozen=True, slots=True)
class Listing:
    """One list's statement in its parts.

    select: `select … from payment p`, whose `p.tenant_id` is compared with $1. key: what it is sorted by, descending.
    always: conditions of every page. filters: conditions by name; `{}` stands for the parameter.
    refers: filters that name a row, and that row's table; a row that is not the tenant's is refused.
    stamped_by: whose clock the filters `since` and `until` compare with. Ids are made in the order of our time, and what
    a gateway tells of was made before we heard of it: so they bound how far such a filter has to read.
    """

    select: str
    key: str
    tenant: str
    always: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    refers: Mapping[str, str] = field(default_factory=dict)
    stamped_by: Literal["gateway", "us"] | None = None

    def statement(self, names: tuple[str, ...], *, is_first: bool) -> str:
        """Return the statement. $1 tenant, $2 limit, on later pages $3 the cursor, then one for each filter."""
        conditions = [f"{self.tenant} = $1", *self.always]
        number = 3
        if not is_first:
            conditions.append(f"{self.key} < $3")
            number = 4
        for name in names:
            condition = self.filters.get(name) or _BOUNDS[name].format(key=self.key)
            if "{}" in condition:
                conditions.append(condition.replace("{}", f"${number}"))
                number += 1
            else:
                conditions.append(condition)
        return f"{self.select}\nwhere {' and '.join(conditions)}\norder by {self.key} desc\nlimit $2"

    def statements(self) -> Iterator[str]:
        """Every statement with up to two filters, on first and later pages, for the test that prepares them."""
        for count in range(3):
            for names in combinations([*self.filters, *_BOUNDS], count):
                yield self.statement(names, is_first=True)
                yield self.statement(names, is_first=False)


async def part(
    tx: Transaction,
    listing: Listing,
    *,
    tenant_id: UUID,
    given: Mapping[str, Any],
    page: Slice,
    view: Callable[[Any], View],
) -> Part[View]:
    """Return one page. given: values by filter; None means not asked for, ASKED that the filter takes none.

    Raises FilterNotFound.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    for name in asked.keys() & listing.refers.keys():
        if not await tx.fetchval(existence(listing.refers[name]), tenant_id, asked[name]):
            raise FilterNotFound(
                f"there is no such {name.replace('_', ' ')}",
                fields=(FieldError(name, "not_found", "nothing of this tenant has this id"),),
            )
    asked |= _bounds(listing, asked)
    values = [value for value in asked.values() if value is not ASKED]
    after = [] if page.after is None else [page.after]
    statement = listing.statement(tuple(asked), is_first=page.after is None)
    rows = await tx.fetch(statement, tenant_id, page.limit + 1, *after, *values)
    shown = rows[: page.limit]
    return Part(tuple(map(view, shown)), shown[-1]["id"] if len(rows) > page.limit else None)


def _bounds(listing: Listing, asked: Mapping[str, Any]) -> dict[str, UUID]:
    """Return the ids between which everything lies that the filters by time let through."""
    bounds = {}
    if listing.stamped_by and "since" in asked:
        # Something that a gateway dates into the future was heard of by now.
        bounds["since_id"] = ids.least_at(min(asked["since"], datetime.now(UTC)) - _CLOCKS_APART)
    if listing.stamped_by == "us" and "until" in asked:
        bounds["until_id"] = ids.least_at(asked["until"] + _CLOCKS_APART)
    return bounds


def existence(table: str) -> str:
    """Return the statement that asks whether a tenant has a row. table: a constant of ours."""
    return f"select exists (select from {table} where tenant_id = $1 and id = $2)"


def cursor(after: UUID) -> str:
    """Return the text that leads to the page after a row."""
    return base64.urlsafe_b64encode(after.bytes).rstrip(b"=").decode()


def after_cursor(text: str) -> UUID:
    """Return the row that a cursor stands after. Raises CursorInvalid."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"==", altchars=b"-_", validate=True)
        after = UUID(bytes=raw)
    except (ValueError, binascii.Error) as error:
        raise CursorInvalid("the cursor is not one we gave", hint="Begin again without a cursor.") from error
    if cursor(after) != text:
        raise CursorInvalid("the cursor is not one we gave", hint="Begin again without a cursor.")
    return after
