"""What a class or a template refers to is there, and belongs together."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bursar.apps.booking.schedule import places
from bursar.apps.booking.schedule.refusals import CapacityMissing, PolicyNotFound, RoomElsewhere
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.money.catalog.queries import price_named

_POLICY = "select true from booking_policy where tenant_id = $1 and id = $2 and deleted_at is null"


async def require_parts(tx: Transaction, *, tenant_id: UUID, values: Mapping[str, Any]) -> places.Row:
    """Return the venue, locked so that nobody deletes it meanwhile, if all that is named is there. values: with `venue_id`.

    Raises VenueNotFound, RoomNotFound, StaffNotFound, PolicyNotFound, PriceNotFound, PlaceDeleted, PriceDeleted, RoomElsewhere.
    """
    venue_id = values["venue_id"]
    venue = places.present(await places.venue(tx, tenant_id=tenant_id, venue_id=venue_id, lock=True), "venue")
    if room_id := values.get("room_id"):
        room = places.present(await places.room(tx, tenant_id=tenant_id, room_id=room_id, lock=True), "room")
        if room["venue"] != venue_id:
            raise RoomElsewhere(
                f"the room {ids.show(ids.ROOM, room_id)} is in another venue",
                hint="Choose a room of the venue.",
                fields=(FieldError("room", "room_in_another_venue", "not in this venue"),),
            )
    if staff_id := values.get("staff_id"):
        places.present(await places.person(tx, tenant_id=tenant_id, staff_id=staff_id, lock=True), "person")
    if (policy_id := values.get("policy_id")) and not await tx.fetchval(_POLICY, tenant_id, policy_id):
        raise PolicyNotFound(
            f"there is no booking policy {ids.show(ids.BOOKING_POLICY, policy_id)}",
            hint="See GET /v1/booking-policies.",
        )
    if price_id := values.get("price_id"):
        await price_named(tx, tenant_id=tenant_id, name=ids.show(ids.PRICE, price_id))
    return venue


async def with_capacity(tx: Transaction, *, tenant_id: UUID, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values with as many seats as the room has, where none were said. Raises CapacityMissing, RoomNotFound."""
    if values["capacity"] is not None:
        return values
    if values["room_id"] is None:
        raise CapacityMissing("how many seats are there?", hint="Give a capacity, or a room that has one.")
    room = await places.room(tx, tenant_id=tenant_id, room_id=values["room_id"])
    return {**values, "capacity": room["capacity"]}
