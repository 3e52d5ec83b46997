"""Payments that wait for their customer: ask for the page on which he confirms, or give the payment up."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money import calls
from bursar.money.calls import Account, check_account
from bursar.money.gateways.calls import AnyCall, CancelPayment, ConfirmPayment
from bursar.money.paying.asking import ASKER_NAME
from bursar.money.payments.queries import PaymentNotFound

Wish = Literal["confirmation", "cancellation"]

_MAY: Final[dict[Wish, frozenset[str]]] = {
    "confirmation": frozenset({"requires_action", "failed"}),
    "cancellation": frozenset({"pending", "requires_action", "failed"}),
}


class PaymentStateRefuses(Conflict):
    """The payment does not wait for what is asked for."""

    code = "payment_state_refuses"


class PaymentChangeOpen(Conflict):
    """Something that was asked for of this payment has no outcome yet."""

    code = "payment_change_open"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A payment, reported or only asked for. method_ref: what we asked it to be paid with."""

    id: UUID
    ref: str | None
    status: str
    method_ref: str | None
    account: Account


_WAITING = """
select coalesce(p.id, a.id) as id, coalesce(p.gateway_ref, a.gateway_ref) as ref, coalesce(p.status, a.status) as status,
  m.gateway_ref as method_ref, g.id as account_id, g.gateway, g.api_key is not null and g.is_active as has_key
from (select $2::uuid as id) as w
left join asked_payment a on a.tenant_id = $1 and a.id = w.id
left join payment p on p.tenant_id = $1 and p.superseded_by is null and p.id = coalesce((
    select o.id from payment o where o.tenant_id = $1 and o.gateway_ref = a.gateway_ref and o.gateway_account_id = a.gateway_account_id
  ), w.id)
left join payment_method m on m.tenant_id = $1 and m.id = a.payment_method_id
join gateway_account g on g.tenant_id = $1 and g.id = coalesce(p.gateway_account_id, a.gateway_account_id)
"""

_WRITE = """
insert into payment_change (tenant_id, id, payment_id, kind, call_id, actor) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, payment_id) where is_open do nothing
returning id
"""


async def confirm(tx: Transaction, *, tenant_id: UUID, payment_id: UUID, return_url: str, actor: str) -> UUID:
    """Ask for the page on which the customer confirms; return the change.

    Raises PaymentNotFound, PaymentStateRefuses, PaymentChangeOpen, OperationUnsupported, GatewayKeyMissing.
    """
    waiting, ref = await _waiting(tx, tenant_id, payment_id, "confirmation")
    call = ConfirmPayment(payment=ref, return_url=return_url, payment_method=waiting.method_ref)
    return await _ask(tx, tenant_id, waiting, "confirmation", call, actor=actor)


async def cancel(tx: Transaction, *, tenant_id: UUID, payment_id: UUID, actor: str) -> UUID:
    """Ask that a payment that was not taken is given up; return the change. Raises as `confirm`."""
    waiting, ref = await _waiting(tx, tenant_id, payment_id, "cancellation")
    return await _ask(tx, tenant_id, waiting, "cancellation", CancelPayment(payment=ref), actor=actor)


async def _waiting(tx: Transaction, tenant_id: UUID, payment_id: UUID, wish: Wish) -> tuple[_Waiting, str]:
    """Return a payment whose state allows the wish, and the gateway's name of it."""
    row = await tx.fetchrow(_WAITING, tenant_id, payment_id)
    shown = ids.show(ids.PAYMENT, payment_id)
    if row is None:
        raise PaymentNotFound(f"there is no payment {shown}")
    account = Account(row["account_id"], row["gateway"], row["has_key"])
    waiting = _Waiting(row["id"], row["ref"], row["status"], row["method_ref"], account)
    if waiting.ref is None or waiting.status not in _MAY[wish]:
        told = f"{shown} is {waiting.status}" + ("" if waiting.ref else ", and its gateway has not named it")
        allowed = " or ".join(sorted(_MAY[wish]))
        hint = f"That is possible while its gateway has it and it is {allowed}."
        raise PaymentStateRefuses(told, hint=hint, context={"status": waiting.status})
    return waiting, waiting.ref


async def _ask(tx: Transaction, tenant_id: UUID, waiting: _Waiting, wish: Wish, call: AnyCall, *, actor: str) -> UUID:
    check_account(waiting.account, call)
    change_id, payment = ids.new(), ids.show(ids.PAYMENT, waiting.id)
    shown = ids.show(ids.PAYMENT_CHANGE, change_id)
    call_id = await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=waiting.account.id,
        call=call,
        subject=payment,
        key=f"payment_change:{shown}",
        actor=actor,
        asker=ASKER_NAME,
        lane=f"{payment}:changes",
    )
    if await tx.fetchval(_WRITE, tenant_id, change_id, waiting.id, wish, call_id, actor) is None:
        raise PaymentChangeOpen(
            "something that was asked for of this payment has no outcome yet",
            hint=f"Wait for it: GET /v1/payment-changes?payment={payment}.",
            retry_after_s=2,
        )
    changes = {"change": shown}
    action = f"payment.{wish}_asked"
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=payment, changes=changes)
    return change_id
