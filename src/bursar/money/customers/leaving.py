"""Customers who leave, deleted or erased: whoever keeps something that lies ahead of them ends it, in a job of its own."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal, cast
from uuid import UUID

from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction

END_AHEAD: Final = "customers.end_ahead"
"""Permanent."""

Why = Literal["deleted", "erased"]

Ender = Callable[[jobs.Resources, UUID, UUID, Why], Awaitable[None]]
"""Ends what lies ahead of a tenant's customer. It may be done twice, and must not mind."""

_IS_DELETED = "select deleted_at is not null from customer where tenant_id = $1 and id = $2"


def ending(enders: Iterable[Ender]) -> jobs.Kind:
    """Return the kind of job that lets every one of them end what lies ahead of a customer."""
    told = tuple(enders)

    async def end_ahead(work: jobs.Work) -> None:
        tenant_id, customer_id = work.job.tenant_id, ids.parse(ids.CUSTOMER, work.job.key.partition(".")[0])
        why = cast("Why", work.job.request.decode())
        async with work.resources.db.tenant(tenant_id) as tx:
            if why == "deleted" and not await tx.fetchval(_IS_DELETED, tenant_id, customer_id):
                return  # Brought back meanwhile.
        for end in told:
            await end(work.resources, tenant_id, customer_id, why)

    return jobs.Kind(END_AHEAD, end_ahead)


async def have_ended(tx: Transaction, *, tenant_id: UUID, customer_ids: Sequence[UUID], why: Why) -> None:
    """Have what lies ahead of customers ended. Each time by another job: one may be at work now."""
    wanted = [
        jobs.NewJob(END_AHEAD, key=f"{ids.show(ids.CUSTOMER, each)}.{ids.new()}", request=why.encode())
        for each in customer_ids
    ]
    await jobs.enqueue_all(tx, tenant_id=tenant_id, jobs=wanted)
