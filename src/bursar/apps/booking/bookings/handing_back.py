"""Cash that was taken for a booking and has to go back: nobody hands it back by himself, so it stands on a list until somebody did.

Which money that is, `seat_payment` says, as for any other: it came too late for its seat, was too much or for nothing, or its
booking was cancelled. A gateway is asked for such money; at the desk a person is.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import BookingId, CustomerId, PaymentId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money import refunding


class NothingToHandBack(Conflict):
    """Nothing of the payment has to be handed back at the desk, or it was already."""

    code = "nothing_to_hand_back"


class DeskReturn(View):
    """Money that was taken at the desk and has to be handed back there. `id` is the payment's."""

    id: PaymentId
    booking: BookingId | None = Field(description="What it was paid for, if that is known.")
    number: str | None
    customer: CustomerId | None
    name: str | None
    amount_minor: int = Field(description="What is still to be handed back.")
    currency: str
    reason: str = Field(examples=["it came when its booking had expired, and the seat was gone"])
    since: datetime


_MINOR: Final = "least(coalesce(s.returning_minor, p.amount_minor), p.amount_minor) - back.minor"

_SELECT: Final = f"""select p.id, s.booking_id as booking, b.number, coalesce(b.customer_id, p.customer_id) as customer,
  coalesce(nullif(left(c.name, 120), ''), left(c.email, 120)) as name, {_MINOR} as amount_minor, p.currency, s.reason,
  s.changed_at as since, s.grant_id
from seat_payment s
join payment p on p.tenant_id = s.tenant_id and p.purchase_id = s.purchase_id
join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
cross join lateral (
  select coalesce(sum(r.amount_minor), 0)::bigint as minor from refund r
  where r.tenant_id = p.tenant_id and r.payment_id = p.id and r.status in ('pending', 'succeeded')
) back
left join booking b on b.tenant_id = s.tenant_id and b.id = s.booking_id
left join customer c on c.tenant_id = p.tenant_id and c.id = coalesce(b.customer_id, p.customer_id)"""

RETURNS: Final = Listing(
    select=_SELECT,
    tenant="s.tenant_id",
    key="p.id",
    always=(
        "s.status = 'returning'",
        "p.status = 'succeeded'",
        "p.superseded_by is null",
        "a.gateway = 'manual'",
        f"{_MINOR} > 0",
    ),
    filters={"booking": "s.booking_id = {}", "payment": "p.id = {}"},
    refers={"booking": "booking"},
)

# In the order in which a payment is applied: it, and then what it is for.
_LOCK: Final = "select id from payment where tenant_id = $1 and id = $2 for update"


async def desk_returns(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[DeskReturn]:
    """Return what has to be handed back at the desk, the latest payment first. given: values by filter of `RETURNS`."""
    return await part(tx, RETURNS, tenant_id=tenant_id, given=given, page=page, view=DeskReturn.of)


async def hand_back(tx: Transaction, *, tenant_id: UUID, payment_id: UUID, actor: str, now: datetime) -> UUID:
    """Write down that what had to be handed back of a payment was; return the refund. Raises NothingToHandBack."""
    await tx.fetchval(_LOCK, tenant_id, payment_id)
    found = await desk_returns(tx, tenant_id=tenant_id, page=Slice(1), given={"payment": payment_id})
    if not found.rows:
        raise NothingToHandBack(
            f"nothing of {ids.show(ids.PAYMENT, payment_id)} has to be handed back",
            hint="It may have been already: look at the payment's refunds.",
        )
    due = found.rows[0]
    return await refunding.ask_refund(
        tx,
        tenant_id=tenant_id,
        payment_id=payment_id,
        amount_minor=due.amount_minor,
        reason=due.reason,
        actor=actor,
        now=now,
        refund_id=uuid5(payment_id, f"handed back {due.since.isoformat()}"),
    )
