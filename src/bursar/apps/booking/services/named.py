"""Whom and what of the schedule a request names, and the refusal where there is none."""

from typing import Any
from uuid import UUID

from bursar.apps.booking.schedule import StaffNotFound, VenueNotFound
from bursar.apps.booking.services.models import Place
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_STAFF = "select name from staff where tenant_id = $1 and id = $2 and deleted_at is null"
_VENUE = "select id, name, time_zone from venue where tenant_id = $1 and id = $2 and deleted_at is null"


async def require_staff(tx: Transaction, *, tenant_id: UUID, staff_id: UUID) -> str:
    """Return the name of a staff member. Raises StaffNotFound."""
    name: str | None = await tx.fetchval(_STAFF, tenant_id, staff_id)
    if name is None:
        raise StaffNotFound(f"there is no staff member {ids.show(ids.STAFF, staff_id)}", hint="See GET /v1/staff.")
    return name


async def place_of(tx: Transaction, *, tenant_id: UUID, venue_id: UUID) -> Place:
    """Return a venue as slots are told of it. Raises VenueNotFound."""
    row: Any = await tx.fetchrow(_VENUE, tenant_id, venue_id)
    if row is None:
        raise VenueNotFound(f"there is no venue {ids.show(ids.VENUE, venue_id)}", hint="See GET /v1/venues.")
    return Place(row["id"], row["name"], row["time_zone"])
