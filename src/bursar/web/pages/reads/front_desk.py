"""Reads of the front desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction

VENUES_MAX = 200

_VENUES = """
select id, name from venue where tenant_id = $1 and deleted_at is null order by name, id limit $2
"""

_HEAD = """
select v.name as venue, r.name as room, s.name as staff
from class_instance c
join venue v on v.tenant_id = c.tenant_id and v.id = c.venue_id
left join room r on r.tenant_id = c.tenant_id and r.id = c.room_id
left join staff s on s.tenant_id = c.tenant_id and s.id = c.staff_id
where c.tenant_id = $1 and c.id = $2
"""


_NAMES = "select id, coalesce(name, email) as name from customer where tenant_id = $1 and id = any($2::uuid[])"


@dataclass(frozen=True, slots=True)
class VenueChoice:
    """A venue to choose. id: public."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ClassHead:
    """Where a class is, and who instructs it."""

    venue: str
    room: str | None
    staff: str | None


async def venues_of(tx: Transaction, *, tenant_id: UUID) -> tuple[VenueChoice, ...]:
    """Return the venues there are, by name; at most 200."""
    rows = await tx.fetch(_VENUES, tenant_id, VENUES_MAX)
    return tuple(VenueChoice(ids.show(ids.VENUE, row["id"]), row["name"]) for row in rows)


async def names_of(tx: Transaction, *, tenant_id: UUID, customers: Sequence[UUID]) -> dict[str, str]:
    """Return how customers are called, by their public ids; of whom nothing is known is left out."""
    rows = await tx.fetch(_NAMES, tenant_id, list(customers))
    return {ids.show(ids.CUSTOMER, row["id"]): row["name"] for row in rows if row["name"]}


async def class_head(tx: Transaction, *, tenant_id: UUID, class_id: UUID) -> ClassHead:
    """Return where a class is; the class is there."""
    row = await tx.fetchrow(_HEAD, tenant_id, class_id)
    return ClassHead(**dict(row))
