"""The zone database changed: classes to come are placed again by their wall time, and who booked them comes along.

A government moves a clock, the database is updated, and a class at 09:00 is still at 09:00: its instant is another one.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.schedule import times
from bursar.apps.booking.schedule.settings import remember_zone_version, settings_of
from bursar.kernel import audit, ids, outbox
from bursar.kernel.db import Transaction
from bursar.kernel.zones import zone_named

ACTOR: Final = "policy:zone-database"
_NAMED_MAX: Final = 100

_TO_COME = """
select id, local_date, local_start, time_zone, starts_at, is_shifted from class_instance
where tenant_id = $1 and starts_at > $2 and status = 'scheduled' order by starts_at, id
"""

_LOCK = "select from class_instance where tenant_id = $1 and id = any($2::uuid[]) order by id for no key update"

# Only what stands as it was read: somebody who moved the class meanwhile has placed it by the new database himself.
_MOVE = """
update class_instance c
set starts_at = n.starts_at, ends_at = c.ends_at + (n.starts_at - c.starts_at), is_shifted = n.is_shifted, version = c.version + 1
from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::bool[]) as n (id, was_at, starts_at, is_shifted)
where c.tenant_id = $1 and c.id = n.id and c.starts_at = n.was_at and c.status = 'scheduled'
returning c.id, n.was_at, c.starts_at, c.time_zone
"""

# The cutoff is so many elapsed hours before the start, and moves with it.
_MOVE_BOOKINGS = """
update booking b
set starts_at = b.starts_at + n.by, ends_at = b.ends_at + n.by, cancel_by = b.cancel_by + n.by, version = b.version + 1
from unnest($2::uuid[], $3::interval[]) as n (class_id, by)
where b.tenant_id = $1 and b.class_id = n.class_id and b.is_live
returning b.id, b.class_id
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """How many classes moved and how many bookings with them."""

    classes: int
    bookings: int


async def place_again(tx: Transaction, *, tenant_id: UUID, now: datetime) -> Moved:
    """Place every class to come by the zone database that is there now. Done again, it changes nothing."""
    before = await settings_of(tx, tenant_id=tenant_id)
    changed = []
    for row in await tx.fetch(_TO_COME, tenant_id, now):
        placed = _placed(row["local_date"], row["local_start"], row["time_zone"])
        if (placed.at, placed.is_shifted) != (row["starts_at"], row["is_shifted"]):
            changed.append((row["id"], row["starts_at"], placed.at, placed.is_shifted))
    _placed.cache_clear()
    version = times.zone_version()
    await remember_zone_version(tx, tenant_id=tenant_id, version=version)
    if not changed:
        return Moved(0, 0)
    columns = tuple(map(list, zip(*changed, strict=True)))
    await tx.execute(_LOCK, tenant_id, columns[0])
    rows = await tx.fetch(_MOVE, tenant_id, *columns)
    by = [row["starts_at"] - row["was_at"] for row in rows]
    bookings = await tx.fetch(_MOVE_BOOKINGS, tenant_id, [row["id"] for row in rows], by)
    told = [
        outbox.Told(
            "class.moved",
            ids.show(ids.CLASS, row["id"]),
            _payload(row["was_at"], row["starts_at"], row["time_zone"]),
        )
        for row in rows
    ]
    await outbox.emit(tx, tenant_id=tenant_id, told=told)
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=ACTOR,
        action="schedule.placed_again",
        subject=ids.show(ids.TENANT, tenant_id),
        changes={
            "zone_version": {"before": before.zone_version, "after": version},
            "classes": len(rows),
            "bookings": len(bookings),
            "moved": [ids.show(ids.CLASS, row["id"]) for row in rows[:_NAMED_MAX]],
        },
    )
    return Moved(len(rows), len(bookings))


@lru_cache(maxsize=10_000)
def _placed(day: object, start: object, zone: str) -> times.Placed:
    return times.placed(day, start, zone_named(zone))  # type: ignore[arg-type]


def _payload(was_at: datetime, starts_at: datetime, zone: str) -> dict[str, Any]:
    return {"before": times.local(was_at, zone), "after": times.local(starts_at, zone), "because": "zone_database"}
