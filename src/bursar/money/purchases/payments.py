"""Which payments a purchase has, and in what state. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bursar.money.gateways.facts import (
    AssignmentFact,
    ChargeFact,
    DisputeFact,
    DisputeFundsFact,
    InvoicePaymentFact,
    InvoiceStatus,
    PaymentStatus,
    RefundFact,
    SessionFact,
    SessionPayment,
)
from bursar.money.purchases.members import Members

_UNDECIDED = (PaymentStatus.pending, PaymentStatus.requires_action, PaymentStatus.processing)
_UNSETTLED = (*_UNDECIDED, PaymentStatus.failed)


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment of a purchase. ref: the gateway's id of the payment; where it has none, of the charge, invoice or checkout.

    refunded_minor: what the customer has got back. is_disputed: a dispute is open. bursar_payment: our own id, if we asked for it.
    """

    ref: str
    charge_ref: str | None
    status: PaymentStatus
    amount_minor: int
    currency: str
    created_at: datetime
    refunded_minor: int = 0
    is_disputed: bool = False
    failure_code: str | None = None
    failure_message: str | None = None
    description: str | None = None
    bursar_payment: str | None = None


def payments_of(members: Members) -> tuple[PaymentView, ...]:
    """Return every payment of the purchase, in the order of their ids.

    A payment is named by the gateway's payment object; in layouts before payment intents by the charge;
    and while only a paid invoice or checkout is known, by that, until the real one is told.
    """
    refs = _payment_refs(members)
    if refs:
        views = [_payment(ref, members, is_only=len(refs) == 1) for ref in refs]
    else:
        views = [_of_charge(ref, members) for ref in _charge_refs(members)]
    views = _proven_elsewhere(views, members)
    if not any(v.status is PaymentStatus.succeeded for v in views) and (stand_in := _stand_in(members, views)):
        views.append(stand_in)
    return tuple(views)


def charges_of(payment_ref: str, members: Members, *, is_only: bool) -> list[tuple[ChargeFact, datetime]]:
    """Return the attempts at one payment. One that names no payment belongs to the only payment there is."""
    named = {p.ref: p.charge for p in members.payments}.get(payment_ref)
    return [
        (charge, at)
        for charge, at in members.charges
        if charge.payment == payment_ref or charge.ref in (named, payment_ref) or (charge.payment is None and is_only)
    ]


def _payment_refs(members: Members) -> list[str]:
    refs = {p.ref for p in members.payments}
    refs.update(ref for i in members.invoices for ref in i.payments)
    naming: list[
        SessionFact | InvoicePaymentFact | ChargeFact | RefundFact | DisputeFact | DisputeFundsFact | AssignmentFact
    ] = [
        *members.sessions,
        *members.links,
        *(c for c, _ in members.charges),
        *(r for r, _ in members.refunds),
        *members.disputes,
        *members.funds,
        *members.assignments,
    ]
    refs.update(holder.payment for holder in naming if holder.payment)
    # An assignment may name the charge or invoice that stands in for the payment.
    others = {c.ref for c, _ in members.charges} | {i.ref for i in members.invoices} | {s.ref for s in members.sessions}
    return sorted(refs - others)


def _charge_refs(members: Members) -> list[str]:
    refs = {c.ref for c, _ in members.charges} | {i.charge for i in members.invoices if i.charge}
    naming: list[RefundFact | DisputeFact | DisputeFundsFact | InvoicePaymentFact] = [
        *(r for r, _ in members.refunds),
        *members.disputes,
        *members.funds,
        *members.links,
    ]
    refs |= {holder.charge for holder in naming if holder.charge}
    return sorted(refs)


def _payment(ref: str, members: Members, *, is_only: bool) -> PaymentView:
    fact = next((p for p in members.payments if p.ref == ref), None)
    charges = [c for c, _ in charges_of(ref, members, is_only=is_only)]
    best = _best(charges)
    if fact is None:
        return _from_charge(ref, best, members) if best else _stub(ref, members)
    status, amount = fact.status, fact.amount_minor
    if best and best.status is PaymentStatus.succeeded and best.is_captured and status in _UNSETTLED:
        # The payment was described before it succeeded: what was taken may be less than what was asked.
        status, amount = PaymentStatus.succeeded, best.amount_minor
    return PaymentView(
        ref=ref,
        charge_ref=best.ref if best else fact.charge,
        status=status,
        amount_minor=amount,
        currency=fact.currency,
        created_at=fact.created_at or _time(members),
        failure_code=fact.failure_code if status is not PaymentStatus.succeeded else None,
        failure_message=fact.failure_message if status is not PaymentStatus.succeeded else None,
        description=fact.description,
        bursar_payment=fact.bursar_payment or (best.bursar_payment if best else None),
    )


