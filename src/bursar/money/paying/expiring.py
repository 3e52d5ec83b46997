"""Warn of cards that end soon: once a day, one word for each saved way to pay and each of its expiries."""

from datetime import UTC, datetime, timedelta
from typing import Final

from bursar.kernel import ids, jobs, outbox
from bursar.kernel.db import Transaction
from bursar.money.paying.method_queries import SOON, good_until

WARN: Final = "paying.warn_of_expiries"
AT_ONCE: Final = 5000

# Whoever has nothing to pay is not told: a warning is for cards that something will be paid with. The key says it once.
_WARN = f"""
insert into payment_method_warning (tenant_id, payment_method_id, exp_year, exp_month)
select m.tenant_id, m.id, m.exp_year, m.exp_month
from unnest($2::smallint[], $3::smallint[]) as e (exp_year, exp_month)
join payment_method m on m.tenant_id = $1 and m.exp_year = e.exp_year and m.exp_month = e.exp_month and not m.is_detached
join customer c on c.tenant_id = $1 and c.id = m.customer_id and c.erased_at is null and c.deleted_at is null and not c.is_deleted
where (c.gateway_account_id = m.gateway_account_id and c.default_method_ref = m.gateway_ref
    or exists (select from subscription s where s.tenant_id = $1 and s.customer_id = m.customer_id
      and s.gateway_account_id = m.gateway_account_id and s.status in ('trialing', 'active', 'past_due')))
  and not exists (select from payment_method_warning w
    where w.tenant_id = $1 and w.payment_method_id = m.id and w.exp_year = m.exp_year and w.exp_month = m.exp_month)
order by m.id limit {AT_ONCE}
on conflict (tenant_id, payment_method_id, exp_year, exp_month) do nothing
returning payment_method_id, exp_year, exp_month
"""

_OWNERS = "select id, customer_id from payment_method where tenant_id = $1 and id = any($2::uuid[])"


async def warn_of_expiries(work: jobs.Work) -> None:
    """Tell of every saved way to pay of this tenant that ends within SOON, if it was not told of yet."""
    async with work.finish() as tx:
        warned = await warn(tx, work.job, now=work.resources.now())
        if warned == AT_ONCE:
            key = f"{work.job.key}+"[:255]
            await jobs.enqueue(tx, tenant_id=work.job.tenant_id, kind=WARN, key=key)


async def warn(tx: Transaction, job: jobs.Job, *, now: datetime) -> int:
    """Write the warnings and the words, at most AT_ONCE; return how many."""
    ending = _ending(now)
    tenant_id = job.tenant_id
    rows = await tx.fetch(_WARN, tenant_id, [year for year, _ in ending], [month for _, month in ending])
    if not rows:
        return 0
    found = await tx.fetch(_OWNERS, tenant_id, [row["payment_method_id"] for row in rows])
    owners = {row["id"]: ids.show(ids.CUSTOMER, row["customer_id"]) for row in found}
    told = [
        outbox.Told(
            "payment_method.expires_soon",
            ids.show(ids.PAYMENT_METHOD, row["payment_method_id"]),
            {"customer": owners[row["payment_method_id"]], "exp_month": row["exp_month"], "exp_year": row["exp_year"]},
        )
        for row in rows
    ]
    await outbox.emit(tx, tenant_id=tenant_id, told=told)
    return len(rows)


def _ending(now: datetime) -> list[tuple[int, int]]:
    """Return the months (year, month) that end after now and not later than SOON."""
    days = [now.astimezone(UTC) + timedelta(days=d) for d in range(SOON.days + 1)]
    months = sorted({(day.year, day.month) for day in days})
    return [(year, month) for year, month in months if now < good_until(year, month) <= now + SOON]


KINDS: Final = (jobs.Kind(WARN, warn_of_expiries),)
SCHEDULES: Final = (jobs.Schedule("paying.expiries", "20 6 * * *", WARN, spread_s=3600),)
