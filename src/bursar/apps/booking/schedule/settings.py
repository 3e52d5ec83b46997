"""What a business chose about its schedule."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.zones import local_day

WEEKS_DEFAULT: Final = 8
WEEKS_MAX: Final = 52

_SETTING = "select weeks_ahead, zone_version from schedule_setting where tenant_id = $1"
_SET_WEEKS = """
insert into schedule_setting (tenant_id, weeks_ahead) values ($1, $2)
on conflict (tenant_id) do update set weeks_ahead = excluded.weeks_ahead, changed_at = clock_timestamp()
"""
_SET_VERSION = """
insert into schedule_setting (tenant_id, zone_version) values ($1, $2)
on conflict (tenant_id) do update set zone_version = excluded.zone_version, changed_at = clock_timestamp()
where schedule_setting.zone_version is distinct from excluded.zone_version
"""


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """weeks_ahead: so far ahead rules make classes. zone_version: of the zone database that placed them; None: not yet."""

    weeks_ahead: int = WEEKS_DEFAULT
    zone_version: str | None = None

    def horizon(self, now: datetime, zone: ZoneInfo) -> tuple[date, date]:
        """Return today in a zone and the last day for which rules make classes."""
        today = local_day(now, zone)
        return today, today + timedelta(weeks=self.weeks_ahead)


async def settings_of(tx: Transaction, *, tenant_id: UUID) -> ScheduleSettings:
    """Return what a business chose, or the usual."""
    row = await tx.fetchrow(_SETTING, tenant_id)
    return ScheduleSettings(row["weeks_ahead"], row["zone_version"]) if row else ScheduleSettings()


async def set_weeks_ahead(tx: Transaction, *, tenant_id: UUID, weeks: int, actor: str) -> ScheduleSettings:
    """Let rules make classes so many weeks ahead from the next time on."""
    before = await settings_of(tx, tenant_id=tenant_id)
    if before.weeks_ahead != weeks:
        await tx.execute(_SET_WEEKS, tenant_id, weeks)
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="schedule.setting_changed",
            subject=ids.show(ids.TENANT, tenant_id),
            changes=audit.changed({"weeks_ahead": before.weeks_ahead}, {"weeks_ahead": weeks}),
        )
    return await settings_of(tx, tenant_id=tenant_id)


async def remember_zone_version(tx: Transaction, *, tenant_id: UUID, version: str) -> None:
    """Remember by which zone database classes were placed."""
    await tx.execute(_SET_VERSION, tenant_id, version)
