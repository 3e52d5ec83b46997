"""Ask for money with a saved way to pay: one transaction writes the payment, what it sells, and the call that takes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.amounts import MINOR_MAX
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid
from bursar.money import calls
from bursar.money.calls import check_account
from bursar.money.catalog.queries import price_named
from bursar.money.customers import require_customer
from bursar.money.desk.orders import place_order
from bursar.money.gateways.calls import CreatePayment
from bursar.money.gateways.facts import Claim
from bursar.money.paying.usable import Method, check_good, check_owner, default_method_of, method_of

ASKER_NAME: Final = "paying"


class PaymentPriceUnfit(Invalid):
    """The price cannot be paid at once: it recurs, asks for nothing, or comes to more than can be counted."""

    code = "payment_price_unfit"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be paid, by whom. price: id or lookup key; None: a sum that sells nothing, in `amount_minor` and `currency`.

    method_id: None: the customer's default. return_url: where he comes back to, if his bank asks him; without it he is sent no link.
    """

    customer_id: UUID
    price: str | None = None
    quantity: int = 1
    amount_minor: int | None = None
    currency: str | None = None
    method_id: UUID | None = None
    description: str | None = None
    return_url: str | None = None


@dataclass(frozen=True, slots=True)
class _Due:
    """What is asked for, and the order that says what for."""

    amount_minor: int
    currency: str
    order_id: UUID | None = None

    @property
    def claim(self) -> Claim:
        return Claim(order=ids.show(ids.ORDER, self.order_id)) if self.order_id else Claim()


_PRICE = "select amount_minor, currency, interval from price where tenant_id = $1 and id = $2"

_WRITE = """
insert into asked_payment (tenant_id, id, gateway_account_id, customer_id, payment_method_id, order_id, amount_minor, currency,
  return_url, call_id, actor)
select $1, $2, m.gateway_account_id, m.customer_id, m.id, $5, $6, $7, $8, $9, $10 from payment_method m
where m.tenant_id = $1 and m.id = $3 and m.customer_id = $4 and not m.is_detached
returning id
"""


async def ask_payment(tx: Transaction, *, tenant_id: UUID, wanted: Wanted, actor: str, now: datetime) -> UUID:
    """Write down a payment and the call that takes it; return the payment. Nothing is sent before the commit.

    Raises CustomerNotFound, PriceNotFound, PriceDeleted, PaymentPriceUnfit, PaymentMethodNotFound, PaymentMethodMissing,
    PaymentMethodOfAnother, PaymentMethodDetached, PaymentMethodExpired, CustomerGone, OperationUnsupported, GatewayKeyMissing.
    """
    await require_customer(tx, tenant_id=tenant_id, customer_id=wanted.customer_id)
    method = await _method(tx, tenant_id=tenant_id, wanted=wanted, now=now)
    due = await _due(tx, tenant_id=tenant_id, wanted=wanted, actor=actor)
    payment_id = ids.new()
    shown = ids.show(ids.PAYMENT, payment_id)
    assert method.customer_ref is not None, "a method that belongs to a customer has his name at the gateway"
    call = CreatePayment(
        amount_minor=due.amount_minor,
        currency=due.currency,
        customer=method.customer_ref,
        payment_method=method.ref,
        claim=due.claim,
        description=wanted.description,
        payment=shown,
    )
    check_account(method.account, call)
    call_id = await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=method.account.id,
        call=call,
        subject=shown,
        key=f"payment:{shown}",
        actor=actor,
        asker=ASKER_NAME,
    )
    told = (due.order_id, due.amount_minor, due.currency, wanted.return_url, call_id, actor)
    made = await tx.fetchval(_WRITE, tenant_id, payment_id, method.id, wanted.customer_id, *told)
    if made is None:  # It was detached since it was read.
        check_good(await method_of(tx, tenant_id=tenant_id, method_id=method.id), now=now)
        raise AssertionError("a method that is good was not taken")
    changes = {
        "customer": ids.show(ids.CUSTOMER, wanted.customer_id),
        "payment_method": ids.show(ids.PAYMENT_METHOD, method.id),
        "amount_minor": due.amount_minor,
        "currency": due.currency,
    }
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="payment.asked", subject=shown, changes=changes)
    return payment_id


async def _method(tx: Transaction, *, tenant_id: UUID, wanted: Wanted, now: datetime) -> Method:
    if wanted.method_id is None:
        method = await default_method_of(tx, tenant_id=tenant_id, customer_id=wanted.customer_id)
    else:
        method = await method_of(tx, tenant_id=tenant_id, method_id=wanted.method_id)
        check_owner(method, customer_id=wanted.customer_id)
    check_good(method, now=now)
    return method


async def _due(tx: Transaction, *, tenant_id: UUID, wanted: Wanted, actor: str) -> _Due:
    """Return what is to be paid: what the price asks for, which is ordered, or the sum that was named."""
    if wanted.price is None:
        assert wanted.amount_minor is not None, "a sum is named where no price is"
        assert wanted.currency is not None, "a sum has a currency"
        return _Due(wanted.amount_minor, wanted.currency)
    price_id = await price_named(tx, tenant_id=tenant_id, name=wanted.price)
    row = await tx.fetchrow(_PRICE, tenant_id, price_id)
    amount = row["amount_minor"] * wanted.quantity
    if row["interval"] is not None:
        raise PaymentPriceUnfit("the price recurs", hint="Sell it as a subscription: POST /v1/checkouts.")
    if not 0 < amount <= MINOR_MAX:
        raise PaymentPriceUnfit(f"the price comes to {amount}", hint="Only an amount above zero can be taken.")
    lines = [(wanted.price, wanted.quantity)]
    order = await place_order(tx, tenant_id=tenant_id, customer_id=wanted.customer_id, lines=lines, actor=actor)
    return _Due(amount, row["currency"], order.id)
