"""The letter that asks for a fee. It is written when it is sent; what was waived or paid meanwhile is not asked for."""

from typing import Final
from uuid import UUID

from bursar.apps.booking import people
from bursar.apps.booking.fees.raising import LETTER
from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Transaction
from bursar.kernel.identity.letters import Composer
from bursar.kernel.mail import Message

_FEE: Final = """
select f.kind, f.amount_minor, f.currency, f.booking_id, b.number, b.starts_at, b.snapshot ->> 'title' as title,
  b.snapshot ->> 'time_zone' as zone, c.email, c.name
from booking_fee f
join booking b on b.tenant_id = f.tenant_id and b.id = f.booking_id
join customer c on c.tenant_id = f.tenant_id and c.id = f.customer_id
where f.tenant_id = $1 and f.id = $2 and f.status = 'open' and c.email is not null and c.erased_at is null
"""

_WHY: Final = {
    "no_show": "You did not come to {place}, and did not cancel it.",
    "late_cancel": "You cancelled {place} after it was free to cancel.",
}


def fee_letters(*, base_url: str = "") -> dict[str, Composer]:
    """Return who writes the letter. base_url: of the pages, on which the fee is paid; empty: it names no page."""

    async def compose(tx: Transaction, tenant_id: UUID, about: str, business: str) -> Message | None:
        row = await tx.fetchrow(_FEE, tenant_id, ids.parse(ids.BOOKING_FEE, about))
        if row is None:
            return None
        money = Money(row["amount_minor"], row["currency"])
        place = f"{row['title']}, {times.told(row['starts_at'], row['zone'])}"
        text = f"{_WHY[row['kind']].format(place=place)} By the terms of your booking {row['number']} you owe {business} {money}."
        if base_url:
            link = await people.linked_page(
                tx, tenant_id=tenant_id, booking_id=row["booking_id"], base_url=base_url, now=utc_now()
            )
            text = f"{text}\n\nPay it here; the address is yours alone:\n\n{link}"
        greeting = f"Hello{' ' + row['name'] if row['name'] else ''},"
        text = f"{greeting}\n\n{text}\n\nIf you think that this is wrong, write to {business}.\n"
        return Message(to=row["email"], subject=f"You owe {money}: {row['title']} ({business})", text=text)

    return {LETTER: compose}
