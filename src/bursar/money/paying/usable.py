"""Which saved way to pay can be used: whose it is, where it is, and whether it is still good."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid, NotFound
from bursar.money.calls import Account
from bursar.money.customers import IS_GONE


class PaymentMethodNotFound(NotFound):
    """No payment method of this tenant has this id."""

    code = "payment_method_not_found"


class PaymentMethodMissing(Invalid):
    """No payment method is named, and the customer has no default one."""

    code = "payment_method_missing"


class PaymentMethodOfAnother(Conflict):
    """The payment method is another customer's."""

    code = "payment_method_of_another_customer"


class PaymentMethodDetached(Conflict):
    """The payment method was detached; its gateway has forgotten it."""

    code = "payment_method_detached"


class PaymentMethodExpired(Conflict):
    """The card is not good any more."""

    code = "payment_method_expired"


class CustomerGone(Conflict):
    """The customer is deleted or erased, so nothing is taken from him."""

    code = "customer_gone"


@dataclass(frozen=True, slots=True)
class Method:
    """A saved way to pay at its account. exp_year and exp_month: of a card; it is good until that month ends.

    is_customer_gone: the customer was deleted, here or at the gateway, or erased; what the gateway still keeps of him is not for use.
    """

    id: UUID
    ref: str
    customer_id: UUID | None
    customer_ref: str | None
    is_detached: bool
    is_customer_gone: bool
    exp_year: int | None
    exp_month: int | None
    account: Account

    def is_expired(self, now: datetime) -> bool:
        if self.exp_year is None or self.exp_month is None:
            return False
        at = now.astimezone(UTC)
        return (self.exp_year, self.exp_month) < (at.year, at.month)


_COLUMNS = f"""m.id, m.gateway_ref, m.customer_id, c.gateway_ref as customer_ref, m.is_detached,
  coalesce({IS_GONE}, false) as is_customer_gone, m.exp_year, m.exp_month,
  a.id as account_id, a.gateway, a.api_key is not null and a.is_active as has_key
from payment_method m
join gateway_account a on a.tenant_id = m.tenant_id and a.id = m.gateway_account_id
left join customer c on c.tenant_id = m.tenant_id and c.id = m.customer_id"""

_ONE = f"select {_COLUMNS} where m.tenant_id = $1 and m.id = $2"

_DEFAULT = f"""select {_COLUMNS}
where m.tenant_id = $1 and c.id = $2 and c.default_method_ref = m.gateway_ref and c.gateway_account_id = m.gateway_account_id"""


async def method_of(tx: Transaction, *, tenant_id: UUID, method_id: UUID) -> Method:
    """Return a saved way to pay. Raises PaymentMethodNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, method_id)
    if row is None:
        shown = ids.show(ids.PAYMENT_METHOD, method_id)
        raise PaymentMethodNotFound(
            f"there is no payment method {shown}", hint="Look them up: GET /v1/payment-methods?customer=…"
        )
    return _method(row)


async def default_method_of(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> Method:
    """Return what a customer's invoices are paid with. Raises PaymentMethodMissing."""
    row = await tx.fetchrow(_DEFAULT, tenant_id, customer_id)
    if row is None:
        raise PaymentMethodMissing(
            f"{ids.show(ids.CUSTOMER, customer_id)} has no default payment method", hint="Pass payment_method."
        )
    return _method(row)


def check_owner(method: Method, *, customer_id: UUID) -> None:
    """Raises PaymentMethodOfAnother."""
    if method.customer_id != customer_id:
        raise PaymentMethodOfAnother(
            f"{ids.show(ids.PAYMENT_METHOD, method.id)} is not {ids.show(ids.CUSTOMER, customer_id)}'s",
            hint="Name a payment method of this customer: GET /v1/payment-methods?customer=…",
        )


def check_good(method: Method, *, now: datetime) -> None:
    """Raises PaymentMethodDetached, PaymentMethodExpired, CustomerGone."""
    shown = ids.show(ids.PAYMENT_METHOD, method.id)
    if method.is_customer_gone:
        raise CustomerGone(
            f"the customer of {shown} is deleted or erased",
            hint="Nothing is taken from who is gone. Restore a deleted customer, or detach the payment method.",
        )
    if method.is_detached:
        raise PaymentMethodDetached(f"{shown} is detached", hint="Let the customer save one: POST /v1/payment-methods.")
    if method.is_expired(now):
        raise PaymentMethodExpired(
            f"{shown} was good until {method.exp_month:02}/{method.exp_year}",
            hint="Let the customer save one that is good: POST /v1/payment-methods.",
        )


def _method(row: Any) -> Method:
    return Method(
        id=row["id"],
        ref=row["gateway_ref"],
        customer_id=row["customer_id"],
        customer_ref=row["customer_ref"],
        is_detached=row["is_detached"],
        is_customer_gone=row["is_customer_gone"],
        exp_year=row["exp_year"],
        exp_month=row["exp_month"],
        account=Account(row["account_id"], row["gateway"], row["has_key"]),
    )
