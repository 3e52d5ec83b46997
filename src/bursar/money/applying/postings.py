"""What the books ought to say about a purchase. Pure."""

from collections.abc import Sequence
from uuid import UUID

from bursar.money.gateways.facts import DisputeStatus, PaymentStatus, RefundStatus
from bursar.money.ledger import Cause, Posting, Source
from bursar.money.merging import Snapshot, member_names
from bursar.money.payments import Assessed
from bursar.money.purchases import Assessment, DisputeView

_SOURCES = {
    "payment": ("payment",),
    "charge": ("payment", "refund"),
    "invoice": ("payment",),
    "session": ("payment",),
    "refund": ("refund",),
    "dispute": ("dispute",),
}


def postings_of(assessment: Assessment, *, gateway: str) -> list[Posting]:
    """Return the sums that ought to stand for every payment, refund and dispute of a purchase."""
    holding = f"gateway:{gateway}"
    income = "unmatched" if assessment.unmatched_reason else "sales"
    succeeded = {p.ref: p for p in assessment.payments if p.status is PaymentStatus.succeeded}
    postings = [
        Posting("payment", p.ref, holding, income, p.amount_minor, p.currency)
        for p in succeeded.values()
        if p.amount_minor
    ]
    postings += [
        Posting("refund", r.ref, "refunds", holding, r.amount_minor, r.currency)
        for r in assessment.refunds
        if r.status is RefundStatus.succeeded
        and r.amount_minor
        and r.payment_ref in succeeded  # else it released an authorisation
    ]
    postings += [
        Posting("dispute", d.ref, "disputes", holding, gone, d.currency)
        for d in assessment.disputes
        if (gone := _withdrawn(d))
    ]
    return postings


def causes_of(assessed: Assessed, *, members: Sequence[Snapshot], event_id: UUID) -> dict[Source, Cause]:
    """Return every source whose books belong to this purchase, with why they move.

    Anything a member names may once have stood in for a payment, and a charge may have told of refunds itself.
    """
    cause = Cause(assessed.customer_id, event_id, assessed.assessment.paid_at)
    named = {tuple(name.split(":", 1)) for fact, _ in members for name in member_names(fact)}
    sources = {(source, ref) for kind, ref in named for source in _SOURCES.get(kind, ())}
    return dict.fromkeys(sorted(sources), cause)


def _withdrawn(dispute: DisputeView) -> int:
    """Return what a dispute keeps from us: what the gateway says it moved, else the sum of a lost one."""
    if dispute.withdrawn_minor or dispute.reinstated_minor:
        return dispute.withdrawn_minor - dispute.reinstated_minor
    return dispute.amount_minor if dispute.status is DisputeStatus.lost else 0
