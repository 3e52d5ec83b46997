"""Ask for a change of a subscription: one transaction writes what is wanted and the call that does it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid
from bursar.money import calls
from bursar.money.calls import Asker, Ended
from bursar.money.catalog.offers import offers
from bursar.money.catalog.queries import price_named
from bursar.money.changing.guarding import Target, Wish, guard, guard_cancellation, guard_trial
from bursar.money.gateways.calls import (
    AnyCall,
    CancelSubscriptionAtPeriodEnd,
    CancelSubscriptionNow,
    ChangeSubscription,
    ExtendTrial,
    PauseSubscription,
    Proration,
    ReactivateSubscription,
    ResumeSubscription,
)
from bursar.money.gateways.facts import Claim
from bursar.money.subscriptions.queries import SubscriptionNotFound


class PriceNotAtGateway(Conflict):
    """The price has no reference at the subscription's gateway account, so the gateway cannot sell it."""

    code = "price_not_at_gateway"


class PriceNotRecurring(Invalid):
    """A subscription sells what recurs."""

    code = "price_not_recurring"


class SubscriptionChangeOpen(Conflict):
    """An earlier change of the subscription has no outcome yet."""

    code = "subscription_change_open"


@dataclass(frozen=True, slots=True)
class Change:
    """What a subscription is to sell. price: id or lookup key. proration_at: as it was previewed."""

    price: str
    quantity: int = 1
    proration: Proration = Proration.bill_now
    proration_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sold:
    """A price as a gateway knows it."""

    price_id: UUID
    ref: str


@dataclass(frozen=True, slots=True)
class _Said:
    """What was asked for, beside its kind. at: when a cancellation ends it, `now` or `period_end`."""

    price_id: UUID | None = None
    quantity: int | None = None
    proration: str | None = None
    at: str | None = None
    trial_end: datetime | None = None

    @property
    def shown(self) -> dict[str, str | int]:
        """What the audit says of it."""
        told = {
            "price": ids.show(ids.PRICE, self.price_id) if self.price_id else None,
            "quantity": self.quantity,
            "proration": self.proration,
            "at": self.at,
            "trial_end": self.trial_end.isoformat() if self.trial_end else None,
        }
        return {name: value for name, value in told.items() if value is not None}


_NOTHING_MORE: Final = _Said()

_TARGET = """
select s.id, s.gateway_account_id as account_id, a.gateway, a.api_key is not null and a.is_active as has_key, s.gateway_ref as ref,
  s.status, s.cancel_at_period_end as is_ending, s.trial_end
from subscription s join gateway_account a on a.tenant_id = s.tenant_id and a.id = s.gateway_account_id
where s.tenant_id = $1 and s.id = $2
"""

_WRITE = """
insert into subscription_change (tenant_id, id, subscription_id, call_id, kind, actor, price_id, quantity, proration, at, trial_end)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict do nothing
returning id
"""

_ASKED = "select kind from subscription_change where tenant_id = $1 and subscription_id = $2 and id = $3"

_OPEN = "select call_id from subscription_change where tenant_id = $1 and subscription_id = $2 and is_open"

_CLOSE = "update subscription_change set is_open = false where tenant_id = $1 and call_id = $2 and is_open"


async def target_of(tx: Transaction, *, tenant_id: UUID, subscription_id: UUID) -> Target:
    """Return a subscription. Raises SubscriptionNotFound."""
    row = await tx.fetchrow(_TARGET, tenant_id, subscription_id)
    if row is None:
        raise SubscriptionNotFound(f"there is no subscription {ids.show(ids.SUBSCRIPTION, subscription_id)}")
    return Target(**dict(row))


async def sold_at(tx: Transaction, *, tenant_id: UUID, target: Target, price: str) -> Sold:
    """Return how the subscription's gateway knows a price. Raises PriceNotFound, PriceNotRecurring, PriceNotAtGateway."""
    price_id = await price_named(tx, tenant_id=tenant_id, name=price)
    offer = (await offers(tx, tenant_id=tenant_id, account_id=target.account_id, price_ids=[price_id]))[price_id]
    shown = ids.show(ids.PRICE, price_id)
    if offer.interval is None:
        raise PriceNotRecurring(f"{shown} is paid once", hint="Name a price with an interval.")
    if offer.ref is None:
        raise PriceNotAtGateway(
            f"{shown} has no reference at {ids.show(ids.GATEWAY_ACCOUNT, target.account_id)}",
            hint=f"Make the price at the gateway too, and name it: POST /v1/prices/{shown}/gateway-refs.",
        )
    return Sold(price_id, offer.ref)


async def is_asked(tx: Transaction, *, tenant_id: UUID, subscription_id: UUID, change_id: UUID) -> bool:
    """Tell whether this change of this subscription was asked for: whoever repeats a form learns it before any rule is judged."""
    return await tx.fetchval(_ASKED, tenant_id, subscription_id, change_id) is not None


async def ask_change(
    tx: Transaction,
    *,
    tenant_id: UUID,
    subscription_id: UUID,
    change: Change,
    actor: str,
    change_id: UUID | None = None,
) -> UUID:
    """Ask for another price or quantity; return the change. From then on the subscription says what it sells now.

    change_id: a fresh id that makes a repeat harmless, here and in what follows.
    Raises SubscriptionNotFound, SubscriptionStateRefuses, SubscriptionChangeOpen, GatewayKeyMissing, OperationUnsupported,
    PriceNotFound, PriceDeleted, PriceNotRecurring, PriceNotAtGateway.
    """
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
    sold = await sold_at(tx, tenant_id=tenant_id, target=target, price=change.price)
    guard(target, "change")
    call = ChangeSubscription(
        subscription=target.ref,
        price=sold.ref,
        quantity=change.quantity,
        proration=change.proration,
        proration_at=change.proration_at,
        claim=Claim(price=ids.show(ids.PRICE, sold.price_id), quantity=str(change.quantity)),
    )
    said = _Said(sold.price_id, change.quantity, change.proration.value)
    return await _ask(tx, tenant_id, target, "change", call, said=said, actor=actor, change_id=change_id)


