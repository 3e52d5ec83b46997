"""Hear what became of a call that takes money, asks a customer, or gives a payment up.

What a payment means is told by the report that is filed with the outcome. Here it is only noted how the gateway named it and how
it stood, so that whoever waits is answered before the report is applied, and so that a customer whose bank asks him is sent a link.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids, outbox
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Transaction, storable
from bursar.kernel.identity import letters
from bursar.money import calls
from bursar.money.calls import Asker, Ended
from bursar.money.gateways import gateway
from bursar.money.gateways.calls import CancelPayment, ConfirmPayment, CreatePayment, Kind
from bursar.money.gateways.facts import PaymentFact, PaymentStatus
from bursar.money.gateways.port import FieldMissing
from bursar.money.paying.asking import ASKER_NAME

CONFIRMATION_LETTER: Final = "payment_confirmation"
"""The kind of letter that asks a customer to confirm a payment. It is about the payment."""

_FAILURE_MAX: Final = 500
_CODE_MAX: Final = 100

_GATEWAY = "select gateway from gateway_account where tenant_id = $1 and id = $2"

_TAKEN = """
update asked_payment set gateway_ref = coalesce($3, gateway_ref), status = $4, failure_code = $5, failure_message = $6
where tenant_id = $1 and call_id = $2
returning id, gateway_account_id, customer_id, amount_minor, currency, return_url
"""

_WRITE_CONFIRMATION = """
insert into payment_change (tenant_id, id, payment_id, kind, call_id, sends_letter, actor)
values ($1, $2, $3, 'confirmation', $4, true, 'policy:confirmation')
on conflict (tenant_id, payment_id) where is_open do nothing
"""

_CLOSE = """
update payment_change set is_open = false where tenant_id = $1 and call_id = $2 and is_open
returning payment_id, kind, sends_letter
"""


@dataclass(frozen=True, slots=True)
class _Stands:
    """How a payment stands, as the gateway's answer told. ref: None: the gateway made none."""

    ref: str | None
    status: PaymentStatus
    code: str | None = None
    message: str | None = None


async def succeeded(tx: Transaction, ended: Ended) -> None:
    """Note how the payment stands; close what was asked of it; send the link."""
    if isinstance(ended.call, CreatePayment):
        await _taken(tx, ended)
    elif isinstance(ended.call, ConfirmPayment | CancelPayment):
        row = await tx.fetchrow(_CLOSE, ended.tenant_id, ended.id)
        stands = await _stands(tx, ended)
        if row and row["sends_letter"] and stands.status is PaymentStatus.requires_action:
            about = ids.show(ids.PAYMENT, row["payment_id"])
            await letters.write_about(
                tx, tenant_id=ended.tenant_id, kind=CONFIRMATION_LETTER, about=about, now=utc_now()
            )


async def refused(tx: Transaction, ended: Ended) -> None:
    """Note why no money came; where only the customer's bank wants to ask him, ask for the page on which it does."""
    if isinstance(ended.call, CreatePayment):
        await _taken(tx, ended)
    else:
        await tx.execute(_CLOSE, ended.tenant_id, ended.id)


async def _taken(tx: Transaction, ended: Ended) -> None:
    assert isinstance(ended.call, CreatePayment)
    stands = await _stands(tx, ended)
    told = (stands.ref, stands.status.value, stands.code, stands.message)
    row = await tx.fetchrow(_TAKEN, ended.tenant_id, ended.id, *told)
    if row is None:
        return
    shown = ids.show(ids.PAYMENT, row["id"])
    if stands.ref is None:
        # Nothing at the gateway reports it, so nobody else tells of it.
        state = {
            "status": "failed",
            "amount_minor": row["amount_minor"],
            "currency": row["currency"],
            "failure_code": stands.code,
        }
        failed = outbox.Told("payment.failed", shown, state)
        await outbox.emit(tx, tenant_id=ended.tenant_id, told=[failed])
        await audit.record(
            tx, tenant_id=ended.tenant_id, actor="gateway", action="payment.refused", subject=shown, changes=state
        )
    elif stands.status is PaymentStatus.requires_action and row["return_url"]:
        await _ask_confirmation(tx, ended, payment_id=row["id"], ref=stands.ref, return_url=row["return_url"])


async def _ask_confirmation(tx: Transaction, ended: Ended, *, payment_id: UUID, ref: str, return_url: str) -> None:
    assert isinstance(ended.call, CreatePayment)
    shown = ids.show(ids.PAYMENT, payment_id)
    call = ConfirmPayment(payment=ref, return_url=return_url, payment_method=ended.call.payment_method)
    call_id = await calls.ask(
        tx,
        tenant_id=ended.tenant_id,
        account_id=ended.account_id,
        call=call,
        subject=shown,
        key=f"payment_confirmation:{shown}",
        actor="policy:confirmation",
        asker=ASKER_NAME,
        lane=f"{shown}:changes",
    )
    await tx.execute(_WRITE_CONFIRMATION, ended.tenant_id, ids.new(), payment_id, call_id)


async def _stands(tx: Transaction, ended: Ended) -> _Stands:
    failed = _Stands(None, PaymentStatus.failed, _cut(ended.code, _CODE_MAX), _cut(ended.message, _FAILURE_MAX))
    if ended.object is None or ended.object_kind is not Kind.payment or ended.ref is None:
        return failed
    name = await tx.fetchval(_GATEWAY, ended.tenant_id, ended.account_id)
    try:
        facts = gateway(name).translate_object(kind=Kind.payment, object=ended.object)
    except FieldMissing:
        # Its report will wait for a version that reads it; until then nobody can say more.
        return _Stands(ended.ref, PaymentStatus.processing)
    told = next((fact for fact in facts if isinstance(fact, PaymentFact)), None)
    if told is None:
        return failed
    is_over = told.status in (PaymentStatus.succeeded, PaymentStatus.processing, PaymentStatus.canceled)
    code = None if is_over else told.failure_code or ended.code
    message = None if is_over else told.failure_message or ended.message
    return _Stands(told.ref, told.status, _cut(code, _CODE_MAX), _cut(message, _FAILURE_MAX))


def _cut(text: str | None, most: int) -> str | None:
    return storable(text, length_max=most) if text else None


ASKER: Final = Asker(ASKER_NAME, on_succeeded=succeeded, on_refused=refused)