def _of_charge(ref: str, members: Members) -> PaymentView:
    fact = next((c for c, _ in members.charges if c.ref == ref), None)
    return _from_charge(ref, fact, members) if fact else _stub(ref, members, charge_ref=ref)


def _from_charge(ref: str, charge: ChargeFact, members: Members) -> PaymentView:
    status = charge.status
    if status is PaymentStatus.succeeded and not charge.is_captured:
        # An authorisation that was wholly given back was released: nothing can be captured any more.
        is_released = 0 < charge.amount_minor <= charge.refunded_minor
        status = PaymentStatus.canceled if is_released else PaymentStatus.processing
    return PaymentView(
        ref=ref,
        charge_ref=charge.ref,
        status=status,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        created_at=charge.created_at or _time(members),
        failure_code=charge.failure_code,
        failure_message=charge.failure_message,
        description=charge.description,
        bursar_payment=charge.bursar_payment,
    )


def _best(charges: Sequence[ChargeFact]) -> ChargeFact | None:
    """Return the attempt that took the money, else the latest."""
    took = [c for c in charges if c.status is PaymentStatus.succeeded]
    return max(
        took or charges, key=lambda c: (c.is_captured, c.created_at is not None, c.created_at, c.ref), default=None
    )


def _stub(ref: str, members: Members, *, charge_ref: str | None = None) -> PaymentView:
    """A payment that others name and nobody has described yet."""
    amount, currency = _told_amount(members)
    return PaymentView(
        ref=ref,
        charge_ref=charge_ref,
        status=PaymentStatus.pending,
        amount_minor=amount,
        currency=currency,
        created_at=_time(members),
    )


def _told_amount(members: Members) -> tuple[int, str]:
    invoice, session = members.invoice, members.session
    if invoice:
        return invoice.paid_minor or max(invoice.total_minor, 0), invoice.currency
    if session and session.amount_minor is not None and session.currency:
        return session.amount_minor, session.currency
    returned: list[RefundFact | DisputeFact | DisputeFundsFact] = [
        *(r for r, _ in members.refunds),
        *members.disputes,
        *members.funds,
    ]
    return 0, next((told.currency for told in returned if told.currency), "XXX")


def _proven_elsewhere(views: list[PaymentView], members: Members) -> list[PaymentView]:
    """A paid invoice or checkout proves its only undecided payment, even before the payment itself is told."""
    if any(v.status is PaymentStatus.succeeded for v in views) or not _is_settled(members):
        return views
    open_views = [v for v in views if v.status in _UNDECIDED]
    if len(open_views) != 1:
        return views
    proven = open_views[0]
    amount = proven.amount_minor or _told_amount(members)[0]
    return [replace(v, status=PaymentStatus.succeeded, amount_minor=amount) if v is proven else v for v in views]


def _stand_in(members: Members, views: list[PaymentView]) -> PaymentView | None:
    """Return the payment that a settled invoice or checkout proves while its real one is unknown."""
    if any(v.status in _UNDECIDED for v in views) or not _is_settled(members):
        return None
    holder = members.invoice if members.invoice and members.invoice.status is InvoiceStatus.paid else members.session
    amount, currency = _told_amount(members)
    if holder is None or amount <= 0:
        return None
    return PaymentView(
        ref=holder.ref,
        charge_ref=None,
        status=PaymentStatus.succeeded,
        amount_minor=amount,
        currency=currency,
        created_at=_time(members),
    )


def _is_settled(members: Members) -> bool:
    """True when an invoice or checkout says that money arrived."""
    invoice, session = members.invoice, members.session
    if invoice and invoice.status is InvoiceStatus.paid:
        return invoice.paid_minor > 0
    return bool(session and session.mode != "setup" and session.payment_status is SessionPayment.paid)


def _time(members: Members) -> datetime:
    return members.created_at
