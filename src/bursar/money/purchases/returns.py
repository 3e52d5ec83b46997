"""What went back to the customer or was lost to a dispute, payment by payment. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bursar.money.gateways.facts import DisputeStatus, PaymentStatus, RefundStatus
from bursar.money.purchases.members import Members
from bursar.money.purchases.payments import PaymentView, charges_of

_OPEN = (DisputeStatus.needs_response, DisputeStatus.under_review)


@dataclass(frozen=True, slots=True)
class RefundView:
    ref: str
    payment_ref: str
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str | None
    created_at: datetime
    is_itemised: bool = True
    bursar_refund: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeView:
    """withdrawn_minor, reinstated_minor: what the gateway says it moved; what came back had gone. is_open: suspends what was granted."""

    ref: str
    payment_ref: str
    status: DisputeStatus
    is_inquiry: bool
    amount_minor: int
    currency: str
    reason: str | None
    due_by: datetime | None
    withdrawn_minor: int
    reinstated_minor: int
    created_at: datetime

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN and not self.is_inquiry


def returns_of(
    members: Members, payments: tuple[PaymentView, ...], *, at: datetime
) -> tuple[tuple[PaymentView, ...], tuple[RefundView, ...], tuple[DisputeView, ...]]:
    """Return the payments with their returned sums, the refunds, and the disputes.

    at: time of the purchase, for refunds and disputes that tell none.
    """
    refunds = (*_itemised(members, payments, at), *_not_itemised(members, payments, at))
    disputes = tuple(
        DisputeView(
            ref=d.ref,
            payment_ref=(payment := _payment_named(d.payment, d.charge, payments)).ref,
            status=d.status,
            is_inquiry=d.is_inquiry,
            amount_minor=payment.amount_minor if d.amount_minor is None else d.amount_minor,
            currency=d.currency or payment.currency,
            reason=d.reason,
            due_by=d.due_by,
            withdrawn_minor=max(_moved(d.ref, members, "withdrawn"), _moved(d.ref, members, "reinstated")),
            reinstated_minor=_moved(d.ref, members, "reinstated"),
            created_at=d.created_at or at,
        )
        for d in members.disputes
    )
    return tuple(_settled(p, refunds, disputes) for p in payments), refunds, disputes


def _settled(payment: PaymentView, refunds: Sequence[RefundView], disputes: Sequence[DisputeView]) -> PaymentView:
    returned = _returned_of(payment, refunds)
    is_disputed = any(d.is_open for d in disputes if d.payment_ref == payment.ref)
    if (payment.refunded_minor, payment.is_disputed) == (returned, is_disputed):
        return payment
    return replace(payment, refunded_minor=returned, is_disputed=is_disputed)


def _moved(dispute: str, members: Members, direction: str) -> int:
    return sum(f.amount_minor for f in members.funds if f.dispute == dispute and f.direction == direction)


def _returned_of(payment: PaymentView, refunds: Sequence[RefundView]) -> int:
    """Return what a payment gave back, in its own currency; a refund told in another one returned all of it.

    Of money that was never taken nothing goes back: such a refund released an authorisation.
    """
    if payment.status is not PaymentStatus.succeeded:
        return 0
    return sum(
        r.amount_minor if r.currency == payment.currency else payment.amount_minor
        for r in refunds
        if r.payment_ref == payment.ref and r.status is RefundStatus.succeeded
    )


def _itemised(members: Members, payments: tuple[PaymentView, ...], at: datetime) -> list[RefundView]:
    told: dict[str, int] = {}
    for r, _ in members.refunds:
        if r.amount_minor is not None and r.status is RefundStatus.succeeded:
            ref = _payment_named(r.payment, r.charge, payments).ref
            told[ref] = told.get(ref, 0) + r.amount_minor
    return [
        RefundView(
            ref=r.ref,
            payment_ref=(payment := _payment_named(r.payment, r.charge, payments)).ref,
            status=r.status,
            amount_minor=max(payment.amount_minor - told.get(payment.ref, 0), 0)
            if r.amount_minor is None
            else r.amount_minor,
            currency=r.currency or payment.currency,
            reason=r.reason,
            created_at=r.created_at or at,
            bursar_refund=r.bursar_refund,
        )
        for r, _ in members.refunds
    ]


def _not_itemised(members: Members, payments: tuple[PaymentView, ...], at: datetime) -> list[RefundView]:
    """Return what charges report as refunded beyond the refunds we know one by one.

    A charge's running total counts every refund made before its snapshot was taken, and drops one that
    failed before it. Source: Stripe, Charge `amount_refunded`; charges no longer list their refunds since 2022-11-15.
    """
    views = []
    for payment in payments:
        for charge, taken_at in charges_of(payment.ref, members, is_only=len(payments) == 1):
            known = sum(
                charge.amount_minor if r.amount_minor is None else r.amount_minor
                for r, r_at in members.refunds
                if (r.charge == charge.ref or (r.charge is None and r.payment == payment.ref))
                and (r.created_at is None or r.created_at <= taken_at)
                and (r.status in (RefundStatus.pending, RefundStatus.succeeded) or r_at > taken_at)
            )
            if charge.is_captured and charge.refunded_minor > known:
                views.append(
                    RefundView(
                        ref=charge.ref,
                        payment_ref=payment.ref,
                        status=RefundStatus.succeeded,
                        amount_minor=charge.refunded_minor - known,
                        currency=charge.currency,
                        reason=None,
                        created_at=at,
                        is_itemised=False,
                    )
                )
    return views


def _payment_named(payment: str | None, charge: str | None, payments: tuple[PaymentView, ...]) -> PaymentView:
    for view in payments:
        if view.ref in (payment, charge) or (charge and view.charge_ref == charge):
            return view
    if not payments:
        raise AssertionError("a refund or dispute names its payment, so there is one")
    return payments[0]
