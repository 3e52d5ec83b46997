"""Apply a batch. Read it as the way of a payment: merge, assess, record, grant, post, tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from bursar.kernel.db import Transaction
from bursar.money.applying.erasing import erase_and_redact
from bursar.money.applying.postings import causes_of, postings_of
from bursar.money.applying.revisits import to_revisit
from bursar.money.applying.telling import Effect, effects_of, tell
from bursar.money.applying.translation import Translated
from bursar.money.catalog import Catalogue, catalogue_for
from bursar.money.customers import know_customers
from bursar.money.fulfilment import (
    Change,
    Registry,
    bring_to,
    carry_spending,
    move_grants,
    purchase_targets,
    standing_targets,
    unpaid_since,
)
from bursar.money.gateways.facts import CustomerFact, LicenceKeyFact, PaymentMethodFact, SubscriptionFact
from bursar.money.ledger import post_differences
from bursar.money.merging import Merged, Reported, Snapshot, merge, objects, owners_of_methods, subscription_histories
from bursar.money.payments import Assessed, record_purchases
from bursar.money.payments.issued_keys import record_issued_keys
from bursar.money.payments.methods import record_payment_methods
from bursar.money.purchases import Assessment, History, assess, names_in
from bursar.money.purchases.bought import NOTHING, Basket, bought_by_subscription
from bursar.money.subscriptions import Subscribed, record_subscriptions, standings_of

__all__ = ["Applied", "Translated", "apply_batch"]


@dataclass(frozen=True, slots=True)
class Account:
    """The gateway account whose events are applied."""

    tenant_id: UUID
    id: UUID
    gateway: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did. effects: every change of state, each with the event that caused it."""

    effects: tuple[Effect, ...]


