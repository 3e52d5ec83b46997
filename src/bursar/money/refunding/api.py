"""Routes of refunds that we ask for. `money/payments/api.py` lists them with those made at the gateway."""

from fastapi import APIRouter

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Positive, Reason
from bursar.kernel.http.identifiers import PaymentId
from bursar.money.payments import queries
from bursar.money.payments.schemas import Refund
from bursar.money.refunding.promising import ask_refund

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["payments"])


class NewRefund(Input):
    """Money to give back. Without an amount it is all that is left."""

    payment: PaymentId
    amount_minor: Positive | None = None
    reason: Reason | None = None


@router.post("/refunds", status_code=201)
@needs("refunds:write")
async def create_refund(caller: CallerOf, new: NewRefund) -> Refund:
    """Give money back. The refund is pending until its gateway reports what became of it."""
    async with caller.transaction() as tx:
        refund_id = await ask_refund(
            tx,
            tenant_id=caller.tenant_id,
            payment_id=new.payment,
            amount_minor=new.amount_minor,
            reason=new.reason,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.refund(tx, tenant_id=caller.tenant_id, refund_id=refund_id)
