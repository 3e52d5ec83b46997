"""Assess a purchase: the one pure function between what gateways reported and what Bursar does about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bursar.money.catalog import Catalogue
from bursar.money.gateways.facts import (
    AssignmentFact,
    ChargeFact,
    DisputeStatus,
    InvoiceFact,
    InvoiceStatus,
    PaymentFact,
    PaymentStatus,
    SessionFact,
)
from bursar.money.merging import Snapshot
from bursar.money.purchases.bought import Bought, bought_by
from bursar.money.purchases.members import Members, is_paid_for
from bursar.money.purchases.payments import PaymentView, payments_of
from bursar.money.purchases.plans import History, plan_paid
from bursar.money.purchases.returns import DisputeView, RefundView, returns_of

__all__ = ["Assessment", "Bought", "CustomerName", "DisputeView", "PaymentView", "RefundView", "assess", "names_in"]


class CustomerName(NamedTuple):
    """Who bought. ref: the gateway's customer id, or `email:…` / `guest:…` where the gateway names nobody."""

    ref: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a purchase means. Amounts in minor units of `currency`.

    paid_minor: what succeeded. refunded_minor and lost_minor: what went back, and to disputes, at most what was paid together.
    bought: prices and quantities. unmatched_reason: why (part of) the money names nothing we sell; None when all does.
    leans_on_subscription: what the subscription says of that time, or may yet say, decides what this purchase is.
    """

    customer: CustomerName
    subscription_ref: str | None
    leans_on_subscription: bool
    is_paid: bool
    is_disputed: bool
    paid_minor: int
    refunded_minor: int
    lost_minor: int
    currency: str | None
    paid_at: datetime
    period_start: datetime | None
    bought: tuple[Bought, ...]
    unmatched_reason: str | None
    unmatched_refs: tuple[str, ...]
    payments: tuple[PaymentView, ...]
    refunds: tuple[RefundView, ...]
    disputes: tuple[DisputeView, ...]
    invoices: tuple[InvoiceFact, ...]
    sessions: tuple[SessionFact, ...]


class Names(NamedTuple):
    """What a set of snapshots names in the catalogue: gateway references, prices, orders."""

    refs: set[str]
    prices: set[str]
    orders: set[str]


def names_in(snapshots: Iterable[Snapshot]) -> Names:
    """Return everything in the snapshots that the catalogue may know."""
    names = Names(set(), set(), set())
    for fact, _ in snapshots:
        for line in getattr(fact, "lines", ()):
            names.refs.update(line.prices)
        if (claim := getattr(fact, "claim", None)) is not None:
            if claim.price:
                names.prices.add(claim.price)
            if claim.order:
                names.orders.add(claim.order)
        if isinstance(fact, AssignmentFact):
            names.prices.add(fact.price)
    return names


def assess(snapshots: Iterable[Snapshot], *, histories: Mapping[str, History], catalogue: Catalogue) -> Assessment:
    """Say what a purchase means.

    snapshots: every member, at least one. histories: the snapshots of each subscription that the members name
    and we know, oldest first: what a period bought is what the subscription was then.
    """
    members = Members.of(snapshots)
    payments = payments_of(members)
    paid_at = _paid_at(members)
    plan = plan_paid(members, histories, at=paid_at)
    payments, refunds, disputes = returns_of(members, payments, at=paid_at)
    succeeded = [p for p in payments if p.status is PaymentStatus.succeeded]
    paid_minor = sum(p.amount_minor for p in succeeded)
    is_paid = _is_paid(members, paid_minor=paid_minor, has_payment=bool(succeeded))
    currency = next((p.currency for p in (*succeeded, *payments)), None)
    refunded = min(paid_minor, sum(p.refunded_minor for p in succeeded))
    lost = min(paid_minor - refunded, sum(_loss(d, paid_minor, currency) for d in disputes))
    bought = bought_by(members, plan=plan, catalogue=catalogue, paid_minor=paid_minor, at=paid_at)
    named = _named_customer(members)
    return Assessment(
        customer=_customer(members, payments, named or (plan.subscription.customer if plan.subscription else None)),
        subscription_ref=members.subscription_ref,
        leans_on_subscription=bought.leans_on_subscription or (members.subscription_ref is not None and not named),
        is_paid=is_paid,
        is_disputed=any(d.is_open for d in disputes),
        paid_minor=paid_minor,
        refunded_minor=refunded,
        lost_minor=lost,
        currency=currency,
        paid_at=paid_at,
        period_start=_period_start(members),
        bought=bought.lines,
        unmatched_reason=bought.unmatched_reason if is_paid and paid_minor > 0 else None,
        unmatched_refs=bought.unmatched_refs,
        payments=payments,
        refunds=refunds,
        disputes=disputes,
        invoices=tuple(members.invoices),
        sessions=tuple(members.sessions),
    )


def _is_paid(members: Members, *, paid_minor: int, has_payment: bool) -> bool:
    """True when money (or the agreement that none is due) is proven.

    A part payment of an open invoice does not pay it; a payment of its whole total does, whichever is told first.
    """
    invoice, session = members.invoice, members.session
    if invoice:
        return invoice.status is InvoiceStatus.paid or (has_payment and paid_minor >= invoice.total_minor)
    if has_payment:
        return True
    return bool(session and is_paid_for(session))


def _loss(dispute: DisputeView, paid_minor: int, currency: str | None) -> int:
    """Return what a lost dispute took; one told in another currency took the whole payment."""
    if dispute.status is not DisputeStatus.lost:
        return 0
    return dispute.amount_minor if dispute.currency == currency else paid_minor


def _paid_at(members: Members) -> datetime:
    invoice = members.invoice
    if invoice and invoice.paid_at:
        return invoice.paid_at
    return next((c.created_at for c in members.succeeded_charges() if c.created_at), members.created_at)


def _period_start(members: Members) -> datetime | None:
    invoice = members.invoice
    starts = [
        line.period_start for line in (invoice.lines if invoice else ()) if line.period_start and not line.is_proration
    ]
    return max(starts, default=invoice.period_start if invoice else None)


def _named_customer(members: Members) -> str | None:
    naming: list[AssignmentFact | InvoiceFact | SessionFact | PaymentFact | ChargeFact] = [
        *members.assignments,
        *members.invoices,
        *members.sessions,
        *members.payments,
        *(charge for charge, _ in members.charges),
    ]
    return next((holder.customer for holder in naming if holder.customer), None)


def _customer(members: Members, payments: tuple[PaymentView, ...], ref: str | None) -> CustomerName:
    if ref:
        return CustomerName(ref, None)
    mailing: list[SessionFact | InvoiceFact | ChargeFact | PaymentFact] = [
        *members.sessions,
        *members.invoices,
        *(charge for charge, _ in members.charges),
        *members.payments,
    ]
    email = next((holder.email for holder in mailing if holder.email), None)
    if email:
        # In one spelling, or the first report to come would decide how the address is written.
        address = email.strip().lower()
        return CustomerName(f"email:{address}", address)
    anchor = (
        payments[0].ref
        if payments
        else next(fact.ref for fact in (*members.sessions, *members.invoices, *members.links))
    )
    return CustomerName(f"guest:{anchor}", None)
