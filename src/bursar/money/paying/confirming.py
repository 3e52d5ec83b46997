"""The letter with the link on which a customer confirms a payment. It is written when it is sent; the link is kept sealed till then."""

from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.identity.letters import Composer
from bursar.kernel.mail import Message
from bursar.kernel.seal import Seal
from bursar.money import calls

_LINK: Final = """
select c.email, c.name, a.amount_minor, a.currency, g.id as call_id, g.url
from asked_payment a
join customer c on c.tenant_id = a.tenant_id and c.id = a.customer_id
join payment_change x on x.tenant_id = a.tenant_id and x.payment_id = a.id and x.kind = 'confirmation'
join gateway_call g on g.tenant_id = x.tenant_id and g.id = x.call_id
left join payment p on p.tenant_id = a.tenant_id and p.id = a.id
where a.tenant_id = $1 and a.id = $2 and g.url is not null and c.email is not null and c.erased_at is null
  and coalesce(p.status, 'requires_action') = 'requires_action'
order by x.id desc limit 1
"""


def confirmation_letters(seal: Seal) -> Composer:
    """Return who writes to customers whose bank wants to ask them. A payment that does not wait any more needs no letter."""

    async def compose(tx: Transaction, tenant_id: UUID, about: str, business: str) -> Message | None:
        row = await tx.fetchrow(_LINK, tenant_id, ids.parse(ids.PAYMENT, about))
        link = calls.open_link(seal, row["url"], call_id=row["call_id"]) if row else None
        if row is None or link is None:
            return None
        amount = Money(row["amount_minor"], row["currency"])
        text = (
            f"Hello{' ' + row['name'] if row['name'] else ''},\n\n"
            f"{business} asked for {amount}, and your bank wants to know whether that is yours. Confirm it here:\n\n{link}\n\n"
            "Until you do, nothing is taken. If you do not know of it, do nothing.\n"
        )
        return Message(to=row["email"], subject=f"Please confirm a payment to {business}", text=text)

    return compose
