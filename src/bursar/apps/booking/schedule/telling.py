"""What a change of the schedule leaves: a record of who did it, and a word for whoever listens, in its transaction."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, time
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.schedule.models import ClassInstance, Template
from bursar.kernel import audit, ids, jobs, outbox
from bursar.kernel.db import Transaction

SERVE_WAITLISTS: Final = "bookings.serve_waitlists"
"""The job that gives seats which came free otherwise than by a booking to who waits. `bookings` does it; here it is only asked for."""

_PREFIXES = {
    "venue_id": ids.VENUE,
    "room_id": ids.ROOM,
    "staff_id": ids.STAFF,
    "policy_id": ids.BOOKING_POLICY,
    "price_id": ids.PRICE,
    "follows_id": ids.CLASS_TEMPLATE,
    "template_id": ids.CLASS_TEMPLATE,
}
_SILENT = frozenset({"id", "version", "created_at", "held", "booked", "waiting", "materialised_through"})


async def record_and_tell(
    tx: Transaction, *, tenant_id: UUID, actor: str, topic: str, subject: str, changes: dict[str, Any]
) -> None:
    """Record an act under the name of its topic, and tell of it."""
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=topic, subject=subject, changes=changes)
    await outbox.emit(tx, tenant_id=tenant_id, told=[outbox.Told(topic, subject, changes)])


async def have_waitlists_served(tx: Transaction, *, tenant_id: UUID) -> None:
    """Have seats that are new given to who waits, at once. Each time by another job: one may be at work now."""
    await jobs.enqueue(tx, tenant_id=tenant_id, kind=SERVE_WAITLISTS, key=f"schedule.{ids.new()}")


def opens_seats(before: ClassInstance, after: ClassInstance | Template) -> bool:
    """Say whether a change gives who waits for a class something to get."""
    is_shown = after.is_published and not before.is_published
    return before.waiting > 0 and (is_shown or after.capacity > before.capacity)


def plain(what: ClassInstance | Template) -> dict[str, Any]:
    """Return what somebody may change of a class or template, as plain values with public ids."""
    return plain_values({name: value for name, value in asdict(what).items() if name not in _SILENT})


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as plain ones, ids in their public form."""
    return {
        name.removesuffix("_id") if name in _PREFIXES else name: _plain(name, value) for name, value in values.items()
    }


def _plain(name: str, value: Any) -> Any:
    match value:
        case UUID():
            return ids.show(_PREFIXES[name], value)
        case datetime() | date():
            return value.isoformat()
        case time():
            return value.isoformat("minutes")
        case tuple():
            return list(value)
    return value
