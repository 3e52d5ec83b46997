"""What a gateway can report, as frozen types. An event is translated into facts and nothing else.

Every fact is a *snapshot* of one gateway object, named by `ref` (the gateway's own id). Two snapshots
of one object are ordered by `version_of`: never a step back from a final state, then the gateway's own
time, then the rank of the state, then the content itself, so that any delivery order ends alike.

Units: amounts are whole minor units of ISO 4217 (not the gateway's), currencies upper case, times aware UTC.
A field that the gateway did not tell is None (or empty); a name of an object is the gateway's id of it.

Sources: Stripe API reference, object pages (layouts of 2011 to 2026); Dodo Payments webhook schemas.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NamedTuple

import msgspec


class PaymentStatus(StrEnum):
    """Life of a payment. `succeeded` and `canceled` are final; a failed attempt may be followed by another."""

    pending = "pending"
    requires_action = "requires_action"
    processing = "processing"
    failed = "failed"
    canceled = "canceled"
    succeeded = "succeeded"


class RefundStatus(StrEnum):
    """A refund counts as money returned only while it is `succeeded`; a bank may still send it back."""

    pending = "pending"
    succeeded = "succeeded"
    failed = "failed"
    canceled = "canceled"


class DisputeStatus(StrEnum):
    """`won`, `lost` and `closed` (an inquiry that ended without a chargeback) are final."""

    needs_response = "needs_response"
    under_review = "under_review"
    won = "won"
    lost = "lost"
    closed = "closed"


class InvoiceStatus(StrEnum):
    draft = "draft"
    open = "open"
    uncollectible = "uncollectible"
    void = "void"
    paid = "paid"


class SubscriptionStatus(StrEnum):
    incomplete = "incomplete"
    trialing = "trialing"
    active = "active"
    past_due = "past_due"
    unpaid = "unpaid"
    paused = "paused"
    canceled = "canceled"


class SessionStatus(StrEnum):
    open = "open"
    expired = "expired"
    complete = "complete"


class SessionPayment(StrEnum):
    """Whether the checkout is paid for; `no_payment_required` grants as `paid` does."""

    unpaid = "unpaid"
    failed = "failed"
    no_payment_required = "no_payment_required"
    paid = "paid"


class PaymentPurpose(StrEnum):
    """Why a payment of a subscription was taken, where the gateway says it (Dodo's `charge_type`).

    payment_method: it only proved another way to pay. on_demand: a sum of the seller's choosing.
    """

    new = "new"
    renewal = "renewal"
    plan_change = "plan_change"
    on_demand = "on_demand"
    payment_method = "payment_method"


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A snapshot of one gateway object. `kind` names its type in the database; it never changes."""

    kind: ClassVar[str]
    ref: str


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the object itself says was bought (metadata that Bursar, or a developer, put on it).

    order: Bursar's order id (`client_reference_id` or metadata `bursar_order`).
    price: a price id or lookup key (metadata `bursar_price`). quantity: the text of `bursar_quantity`.
    """

    order: str | None = None
    price: str | None = None
    quantity: str | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an invoice, checkout or cart. prices: the gateway's price ids that name it, best first."""

    ref: str | None = None
    prices: tuple[str, ...] = ()
    quantity: int = 1
    amount_minor: int | None = None
    is_proration: bool = False
    subscription: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    description: str | None = None


class CustomerFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """default_method: the saved way to pay that invoices are paid with."""

    kind: ClassVar[str] = "customer"
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    is_deleted: bool = False
    created_at: datetime | None = None
    default_method: str | None = None


class PaymentFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A payment as the gateway sees it: Stripe's PaymentIntent, Dodo's payment, a payment at the desk.

    bursar_payment: Bursar's own id of it (metadata `bursar_payment`), where we asked for it.
    amount_minor: what was received when it succeeded, else what is asked.
    purpose, is_prorated, period_start: of a subscription's payment: why, for part of a period, from when; None where not told.
    """

    kind: ClassVar[str] = "payment"
    status: PaymentStatus
    amount_minor: int
    currency: str
    customer: str | None = None
    email: str | None = None
    invoice: str | None = None
    charge: str | None = None
    subscription: str | None = None
    payment_method: str | None = None
    purpose: PaymentPurpose | None = None
    is_prorated: bool | None = None
    period_start: datetime | None = None
    claim: Claim = Claim()
    lines: tuple[Line, ...] = ()
    failure_code: str | None = None
    failure_message: str | None = None
    description: str | None = None
    created_at: datetime | None = None
    bursar_payment: str | None = None


class ChargeFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt to take money (Stripe). is_captured: False while it is only authorised.

    refunded_minor: running total that the gateway reports; includes refunds we may not have seen one by one.
    """

    kind: ClassVar[str] = "charge"
    status: PaymentStatus
    amount_minor: int
    currency: str
    is_captured: bool = True
    refunded_minor: int = 0
    payment: str | None = None
    invoice: str | None = None
    customer: str | None = None
    email: str | None = None
    payment_method: str | None = None
    claim: Claim = Claim()
    failure_code: str | None = None
    failure_message: str | None = None
    description: str | None = None
    created_at: datetime | None = None
    bursar_payment: str | None = None


class RefundFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """amount_minor: None is all of the payment that was not returned otherwise; currency: None is the payment's.

    bursar_refund: Bursar's own id of it (metadata `bursar_refund`). A later report may lack it: Dodo's payments list
    their refunds without metadata. What is linked once stays linked.
    """

    kind: ClassVar[str] = "refund"
    status: RefundStatus
    amount_minor: int | None = None
    currency: str | None = None
    payment: str | None = None
    charge: str | None = None
    reason: str | None = None
    bursar_refund: str | None = None
    created_at: datetime | None = None


class DisputeFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """amount_minor, currency: None is the whole payment's. is_inquiry: an early warning; no money is withdrawn yet (Stripe's `warning_…` states)."""

    kind: ClassVar[str] = "dispute"
    status: DisputeStatus
    amount_minor: int | None = None
    currency: str | None = None
    payment: str | None = None
    charge: str | None = None
    is_inquiry: bool = False
    reason: str | None = None
    due_by: datetime | None = None
    created_at: datetime | None = None


class DisputeFundsFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """The gateway moved disputed money. ref: the dispute's id, a colon, the direction. Once true, always true.

    direction: `withdrawn` from us or `reinstated` to us.
    """

    kind: ClassVar[str] = "dispute_funds"
    dispute: str
    direction: str
    amount_minor: int
    currency: str
    payment: str | None = None
    charge: str | None = None


class InvoiceFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """payments: gateway ids of payments known to settle it; charge: the old layout's charge id.

    has_more_lines: the gateway cut the list (Stripe sends the first ten); the rest must be fetched.
    """

    kind: ClassVar[str] = "invoice"
    status: InvoiceStatus
    total_minor: int
    paid_minor: int
    currency: str
    customer: str | None = None
    email: str | None = None
    subscription: str | None = None
    payments: tuple[str, ...] = ()
    charge: str | None = None
    number: str | None = None
    claim: Claim = Claim()
    lines: tuple[Line, ...] = ()
    has_more_lines: bool = False
    billing_reason: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    due_at: datetime | None = None
    paid_at: datetime | None = None
    created_at: datetime | None = None


class InvoicePaymentFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A link told on its own: this payment settles this invoice (Stripe since 2025, `invoice_payment.paid`)."""

    kind: ClassVar[str] = "invoice_payment"
    invoice: str
    payment: str | None = None
    charge: str | None = None


class SubscriptionFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """lines: its items. Periods are half-open. is_ending: it will cancel at `cancel_at` or the period's end.

    default_method: the saved way to pay that its own invoices are paid with; None: the customer's.
    """

    kind: ClassVar[str] = "subscription"
    status: SubscriptionStatus
    customer: str | None = None
    claim: Claim = Claim()
    lines: tuple[Line, ...] = ()
    has_more_lines: bool = False
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    is_ending: bool = False
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    trial_end: datetime | None = None
    created_at: datetime | None = None
    default_method: str | None = None

    @property
    def is_owing(self) -> bool:
        """True while a period that has begun is not paid for."""
        return self.status in (SubscriptionStatus.past_due, SubscriptionStatus.unpaid)

    @property
    def is_ended(self) -> bool:
        """True when it is over, or never began and cannot any more."""
        return self.status is SubscriptionStatus.canceled

    @property
    def is_begun(self) -> bool:
        """True when this snapshot shows it in its life: begun, and not over."""
        return self.status not in (SubscriptionStatus.incomplete, SubscriptionStatus.canceled)


class SessionFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A hosted checkout. mode: payment, subscription or setup."""

    kind: ClassVar[str] = "session"
    status: SessionStatus
    payment_status: SessionPayment
    mode: str
    amount_minor: int | None = None
    currency: str | None = None
    customer: str | None = None
    email: str | None = None
    payment: str | None = None
    invoice: str | None = None
    subscription: str | None = None
    claim: Claim = Claim()
    lines: tuple[Line, ...] = ()
    has_more_lines: bool = False
    expires_at: datetime | None = None
    created_at: datetime | None = None


class PaymentMethodFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A saved way to pay. method: `card`, `sepa_debit`, … Only what a screen shows; never a full number."""

    kind: ClassVar[str] = "payment_method"
    method: str
    customer: str | None = None
    brand: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    is_detached: bool = False
    created_at: datetime | None = None


class LicenceKeyFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A licence key that the gateway itself issued (Dodo). activations_max: None is unlimited."""

    kind: ClassVar[str] = "licence_key"
    key: str
    status: str
    customer: str | None = None
    payment: str | None = None
    product: str | None = None
    activations_max: int | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None


class AssignmentFact(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """An operator's word on what unmatched money bought. ref: `assignment:` and the payment's gateway id."""

    kind: ClassVar[str] = "assignment"
    payment: str
    price: str
    quantity: int = 1
    customer: str | None = None


AnyFact = (
    CustomerFact
    | PaymentFact
    | ChargeFact
    | RefundFact
    | DisputeFact
    | DisputeFundsFact
    | InvoiceFact
    | InvoicePaymentFact
    | SubscriptionFact
    | SessionFact
    | PaymentMethodFact
    | LicenceKeyFact
    | AssignmentFact
)

KINDS: dict[str, type[Fact]] = {t.kind: t for t in AnyFact.__args__}


class Version(NamedTuple):
    """Order of two snapshots of one object: compared left to right, the greater replaces the lesser."""

    is_final: bool
    at: datetime
    rank: int


_PAYMENT_RANK = {s: i for i, s in enumerate(PaymentStatus)}
_REFUND_RANK = {s: i for i, s in enumerate(RefundStatus)}
_DISPUTE_RANK = {s: i for i, s in enumerate(DisputeStatus)}
_INVOICE_RANK = {s: i for i, s in enumerate(InvoiceStatus)}
_SUBSCRIPTION_RANK = {s: i for i, s in enumerate(SubscriptionStatus)}
_SESSION_RANK = {s: i for i, s in enumerate(SessionStatus)}
_SESSION_PAYMENT_RANK = {s: i for i, s in enumerate(SessionPayment)}


def version_of(fact: AnyFact, at: datetime) -> Version:  # noqa: PLR0911 - one line for each kind
    """Return the version of a snapshot that the gateway took at `at`.

    A final state outranks any time: a `canceled` subscription or a `won` dispute is never reopened by a
    report that was delayed. Within one second (the gateways' resolution) the later state of life wins.
    """
    match fact:
        case PaymentFact(status=status):
            return Version(status in (PaymentStatus.succeeded, PaymentStatus.canceled), at, _PAYMENT_RANK[status])
        case ChargeFact(status=status, refunded_minor=refunded, is_captured=captured):
            return Version(False, at, (_PAYMENT_RANK[status] * 2 + captured) * 2**54 + refunded)
        case RefundFact(status=status):
            return Version(status in (RefundStatus.failed, RefundStatus.canceled), at, _REFUND_RANK[status])
        case DisputeFact(status=status):
            final = status in (DisputeStatus.won, DisputeStatus.lost, DisputeStatus.closed)
            return Version(final, at, _DISPUTE_RANK[status])
        case InvoiceFact(status=status):
            return Version(status in (InvoiceStatus.paid, InvoiceStatus.void), at, _INVOICE_RANK[status])
        case SubscriptionFact(status=status):
            return Version(status is SubscriptionStatus.canceled, at, _SUBSCRIPTION_RANK[status])
        case SessionFact(status=status, payment_status=paid):
            final = status is SessionStatus.expired or paid in (SessionPayment.paid, SessionPayment.no_payment_required)
            return Version(final, at, _SESSION_RANK[status] * 8 + _SESSION_PAYMENT_RANK[paid])
        case CustomerFact(is_deleted=gone) | PaymentMethodFact(is_detached=gone):
            return Version(gone and isinstance(fact, CustomerFact), at, int(gone))
        case _:
            return Version(False, at, 0)
