"""Giving money back from a payment's page: how much, once more with amount and customer, then the promise."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import needs
from bursar.kernel.errors import Conflict, Invalid
from bursar.money.refunding import ask_refund
from bursar.web.pages.browsing import PaymentNotFound
from bursar.web.pages.reads.payment import Payment, payment
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Page, Visiting, to

_DIGITS_MAX: Final = 15
_REASON_MAX: Final = 255

router = APIRouter(route_class=PageRoute)


class NothingToRefund(Conflict):
    """Nothing of the payment is left that could go back."""

    code = "nothing_to_refund"


class RefundFormInvalid(Invalid):
    """The form names no amount in minor units, or more than is left."""

    code = "refund_form_invalid"


@router.get("/payments/{payment_ref}/refund")
@needs("refunds:write")
async def refund_form(visit: Visiting, payment_ref: str) -> Response:
    """Ask how much is to go back, and why."""
    payment_id = ids.parse(ids.PAYMENT, payment_ref)
    async with visit.open() as page:
        found, left = await _refundable(page, visit.tenant_id, payment_id)
        return page.answer("refund.html", payment=found, left=left, reason_max=_REASON_MAX)


@router.post("/payments/{payment_ref}/refund/confirm")
@needs("refunds:write")
async def confirm(visit: Visiting, payment_ref: str) -> Response:
    """Restate what is about to be done: how much, to whom."""
    payment_id = ids.parse(ids.PAYMENT, payment_ref)
    fields = await visit.form()
    async with visit.open() as page:
        found, left = await _refundable(page, visit.tenant_id, payment_id)
        money = Money(_amount(fields, left), left.currency)
        return page.answer(
            "refund_confirm.html",
            payment=found,
            money=money,
            reason=_reason(fields),
            refund_id=ids.show(ids.REFUND, ids.new()),
        )


@router.post("/payments/{payment_ref}/refund")
@needs("refunds:write")
async def refund(visit: Visiting, payment_ref: str) -> Response:
    """Promise the money back. Sending the form twice is asking once."""
    payment_id = ids.parse(ids.PAYMENT, payment_ref)
    fields = await visit.form()
    async with visit.open() as page:
        found, left = await _refundable(page, visit.tenant_id, payment_id, is_sent=True)
        await ask_refund(
            page.tx,
            tenant_id=visit.tenant_id,
            payment_id=payment_id,
            amount_minor=_amount(fields, left),
            reason=_reason(fields),
            actor=visit.principal.actor,
            now=visit.now,
            refund_id=ids.parse(ids.REFUND, fields.get("refund", "")),
        )
    return to(f"/payments/{found.id}")


async def _refundable(page: Page, tenant_id: UUID, payment_id: UUID, *, is_sent: bool = False) -> tuple[Payment, Money]:
    """Return a payment and what is left of it. is_sent: a repeated form may find nothing left."""
    found = await payment(page.tx, tenant_id=tenant_id, payment_id=payment_id)
    if found is None:
        raise PaymentNotFound("There is no payment of this id here.", hint="Check the id, or search for it.")
    if found.left is None and not is_sent:
        raise NothingToRefund(
            "Nothing of this payment is left that could go back.", hint="See its refunds on its page."
        )
    return found, found.left or found.money


def _amount(fields: dict[str, str], left: Money) -> int:
    text = fields.get("amount", "")
    amount = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else 0
    if amount < 1:
        raise RefundFormInvalid(
            f"The amount is a whole number of minor units, from 1 to {left.minor}.", hint="Go back and correct it."
        )
    return amount


def _reason(fields: dict[str, str]) -> str | None:
    return printable(fields.get("reason", ""))[:_REASON_MAX] or None
