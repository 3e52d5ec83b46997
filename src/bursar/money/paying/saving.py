"""Save a way to pay, forget one, or let invoices be paid with one: each is asked of the gateway, and its report says what became of it."""

from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money import calls
from bursar.money.calls import Account, Asker, Ended, check_account
from bursar.money.customers import IS_GONE, name_at_gateway, unknown
from bursar.money.gateways.calls import (
    AnyCall,
    CheckoutMode,
    CreateCheckout,
    DetachPaymentMethod,
    SetDefaultPaymentMethod,
    SetupPaymentMethod,
)
from bursar.money.paying.usable import Method, PaymentMethodDetached, method_of
from bursar.money.subscriptions.queries import SubscriptionNotFound

SAVER: Final = "saving"
Wish = Literal["setup", "detachment", "default"]


class SubscriptionOfAnother(Conflict):
    """The subscription is not the customer's whose payment method it is, or not at its account."""

    code = "subscription_of_another_customer"


class PaymentMethodChangeOpen(Conflict):
    """Something that was asked for of this payment method has no outcome yet."""

    code = "payment_method_change_open"


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be saved, for whom. ref: the gateway's name of it; None: the customer enters it on a hosted page.

    currency: of the payments that are to come, where the gateway wants to know it.
    """

    customer_id: UUID
    return_url: str
    cancel_url: str | None = None
    ref: str | None = None
    currency: str | None = None


_CUSTOMER = f"""
select c.gateway_ref, {IS_GONE} as is_gone, a.id as account_id, a.gateway,
  a.api_key is not null and a.is_active as has_key, t.currency
from customer c
join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
left join lateral (
  select p.currency from payment p where p.tenant_id = c.tenant_id and p.customer_id = c.id order by p.id desc limit 1
) as t on true
where c.tenant_id = $1 and c.id = $2
"""

_SUBSCRIPTION = """
select gateway_ref, customer_id, gateway_account_id from subscription where tenant_id = $1 and id = $2
"""

_WRITE = """
insert into payment_method_change (tenant_id, id, gateway_account_id, customer_id, kind, payment_method_id, subscription_id,
  gateway_ref, call_id, actor)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (tenant_id, payment_method_id) where is_open do nothing
returning id
"""

_CLOSE = "update payment_method_change set is_open = false where tenant_id = $1 and call_id = $2 and is_open"


async def set_up(tx: Transaction, *, tenant_id: UUID, setup: Setup, actor: str) -> UUID:
    """Ask that a way to pay is saved; return the change, whose link leads to where the customer enters or confirms it.

    Raises CustomerNotFound, CustomerNotAtGateway, OperationUnsupported, GatewayKeyMissing.
    """
    row = await tx.fetchrow(_CUSTOMER, tenant_id, setup.customer_id)
    if row is None:
        raise unknown(setup.customer_id)
    ref = name_at_gateway(row["gateway_ref"], customer_id=setup.customer_id, is_gone=row["is_gone"])
    account = Account(row["account_id"], row["gateway"], row["has_key"])
    call: AnyCall
    if setup.ref is not None:
        call = SetupPaymentMethod(customer=ref, payment_method=setup.ref, return_url=setup.return_url)
    else:
        call = CreateCheckout(
            mode=CheckoutMode.setup,
            success_url=setup.return_url,
            cancel_url=setup.cancel_url,
            customer=ref,
            currency=setup.currency or row["currency"],
        )
    said = _Said(account, setup.customer_id, None, None, setup.ref)
    return await _ask(tx, tenant_id, "setup", call, said, actor=actor)


async def detach(tx: Transaction, *, tenant_id: UUID, method_id: UUID, actor: str) -> UUID:
    """Ask that a saved way to pay is forgotten; return the change.

    Raises PaymentMethodNotFound, PaymentMethodDetached, PaymentMethodChangeOpen, OperationUnsupported, GatewayKeyMissing.
    """
    method, customer_id, customer = await _owned(tx, tenant_id, method_id)
    call = DetachPaymentMethod(payment_method=method.ref, customer=customer)
    said = _Said(method.account, customer_id, method.id)
    return await _ask(tx, tenant_id, "detachment", call, said, actor=actor)


async def make_default(
    tx: Transaction, *, tenant_id: UUID, method_id: UUID, subscription_id: UUID | None, actor: str
) -> UUID:
    """Ask that invoices are paid with it: one subscription's, or all of the customer's that name none; return the change.

    Raises as `detach`, and SubscriptionNotFound, SubscriptionOfAnother.
    """
    method, customer_id, customer = await _owned(tx, tenant_id, method_id)
    subscription = None
    if subscription_id is not None:
        row = await tx.fetchrow(_SUBSCRIPTION, tenant_id, subscription_id)
        shown = ids.show(ids.SUBSCRIPTION, subscription_id)
        if row is None:
            raise SubscriptionNotFound(f"there is no subscription {shown}")
        if (row["customer_id"], row["gateway_account_id"]) != (customer_id, method.account.id):
            raise SubscriptionOfAnother(
                f"{shown} is not of the customer whose payment method it is", hint="Name one of the customer's own."
            )
        subscription = row["gateway_ref"]
    call = SetDefaultPaymentMethod(payment_method=method.ref, customer=customer, subscription=subscription)
    said = _Said(method.account, customer_id, method.id, subscription_id)
    return await _ask(tx, tenant_id, "default", call, said, actor=actor)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a change is about."""

    account: Account
    customer_id: UUID
    method_id: UUID | None
    subscription_id: UUID | None = None
    ref: str | None = None


