"""Remind: once for each date, tell that a dispute is due soon and nobody has answered."""

from datetime import timedelta
from typing import Final

from bursar.kernel import ids, jobs, outbox

REMIND_DUE: Final = "disputes.remind_due"
_AT_ONCE: Final = 1000

# The row is the guard: of many that look, one tells.
_REMIND = f"""
insert into dispute_reminder (tenant_id, dispute_id, due_by)
select d.tenant_id, d.id, d.due_by from dispute d
where d.tenant_id = $1 and d.status = 'needs_response' and d.due_by > $2 and d.due_by <= $3
  and not exists (
    select from dispute_answer a where a.tenant_id = d.tenant_id and a.dispute_id = d.id and a.of_inquiry = d.is_inquiry and a.is_final
      and a.failure is null)
  and not exists (
    select from dispute_reminder r where r.tenant_id = d.tenant_id and r.dispute_id = d.id and r.due_by = d.due_by)
order by d.due_by, d.id limit {_AT_ONCE}
on conflict do nothing
returning dispute_id, due_by
"""


async def remind_due(work: jobs.Work) -> None:
    """Tell of every dispute of the tenant that has become due soon."""
    tenant_id, now = work.job.tenant_id, work.resources.now()
    soon = timedelta(days=work.resources.settings.dispute_due_soon_days)
    async with work.finish() as tx:
        rows = await tx.fetch(_REMIND, tenant_id, now, now + soon)
        told = [
            outbox.Told("dispute.due_soon", ids.show(ids.DISPUTE, row["dispute_id"]), {"due_by": row["due_by"]})
            for row in rows
        ]
        await outbox.emit(tx, tenant_id=tenant_id, told=told)


KINDS: Final = (jobs.Kind(REMIND_DUE, remind_due),)
SCHEDULES: Final = (jobs.Schedule("disputes.due", "7 * * * *", REMIND_DUE, spread_s=900),)
