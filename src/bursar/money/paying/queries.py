"""What was asked for of payments, as people and programs see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import PaymentId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.seal import Seal
from bursar.money import calls
from bursar.money.calls.models import FAILURE
from bursar.money.calls.queries import GatewayCallId
from bursar.money.paying.waiting import Wish

PaymentChangeId = Annotated[UUID, PublicId(ids.PAYMENT_CHANGE)]
ChangeStatus = Literal["pending", "done", "refused", "unknown"]

STATUS: Final = "case g.state when 'asked' then 'pending' when 'succeeded' then 'done' else g.state end"


class PaymentChangeNotFound(NotFound):
    """Nothing of this id was asked for of a payment of this tenant."""

    code = "payment_change_not_found"


class PaymentChange(View):
    """What was asked for of a payment that waits: the page on which its customer confirms, or its end."""

    id: PaymentChangeId
    payment: PaymentId
    kind: Wish
    status: ChangeStatus = Field(
        description="pending: the gateway has not answered yet. done: it has; the payment follows with its report."
    )
    url: str | None = Field(
        description="Where the customer confirms, while the payment waits for him.",
        examples=["https://hooks.stripe.com/3d_secure_2/hosted?x=y"],
    )
    letter: Literal["none", "waiting", "sent", "dropped"] = Field(
        description="Whether the link was sent to the customer: that is done once, for a payment that was asked for with a return_url."
    )
    gateway_call: GatewayCallId
    failure_code: str | None = Field(examples=["card_declined"])
    failure: str | None = Field(description="Why the gateway refused it.")
    created_at: datetime


_SELECT: Final = f"""select c.id, c.payment_id as payment, c.kind, {STATUS} as status, c.call_id as gateway_call, {FAILURE}, c.created_at,
  case when p.status is null or p.status = 'requires_action' then g.url end as sealed_url,
  case when not c.sends_letter or m.id is null then 'none' when m.sent_at is not null then 'sent'
    when m.dropped is not null then 'dropped' else 'waiting' end as letter
from payment_change c
join gateway_call g on g.tenant_id = c.tenant_id and g.id = c.call_id
left join payment p on p.tenant_id = c.tenant_id and p.id = c.payment_id
left join mail_message m on m.tenant_id = c.tenant_id and m.kind = 'payment_confirmation' and c.sends_letter
  and m.about = (select x.subject from gateway_call x where x.tenant_id = c.tenant_id and x.id = c.call_id)"""

CHANGES = Listing(
    select=_SELECT,
    tenant="c.tenant_id",
    key="c.id",
    filters={
        "payment": "c.payment_id = {}",
        "kind": "c.kind = {}",
        "since": "c.created_at >= {}",
        "until": "c.created_at < {}",
    },
    refers={"payment": "payment"},
    stamped_by="us",
)

_ONE = f"{_SELECT} where c.tenant_id = $1 and c.id = $2"


async def payment_change(tx: Transaction, *, tenant_id: UUID, change_id: UUID, seal: Seal | None) -> PaymentChange:
    """Return one change; with a seal also its link. Raises PaymentChangeNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, change_id)
    if row is None:
        raise PaymentChangeNotFound(f"there is no change of a payment {ids.show(ids.PAYMENT_CHANGE, change_id)}")
    return _view(row, seal)


async def payment_changes(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[PaymentChange]:
    """Return changes, newest first, without their links. given: values by filter of `CHANGES`."""
    return await part(tx, CHANGES, tenant_id=tenant_id, given=given, page=page, view=_view)


def _view(row: Any, seal: Seal | None = None) -> PaymentChange:
    told = dict(row)
    told["url"] = calls.open_link(seal, told.pop("sealed_url"), call_id=told["gateway_call"])
    return PaymentChange.model_validate(told)
