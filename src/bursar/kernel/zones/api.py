"""Routes of a business's zone."""

from fastapi import APIRouter
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Key, View
from bursar.kernel.zones.own import set_time_zone, time_zone_of

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["reports"])


class WantedTimeZone(Input):
    time_zone: Key = Field(examples=["Europe/Berlin"], description="A name of the IANA time zone database.")


class TimeZone(View):
    """In which zone the days of this business begin."""

    time_zone: str = Field(examples=["Europe/Berlin"])


@router.get("/time-zone")
@needs("payments:read")
async def get_time_zone(caller: CallerOf) -> TimeZone:
    """Show in which zone the days of reports begin."""
    async with caller.transaction() as tx:
        return TimeZone(time_zone=(await time_zone_of(tx, tenant_id=caller.tenant_id)).key)


@router.put("/time-zone")
@needs("settings:write")
async def put_time_zone(caller: CallerOf, wanted: WantedTimeZone) -> TimeZone:
    """Set in which zone the days of reports begin: of all reports from now on, over days gone by too."""
    async with caller.transaction() as tx:
        zone = await set_time_zone(tx, tenant_id=caller.tenant_id, name=wanted.time_zone, actor=caller.actor)
    return TimeZone(time_zone=zone.key)