async def apply_batch(
    tx: Transaction,
    *,
    account: Account,
    events: Sequence[Translated],
    registry: Registry,
    grace: timedelta,
    now: datetime,
) -> Applied:
    """Bring every table to what these events, with all earlier ones, say.

    tx: a transaction of the account's tenant. events: of this account, in any order. grace: how long
    entitlements outlive the start of an unpaid period.
    """
    events = await erase_and_redact(tx, account=account, events=events, now=now)
    reported = [Reported(e.event.id, fact, e.event.occurred_at) for e in events for fact in e.translation.facts]
    revisits = await to_revisit(tx, account=account, events=events, reported=reported)
    merged = await merge(
        tx, tenant_id=account.tenant_id, account_id=account.id, reported=reported, revisit=revisits.purchases
    )
    _credit_revisits(merged, revisits.purchases)
    await _name_owners(tx, account=account, merged=merged)
    reading = await _read(tx, account=account, merged=merged, reopened=revisits.subscriptions)
    directory = await know_customers(
        tx,
        tenant_id=account.tenant_id,
        account_id=account.id,
        named=reading.customers,
        described=[s.fact for s in merged.loose.values() if isinstance(s.fact, CustomerFact)],
        now=now,
    )
    assessed = [Assessed(p, directory[a.customer.ref], a) for p, a in sorted(reading.assessments.items())]
    recorded = await record_purchases(tx, tenant_id=account.tenant_id, account_id=account.id, assessed=assessed)
    await _record_loose(tx, account=account, merged=merged, assessed=assessed, directory=directory, now=now)
    changes, subscriptions = await _fulfil(
        tx,
        account=account,
        merged=merged,
        reading=reading,
        assessed=assessed,
        directory=directory,
        registry=registry,
        grace=grace,
        now=now,
    )
    await post_differences(
        tx,
        tenant_id=account.tenant_id,
        account_id=account.id,
        postings=[posting for a in assessed for posting in postings_of(a.assessment, gateway=account.gateway)],
        causes={
            ref: cause
            for a in assessed
            for ref, cause in causes_of(
                a, members=merged.purchases[a.purchase_id], event_id=merged.told_by[a.purchase_id]
            ).items()
        },
    )
    effects = effects_of(recorded=recorded, subscriptions=subscriptions, changes=changes, told_by=merged.told_by)
    await tell(tx, tenant_id=account.tenant_id, events=events, effects=effects)
    return Applied(tuple(effects))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The merged facts, understood."""

    assessments: Mapping[UUID, Assessment]
    subscriptions: Mapping[str, tuple[SubscriptionFact | None, datetime, UUID]]
    histories: Mapping[str, History]
    catalogue: Catalogue
    customers: Mapping[str, str | None]


async def _read(tx: Transaction, *, account: Account, merged: Merged, reopened: Mapping[str, UUID]) -> _Reading:
    named = {
        ref: purchase_id
        for purchase_id, members in merged.purchases.items()
        for fact, _ in members
        for ref in _subscriptions_named(fact)
    }
    touched = {ref: merged.told_by[kind, ref] for kind, ref in merged.loose if kind == SubscriptionFact.kind}
    touched |= {ref: merged.told_by[p] for ref, p in named.items() if ref not in touched}
    touched |= {ref: event_id for ref, event_id in reopened.items() if ref not in touched}
    tenant = {"tenant_id": account.tenant_id, "account_id": account.id}
    newest = await objects(tx, **tenant, names=[(SubscriptionFact.kind, ref) for ref in sorted(touched)])
    telling = {
        s.fact.ref for s in newest.values() if isinstance(s.fact, SubscriptionFact) and _is_its_past_asked(s.fact)
    }
    histories: Mapping[str, History] = await subscription_histories(tx, **tenant, refs=named.keys() | telling)
    every = [s for members in merged.purchases.values() for s in members]
    every += [Snapshot(fact, at) for history in histories.values() for fact, at in history]
    names = names_in([*every, *newest.values()])
    catalogue = await catalogue_for(
        tx, **tenant, refs=sorted(names.refs), names=sorted(names.prices), orders=sorted(names.orders)
    )
    assessments = {
        purchase_id: assess(members, histories=histories, catalogue=catalogue)
        for purchase_id, members in merged.purchases.items()
        if members
    }
    subscriptions: dict[str, tuple[SubscriptionFact | None, datetime, UUID]] = {}
    for ref, event_id in touched.items():
        snapshot = newest.get((SubscriptionFact.kind, ref))
        fact = snapshot.fact if snapshot and isinstance(snapshot.fact, SubscriptionFact) else None
        at = snapshot.at if snapshot else assessments[named[ref]].paid_at
        subscriptions[ref] = (fact, at, event_id)
    return _Reading(
        assessments, subscriptions, histories, catalogue, _customers_named(assessments, subscriptions, merged)
    )


def _is_its_past_asked(fact: SubscriptionFact) -> bool:
    """True when what a subscription grants depends on what it was: since when it owes, whether it ever began."""
    return fact.is_owing or fact.is_ended


def _subscriptions_named(fact: object) -> set[str]:
    refs = {getattr(fact, "subscription", None)}
    refs |= {line.subscription for line in getattr(fact, "lines", ())}
    return {ref for ref in refs if ref}


def _customers_named(
    assessments: Mapping[UUID, Assessment],
    subscriptions: Mapping[str, tuple[SubscriptionFact | None, datetime, UUID]],
    merged: Merged,
) -> dict[str, str | None]:
    named: dict[str, str | None] = {a.customer.ref: a.customer.email for a in assessments.values()}
    told = [fact.customer for fact, *_ in subscriptions.values() if fact]
    told += [s.fact.customer for s in merged.loose.values() if isinstance(s.fact, PaymentMethodFact | LicenceKeyFact)]
    return {ref: None for ref in told if ref} | named


def _credit_revisits(merged: Merged, revisit: Mapping[UUID, UUID]) -> None:
    """A purchase that was only read again is told of by the event that asked for it."""
    for purchase_id, event_id in revisit.items():
        merged.told_by.setdefault(merged.absorbed.get(purchase_id, purchase_id), event_id)


async def _name_owners(tx: Transaction, *, account: Account, merged: Merged) -> None:
    """Let a saved way to pay that names nobody (it was detached) belong to whom it belonged last, whichever was told first."""
    nameless = {
        key: s.fact for key, s in merged.loose.items() if isinstance(s.fact, PaymentMethodFact) and not s.fact.customer
    }
    if nameless:
        refs = [fact.ref for fact in nameless.values()]
        owners = await owners_of_methods(tx, tenant_id=account.tenant_id, account_id=account.id, refs=refs)
        for key, fact in nameless.items():
            owned = msgspec.structs.replace(fact, customer=owners.get(fact.ref))
            merged.loose[key] = merged.loose[key]._replace(fact=owned)


async def _record_loose(
    tx: Transaction,
    *,
    account: Account,
    merged: Merged,
    assessed: Sequence[Assessed],
    directory: Mapping[str, UUID],
    now: datetime,
) -> None:
    methods = [s.fact for s in merged.loose.values() if isinstance(s.fact, PaymentMethodFact)]
    keys = [s.fact for s in merged.loose.values() if isinstance(s.fact, LicenceKeyFact)]
    await record_payment_methods(
        tx, tenant_id=account.tenant_id, account_id=account.id, methods=methods, directory=directory, now=now
    )
    await record_issued_keys(
        tx, tenant_id=account.tenant_id, account_id=account.id, keys=keys, assessed=assessed, directory=directory
    )


async def _fulfil(
    tx: Transaction,
    *,
    account: Account,
    merged: Merged,
    reading: _Reading,
    assessed: Sequence[Assessed],
    directory: Mapping[str, UUID],
    registry: Registry,
    grace: timedelta,
    now: datetime,
) -> tuple[list[Change], list[tuple[UUID, dict[str, object]]]]:
    """Grant and take back; return the changed grants, and the changed subscriptions with the event of each."""
    tenant = {"tenant_id": account.tenant_id, "account_id": account.id}
    subscribed = [
        Subscribed(
            ref=ref,
            fact=fact,
            at=at,
            customer_id=directory.get(fact.customer) if fact and fact.customer else None,
            bought=_bought_now(fact, reading.catalogue),
            event_id=event_id,
            unpaid_since=unpaid_since(reading.histories.get(ref, ())) if fact and fact.is_owing else None,
            has_begun=_has_begun(fact, reading.histories.get(ref, ())),
        )
        for ref, (fact, at, event_id) in sorted(reading.subscriptions.items())
    ]
    rows, changed = await record_subscriptions(tx, **tenant, subscribed=subscribed)
    standings = await standings_of(tx, **tenant, subscribed=subscribed, rows=rows)
    await move_grants(tx, tenant_id=account.tenant_id, absorbed=merged.absorbed)
    targets = [
        target
        for a in assessed
        for target in purchase_targets(
            a.purchase_id,
            a.assessment,
            customer_id=a.customer_id,
            event_id=merged.told_by[a.purchase_id],
            registry=registry,
        )
    ]
    targets += [target for s in standings for target in standing_targets(s, registry=registry, grace=grace)]
    sources = {a.purchase_id: merged.told_by[a.purchase_id] for a in assessed}
    sources |= {gone: merged.told_by[kept] for gone, kept in merged.absorbed.items()}
    sources |= {rows[s.ref][0]: s.event_id for s in subscribed}
    changes = await bring_to(
        tx, tenant_id=account.tenant_id, targets=targets, sources=sources, registry=registry, now=now
    )
    await carry_spending(tx, tenant_id=account.tenant_id, absorbed=merged.absorbed, told_by=sources)
    told = {s.ref: s.event_id for s in subscribed}
    return changes, [(told[row["gateway_ref"]], row) for row in changed]


def _has_begun(fact: SubscriptionFact | None, history: History) -> bool:
    return fact is not None and (fact.is_begun or any(told.is_begun for told, _ in history))


def _bought_now(fact: SubscriptionFact | None, catalogue: Catalogue) -> Basket:
    return bought_by_subscription(fact, catalogue) if fact else NOTHING
