"""The sagas there are. Why their steps stand in this order: docs/decisions/0461-what-can-be-undone-comes-first.md."""

from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money import changing, refunding
from bursar.money.gateways.calls import Proration
from bursar.money.sagas.models import Act, Asked, Kind, Saga, Step

_NOW = "select clock_timestamp()"


def _subscription(saga: Saga) -> UUID:
    return ids.parse(ids.SUBSCRIPTION, saga.plan["subscription"])


def _change(change_id: UUID) -> Asked:
    shown = ids.show(ids.SUBSCRIPTION_CHANGE, change_id)
    return Asked(shown, f"subscription_change:{shown}")


async def _sell(tx: Transaction, saga: Saga, *, price: str, quantity: int) -> Asked:
    change = changing.Change(price, quantity, Proration.none)
    subscription_id, actor = _subscription(saga), saga.actor
    return _change(
        await changing.ask_change(
            tx, tenant_id=saga.tenant_id, subscription_id=subscription_id, change=change, actor=actor
        )
    )


async def _change_price(tx: Transaction, saga: Saga) -> Asked:
    return await _sell(tx, saga, price=saga.plan["price"], quantity=saga.plan["quantity"])


async def _change_back(tx: Transaction, saga: Saga) -> Asked:
    return await _sell(tx, saga, price=saga.plan["price_before"], quantity=saga.plan["quantity_before"])


async def _end(tx: Transaction, saga: Saga, *, is_at_once: bool) -> Asked:
    subscription_id, actor = _subscription(saga), saga.actor
    return _change(
        await changing.cancel(
            tx,
            tenant_id=saga.tenant_id,
            subscription_id=subscription_id,
            is_at_once=is_at_once,
            comment=None,
            actor=actor,
        )
    )


async def _end_with_period(tx: Transaction, saga: Saga) -> Asked:
    return await _end(tx, saga, is_at_once=False)


async def _cancel_now(tx: Transaction, saga: Saga) -> Asked:
    return await _end(tx, saga, is_at_once=True)


async def _let_renew(tx: Transaction, saga: Saga) -> Asked:
    """Undo the end with the period. The gateway has confirmed it; its report may not be applied yet."""
    return _change(
        await changing.reactivate(
            tx,
            tenant_id=saga.tenant_id,
            subscription_id=_subscription(saga),
            is_known_ending=True,
            actor=saga.actor,
        )
    )


async def _refund(tx: Transaction, saga: Saga) -> Asked:
    refund_id = await refunding.ask_refund(
        tx,
        tenant_id=saga.tenant_id,
        payment_id=ids.parse(ids.PAYMENT, saga.plan["payment"]),
        amount_minor=saga.amount_minor,
        reason=None,
        actor=saga.actor,
        now=await tx.fetchval(_NOW),
    )
    shown = ids.show(ids.REFUND, refund_id)
    return Asked(shown, f"refund:{shown}")


REFUND: Final = "refund"
"""The name of the steps that give money back."""

CHANGE_AND_REFUND: Final = Kind(
    "subscriptions.change_and_refund",
    (
        Step(Act("change", _change_price), undo=Act("change_back", _change_back)),
        Step(Act(REFUND, _refund)),
    ),
)
CANCEL_AND_REFUND: Final = Kind(
    "subscriptions.cancel_and_refund",
    (
        Step(
            Act("end_with_period", _end_with_period),
            undo=Act("let_renew", _let_renew),
            is_needed=lambda plan: not plan["is_ending"],
        ),
        Step(Act(REFUND, _refund)),
        Step(Act("cancel_now", _cancel_now)),
    ),
)

KINDS: Final = {kind.name: kind for kind in (CHANGE_AND_REFUND, CANCEL_AND_REFUND)}
