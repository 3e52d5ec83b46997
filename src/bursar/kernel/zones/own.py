"""The zone that a business has chosen."""

from functools import cache
from importlib.resources import files
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid

_NAMELESS: Final = "Factory"
"""The one entry of the IANA database that names no place."""

_ZONE = "select time_zone from tenant where tenant_id = $1"
_LOCKED = "select time_zone from tenant where tenant_id = $1 for update"
_SET = "update tenant set time_zone = $2 where tenant_id = $1"


class TimeZoneUnknown(Invalid):
    """There is no such zone in the IANA database."""

    code = "time_zone_unknown"


def zone_named(name: str) -> ZoneInfo:
    """Return a zone by its IANA name, like Europe/Berlin. Raises TimeZoneUnknown."""
    if name not in _names():
        raise TimeZoneUnknown(
            f"there is no time zone {name[:64]!r}",
            hint="Give the name of the IANA database, such as Europe/Berlin, America/New_York or UTC.",
            fields=(FieldError("time_zone", "unknown_value", "an IANA name such as Europe/Berlin"),),
        )
    return ZoneInfo(name)


def zone_names() -> tuple[str, ...]:
    """Return every name that may be chosen, sorted."""
    return tuple(sorted(_names()))


async def time_zone_of(tx: Transaction, *, tenant_id: UUID) -> ZoneInfo:
    """Return the zone in which a business's days begin. Raises TimeZoneUnknown: this machine's database lacks it."""
    return zone_named(await tx.fetchval(_ZONE, tenant_id))


async def set_time_zone(tx: Transaction, *, tenant_id: UUID, name: str, actor: str) -> ZoneInfo:
    """Cut a business's days in another zone from now on, the past ones too. Raises TimeZoneUnknown."""
    zone = zone_named(name)
    before = await tx.fetchval(_LOCKED, tenant_id)
    if before != zone.key:
        await tx.execute(_SET, tenant_id, zone.key)
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="tenant.time_zone_changed",
            subject=ids.show(ids.TENANT, tenant_id),
            changes=audit.changed({"time_zone": before}, {"time_zone": zone.key}),
        )
    return zone


@cache
def _names() -> frozenset[str]:
    """Return the names that every installation knows: those of the database that comes with this program."""
    told = files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(told.split()) - {_NAMELESS}