async def pause(
    tx: Transaction, *, tenant_id: UUID, subscription_id: UUID, actor: str, change_id: UUID | None = None
) -> UUID:
    """Ask for a pause of service and billing; return the change. Raises as `ask_change`, but for the price."""
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
    guard(target, "pause")
    return await _ask(
        tx, tenant_id, target, "pause", PauseSubscription(subscription=target.ref), actor=actor, change_id=change_id
    )


async def resume(
    tx: Transaction, *, tenant_id: UUID, subscription_id: UUID, actor: str, change_id: UUID | None = None
) -> UUID:
    """Ask for a pause's end; return the change. Raises as `pause`."""
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
    guard(target, "resumption")
    return await _ask(
        tx,
        tenant_id,
        target,
        "resumption",
        ResumeSubscription(subscription=target.ref),
        actor=actor,
        change_id=change_id,
    )


async def cancel(
    tx: Transaction,
    *,
    tenant_id: UUID,
    subscription_id: UUID,
    is_at_once: bool,
    comment: str | None,
    actor: str,
    change_id: UUID | None = None,
) -> UUID:
    """Ask for the end, at once or with the period; return the change. comment: for the gateway. Raises as `pause`."""
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
    guard_cancellation(target, is_at_once=is_at_once)
    kind = CancelSubscriptionNow if is_at_once else CancelSubscriptionAtPeriodEnd
    call: AnyCall = kind(subscription=target.ref, comment=comment)
    said = _Said(at="now" if is_at_once else "period_end")
    return await _ask(tx, tenant_id, target, "cancellation", call, said=said, actor=actor, change_id=change_id)


async def reactivate(
    tx: Transaction,
    *,
    tenant_id: UUID,
    subscription_id: UUID,
    actor: str,
    change_id: UUID | None = None,
    is_known_ending: bool = False,
) -> UUID:
    """Ask that it does not end with its period; return the change. Raises as `pause`.

    is_known_ending: the gateway has confirmed that it ends, and its report may not be applied yet.
    """
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
    target = replace(target, is_ending=target.is_ending or is_known_ending)
    guard(target, "reactivation")
    call = ReactivateSubscription(subscription=target.ref)
    return await _ask(tx, tenant_id, target, "reactivation", call, actor=actor, change_id=change_id)


async def extend_trial(
    tx: Transaction,
    *,
    tenant_id: UUID,
    subscription_id: UUID,
    trial_end: datetime,
    actor: str,
    now: datetime,
    change_id: UUID | None = None,
) -> UUID:
    """Ask for a longer trial; return the change. Raises as `pause`."""
    target = await target_of(tx, tenant_id=tenant_id, subscription_id=subscription_id)
    guard_trial(target, trial_end=trial_end, now=now)
    call = ExtendTrial(subscription=target.ref, trial_end=trial_end)
    return await _ask(
        tx,
        tenant_id,
        target,
        "trial_extension",
        call,
        said=_Said(trial_end=trial_end),
        actor=actor,
        change_id=change_id,
    )


async def _ask(
    tx: Transaction,
    tenant_id: UUID,
    target: Target,
    wish: Wish,
    call: AnyCall,
    *,
    actor: str,
    said: _Said = _NOTHING_MORE,
    change_id: UUID | None = None,
) -> UUID:
    """Write down the change and its call."""
    calls.check_account(target.account, call)
    change_id, subscription = change_id or ids.new(), ids.show(ids.SUBSCRIPTION, target.id)
    shown = ids.show(ids.SUBSCRIPTION_CHANGE, change_id)
    call_id = await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=target.account_id,
        call=call,
        subject=subscription,
        key=f"subscription_change:{shown}",
        actor=actor,
        asker="changing",
    )
    written = await tx.fetchval(
        _WRITE,
        tenant_id,
        change_id,
        target.id,
        call_id,
        wish,
        actor,
        said.price_id,
        said.quantity,
        said.proration,
        said.at,
        said.trial_end,
    )
    if written is None:
        if await is_asked(tx, tenant_id=tenant_id, subscription_id=target.id, change_id=change_id):
            return change_id
        raise await _is_open(tx, tenant_id, target)
    changes = said.shown | {"change": shown}
    action = f"subscription.{wish}_asked"
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=subscription, changes=changes)
    return change_id


async def _is_open(tx: Transaction, tenant_id: UUID, target: Target) -> SubscriptionChangeOpen:
    call_id = await tx.fetchval(_OPEN, tenant_id, target.id)
    call = ids.show(ids.GATEWAY_CALL, call_id) if call_id else ""
    return SubscriptionChangeOpen(
        "an earlier change of this subscription has no outcome yet",
        hint="Wait for it. Where its call is unknown, let somebody look: POST /v1/gateway-calls/{gateway_call}/looks.",
        retry_after_s=2,
        context={"gateway_call": call} if call else {},
    )


async def _ended(tx: Transaction, ended: Ended) -> None:
    """Let the next change be asked for."""
    await tx.execute(_CLOSE, ended.tenant_id, ended.id)


ASKER: Final = Asker("changing", on_succeeded=_ended, on_refused=_ended)