async def _owned(tx: Transaction, tenant_id: UUID, method_id: UUID) -> tuple[Method, UUID, str]:
    """Return a saved way to pay, its customer, and the gateway's name of him."""
    method = await method_of(tx, tenant_id=tenant_id, method_id=method_id)
    shown = ids.show(ids.PAYMENT_METHOD, method_id)
    if method.is_detached or method.customer_id is None or method.customer_ref is None:
        raise PaymentMethodDetached(f"{shown} is detached", hint="Its gateway has forgotten it; nothing is left to do.")
    # Whoever is gone keeps the right to have his card forgotten.
    ref = name_at_gateway(method.customer_ref, customer_id=method.customer_id, is_gone=False)
    return method, method.customer_id, ref


async def _ask(tx: Transaction, tenant_id: UUID, wish: Wish, call: AnyCall, said: _Said, *, actor: str) -> UUID:
    check_account(said.account, call)
    change_id = ids.new()
    shown = ids.show(ids.PAYMENT_METHOD_CHANGE, change_id)
    method = ids.show(ids.PAYMENT_METHOD, said.method_id) if said.method_id else None
    call_id = await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=said.account.id,
        call=call,
        subject=method or shown,
        key=f"payment_method_change:{shown}",
        actor=actor,
        asker=SAVER,
    )
    told = (said.method_id, said.subscription_id, said.ref, call_id, actor)
    if await tx.fetchval(_WRITE, tenant_id, change_id, said.account.id, said.customer_id, wish, *told) is None:
        raise PaymentMethodChangeOpen(
            "something that was asked for of this payment method has no outcome yet",
            hint=f"Wait for it: GET /v1/payment-method-changes?payment_method={method}.",
            retry_after_s=2,
        )
    changes: dict[str, Any] = {"customer": ids.show(ids.CUSTOMER, said.customer_id), "change": shown}
    if said.subscription_id:
        changes["subscription"] = ids.show(ids.SUBSCRIPTION, said.subscription_id)
    action = f"payment_method.{wish}_asked"
    subject = method or changes["customer"]
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=subject, changes=changes)
    return change_id


async def _ended(tx: Transaction, ended: Ended) -> None:
    """Let the next change be asked for."""
    await tx.execute(_CLOSE, ended.tenant_id, ended.id)


SAVING: Final = Asker(SAVER, on_succeeded=_ended, on_refused=_ended)
