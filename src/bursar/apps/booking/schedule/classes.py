"""Reads of classes."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.schedule.models import ClassInstance
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, NotFound
from bursar.kernel.listing import FilterNotFound, Part, Slice, existence
from bursar.kernel.zones import earliest_of, latest_of

COLUMNS: Final = ", ".join(
    f"c.{field.name}::text as {field.name}" if field.name == "requirements" else f"c.{field.name}"
    for field in fields(ClassInstance)
)

_ONE = f"select {COLUMNS} from class_instance c where c.tenant_id = $1 and c.id = $2 and c.status <> 'deleted'"
_LOCKED = f"{_ONE} for no key update"

_CONDITIONS: Final = {
    "venue": "c.venue_id = {}",
    "room": "c.room_id = {}",
    "staff": "c.staff_id = {}",
    "template": "c.template_id = {}",
    "status": "c.status = {}",
    "is_published": "c.is_published = {}",
    "since": "c.local_date >= {}",
    "until": "c.local_date < {}",
    "starts_since": "c.starts_at >= {}",
    "starts_before": "c.starts_at < {}",
}
_REFERS: Final = {"venue": "venue", "room": "room", "staff": "staff", "template": "class_template"}
_EXISTS = {table: existence(table) for table in _REFERS.values()}

_AFTER: Final = """(c.starts_at, c.id) > (
  (select x.starts_at from class_instance x where x.tenant_id = $1 and x.id = {cursor}), {cursor})"""


class ClassNotFound(NotFound):
    """No class of this business has this id."""

    code = "class_not_found"


async def class_of(tx: Transaction, *, tenant_id: UUID, class_id: UUID, lock: bool = False) -> ClassInstance:
    """Return one class that was not deleted. lock: until the transaction ends nobody else changes it. Raises ClassNotFound."""
    row = await tx.fetchrow(_LOCKED if lock else _ONE, tenant_id, class_id)
    if row is None:
        raise ClassNotFound(f"there is no class {ids.show(ids.CLASS, class_id)}", hint="See GET /v1/classes.")
    return instance(row)


async def classes(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[ClassInstance]:
    """Return classes by when they begin. given: values by filter; since and until are days in the venue's zone.

    Raises FilterNotFound.
    """
    for name in given.keys() & _REFERS.keys():
        if not await tx.fetchval(_EXISTS[_REFERS[name]], tenant_id, given[name]):
            raise FilterNotFound(
                f"there is no such {name}",
                fields=(FieldError(name, "not_found", "nothing of this business has this id"),),
            )
    asked = dict(given) | _bounds(given)
    rows = await tx.fetch(statement(tuple(asked), is_first=page.after is None), tenant_id, page.limit + 1,
                          *([] if page.after is None else [page.after]), *asked.values())  # fmt: skip
    shown = rows[: page.limit]
    return Part(tuple(map(instance, shown)), shown[-1]["id"] if len(rows) > page.limit else None)


def statement(names: tuple[str, ...], *, is_first: bool) -> str:
    """Return the list's statement. $1 tenant, $2 limit, on later pages $3 the cursor, then one for each filter."""
    conditions = ["c.tenant_id = $1"]
    if "status" not in names:
        conditions.append("c.status <> 'deleted'")
    number = 3
    if not is_first:
        conditions.append(_AFTER.format(cursor="$3"))
        number = 4
    conditions += [_CONDITIONS[name].format(f"${number + place}") for place, name in enumerate(names)]
    return (
        f"select {COLUMNS} from class_instance c\nwhere {' and '.join(conditions)}\norder by c.starts_at, c.id limit $2"
    )


STATEMENTS: Final = [
    statement(names, is_first=is_first)
    for is_first in (True, False)
    for names in ((), *((name,) for name in _CONDITIONS))
]
"""For the test that prepares them."""


def instance(row: Any) -> ClassInstance:
    """Return a class of a row with `COLUMNS`."""
    kept = dict(row)
    return ClassInstance(
        **kept | {"pools": tuple(kept["pools"]), "requirements": msgspec.json.decode(kept["requirements"])}
    )


def _bounds(given: Mapping[str, Any]) -> dict[str, datetime]:
    """Return the instants between which the classes of the days asked for begin: what the index is sorted by."""
    bounds: dict[str, datetime] = {}
    if day := given.get("since"):
        bounds["starts_since"] = earliest_of(day)
    if day := given.get("until"):
        bounds["starts_before"] = latest_of(day)
    return bounds
