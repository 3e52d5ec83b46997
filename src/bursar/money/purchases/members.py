"""The snapshots of one purchase, sorted by kind."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from bursar.money.gateways.facts import (
    AssignmentFact,
    ChargeFact,
    Claim,
    DisputeFact,
    DisputeFundsFact,
    InvoiceFact,
    InvoicePaymentFact,
    InvoiceStatus,
    Line,
    PaymentFact,
    PaymentPurpose,
    PaymentStatus,
    RefundFact,
    SessionFact,
    SessionPayment,
)
from bursar.money.merging import Snapshot


@dataclass
class Members:
    """Lists are in the order of the gateway's ids, so that reading them never depends on arrival."""

    payments: list[PaymentFact] = field(default_factory=list)
    charges: list[tuple[ChargeFact, datetime]] = field(default_factory=list)
    refunds: list[tuple[RefundFact, datetime]] = field(default_factory=list)
    disputes: list[DisputeFact] = field(default_factory=list)
    funds: list[DisputeFundsFact] = field(default_factory=list)
    invoices: list[InvoiceFact] = field(default_factory=list)
    sessions: list[SessionFact] = field(default_factory=list)
    links: list[InvoicePaymentFact] = field(default_factory=list)
    assignments: list[AssignmentFact] = field(default_factory=list)
    first_at: datetime | None = None

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot]) -> "Members":
        found = cls()
        for fact, at in sorted(snapshots, key=lambda s: s.fact.ref):
            found.first_at = at if found.first_at is None else min(found.first_at, at)
            if isinstance(fact, ChargeFact):
                found.charges.append((fact, at))
            elif isinstance(fact, RefundFact):
                found.refunds.append((fact, at))
            else:
                found._of_kind(fact).append(fact)
        return found

    def _of_kind(self, fact: object) -> list[Any]:
        by_type: dict[type, list[Any]] = {
            PaymentFact: self.payments,
            DisputeFact: self.disputes,
            DisputeFundsFact: self.funds,
            InvoiceFact: self.invoices,
            SessionFact: self.sessions,
            InvoicePaymentFact: self.links,
            AssignmentFact: self.assignments,
        }
        return by_type[type(fact)]

    @cached_property
    def invoice(self) -> InvoiceFact | None:
        """The invoice that was paid, else the first."""
        paid = [i for i in self.invoices if i.status is InvoiceStatus.paid]
        return next(iter(paid or self.invoices), None)

    @cached_property
    def session(self) -> SessionFact | None:
        """The checkout that was paid, else the first."""
        paid = [s for s in self.sessions if is_paid_for(s)]
        return next(iter(paid or self.sessions), None)

    @property
    def subscription_ref(self) -> str | None:
        """The subscription this purchase pays for."""
        holders: list[InvoiceFact | SessionFact | PaymentFact] = [*self.invoices, *self.sessions, *self.payments]
        for holder in holders:
            if holder.subscription:
                return holder.subscription
        return next((line.subscription for i in self.invoices for line in i.lines if line.subscription), None)

    @property
    def claims(self) -> list[Claim]:
        """What its objects say of themselves, most telling first: a checkout before a payment, a payment before its invoice."""
        holders: list[SessionFact | PaymentFact | InvoiceFact | ChargeFact] = [
            *self.sessions,
            *self.payments,
            *self.invoices,
            *(charge for charge, _ in self.charges),
        ]
        return [holder.claim for holder in holders]

    @property
    def own_lines(self) -> tuple[Line, ...]:
        """The lines that the purchase's own objects tell: the invoice's, else the checkout's, else the payment's cart."""
        holders = (self.invoice, self.session, *self.payments)
        return next((holder.lines for holder in holders if holder and holder.lines), ())

    @property
    def is_cut(self) -> bool:
        """True when the gateway sent only the first lines of a longer list."""
        return any(holder.has_more_lines for holder in (self.invoice, self.session) if holder and holder.lines)

    @property
    def is_settlement(self) -> bool:
        """True when it only settles a change of plan: what it changes to is granted with its period."""
        if self.invoice is None:
            return self.purpose is PaymentPurpose.plan_change and any(p.is_prorated for p in self.payments)
        return bool(self.invoice.lines) and all(line.is_proration for line in self.invoice.lines)

    @property
    def purpose(self) -> PaymentPurpose | None:
        """Why its payment was taken, where no invoice or checkout tells of the sale."""
        if self.invoices or self.sessions:
            return None
        return next((p.purpose for p in self.payments if p.purpose), None)

    @property
    def period_start(self) -> datetime | None:
        """When the period that its payment says it is for begins."""
        return next((p.period_start for p in self.payments if p.period_start), None)

    @property
    def created_at(self) -> datetime:
        """When the purchase began, as its most telling object says."""
        told: list[PaymentFact | ChargeFact | InvoiceFact | SessionFact | RefundFact | DisputeFact] = [
            *self.payments,
            *(c for c, _ in self.charges),
            *self.invoices,
            *self.sessions,
            *(r for r, _ in self.refunds),
            *self.disputes,
        ]
        created = next((holder.created_at for holder in told if holder.created_at), self.first_at)
        if created is None:
            raise AssertionError("a purchase has at least one member")
        return created

    def succeeded_charges(self) -> list[ChargeFact]:
        return [c for c, _ in self.charges if c.status is PaymentStatus.succeeded and c.is_captured]


def is_paid_for(session: SessionFact) -> bool:
    """True when a checkout owes nothing any more. One that only saves a way to pay sells nothing, so it never owed."""
    return session.mode != "setup" and session.payment_status in (
        SessionPayment.paid,
        SessionPayment.no_payment_required,
    )
