"""What rules do by themselves: let what is left of a period roll over into the next, where the business wants it."""

from datetime import timedelta
from typing import Final

from bursar.apps.booking.passes import AT_ONCE, roll_over
from bursar.apps.booking.rules.catalogue import BY_ID
from bursar.apps.booking.rules.keeping import settings_of
from bursar.kernel import jobs

ROLL_OVER: Final = "passes.roll_over"


async def roll_credits_over(work: jobs.Work) -> None:
    """Give what the rule `rollover_cap` says in the place of what expired, once for each lot."""
    tenant_id = work.job.tenant_id
    async with work.finish() as tx:
        settings, rule = await settings_of(tx, tenant_id=tenant_id), BY_ID["rollover_cap"]
        if not settings.is_on(rule):
            return
        chosen = settings.values(rule)
        most, lasts = int(chosen["credits_max"]), timedelta(days=int(chosen["days"]))
        while (
            await roll_over(tx, tenant_id=tenant_id, credits_max=most, lasts=lasts, now=work.resources.now()) == AT_ONCE
        ):
            pass


KINDS: Final = (jobs.Kind(ROLL_OVER, roll_credits_over),)
SCHEDULES: Final = (jobs.Schedule("passes.rollover", "7 * * * *", ROLL_OVER, spread_s=1200),)
