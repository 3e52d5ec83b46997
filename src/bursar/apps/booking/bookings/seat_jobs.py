"""What is done later about money for seats: look again at what waits, and give back what cannot be seated.

Giving back is a job of its own, because a payment may be told of before its gateway names what could be refunded.
"""

from typing import Final
from uuid import UUID

from bursar.apps.booking.bookings.seat import RETURN, SETTLE, Granted, settle
from bursar.apps.booking.bookings.seat_deciding import BY_PAYMENT
from bursar.apps.booking.returns import PaidAtDesk, ask_back
from bursar.kernel import jobs
from bursar.kernel.db import attempt
from bursar.money.fulfilment import GrantStatus

_GRANT = "select source_id, status from fulfilment_grant where tenant_id = $1 and id = $2"
_RETURNING = """
select purchase_id, reason, returning_minor from seat_payment
where tenant_id = $1 and grant_id = $2 and status = 'returning' for update
"""


async def settle_again(work: jobs.Work) -> None:
    """Look again at money that waits for a further report, and let it go back when its time is over."""
    tenant_id, grant_id = work.job.tenant_id, UUID(work.job.key)
    async with work.finish() as tx:
        grant = await tx.fetchrow(_GRANT, tenant_id, grant_id)
        granted = Granted(grant_id, grant["source_id"], GrantStatus(grant["status"]))
        await settle(tx, tenant_id=tenant_id, granted=[granted], now=work.resources.now())


async def return_money(work: jobs.Work) -> None:
    """Ask for the refund of money that could not be seated, once. Cash stays on the list of what is to be handed back (`handing_back`)."""
    tenant_id, grant_id = work.job.tenant_id, UUID(work.job.key)
    async with work.finish() as tx:
        row = await tx.fetchrow(_RETURNING, tenant_id, grant_id)
        if row is None:
            return
        try:
            async with attempt(tx):
                await ask_back(
                    tx,
                    work,
                    grant_id=grant_id,
                    purchase_id=row["purchase_id"],
                    reason=row["reason"],
                    actor=BY_PAYMENT,
                    amount_minor=row["returning_minor"],
                )
        except PaidAtDesk:
            return


KINDS: Final = (jobs.Kind(SETTLE, settle_again), jobs.Kind(RETURN, return_money))
