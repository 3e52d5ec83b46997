"""Calls: what may be asked of a gateway, one frozen type for each, with bytes that never change.

A call is written down before it is made and is decoded again for every attempt, perhaps by a newer version of
Bursar. So the name of a call and of each field is permanent; a new field has a default; an unknown field is
refused rather than overlooked.

Units: amounts are whole minor units of ISO 4217, currencies upper case, times aware UTC. A name of an object
(`payment`, `customer`, `price`, …) is the gateway's id of it, unless it says that it is ours.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from bursar.money.gateways.facts import Claim

FILE_BYTES_MAX: Final = 4 * 2**20
"""Largest file of evidence. Stripe takes 4.5 MB for all files of a dispute together."""


class Kind(StrEnum):
    """What a gateway's object is. Permanent: own events carry it."""

    session = "session"
    customer = "customer"
    payment = "payment"
    charge = "charge"
    refund = "refund"
    dispute = "dispute"
    invoice = "invoice"
    subscription = "subscription"
    payment_method = "payment_method"
    setup = "setup"
    balance_transaction = "balance_transaction"
    licence_key = "licence_key"
    file = "file"
    portal_session = "portal_session"
    preview = "preview"
    event = "event"


class CheckoutMode(StrEnum):
    payment = "payment"
    subscription = "subscription"
    setup = "setup"


class Interval(StrEnum):
    day = "day"
    week = "week"
    month = "month"
    year = "year"


class RefundReason(StrEnum):
    requested_by_customer = "requested_by_customer"
    duplicate = "duplicate"
    fraudulent = "fraudulent"
    other = "other"


class Proration(StrEnum):
    """How a change within a period is billed.

    bill_now: what was left of the old is set off against what is left of the new, and billed at once.
    next_invoice: the same, on the next invoice. none: nothing is set off.
    full_now: the new in full at once. difference_now: the difference of the two prices at once.
    """

    bill_now = "bill_now"
    next_invoice = "next_invoice"
    none = "none"
    full_now = "full_now"
    difference_now = "difference_now"


class EvidenceText(StrEnum):
    """What can be said in words against a dispute. The names are Stripe's, which banks' forms follow."""

    access_activity_log = "access_activity_log"
    billing_address = "billing_address"
    cancellation_policy_disclosure = "cancellation_policy_disclosure"
    cancellation_rebuttal = "cancellation_rebuttal"
    customer_email_address = "customer_email_address"
    customer_name = "customer_name"
    customer_purchase_ip = "customer_purchase_ip"
    duplicate_charge_explanation = "duplicate_charge_explanation"
    duplicate_charge_id = "duplicate_charge_id"
    product_description = "product_description"
    refund_policy_disclosure = "refund_policy_disclosure"
    refund_refusal_explanation = "refund_refusal_explanation"
    service_date = "service_date"
    shipping_address = "shipping_address"
    shipping_carrier = "shipping_carrier"
    shipping_date = "shipping_date"
    shipping_tracking_number = "shipping_tracking_number"
    uncategorized_text = "uncategorized_text"


class EvidenceFile(StrEnum):
    """What can be shown against a dispute."""

    cancellation_policy = "cancellation_policy"
    customer_communication = "customer_communication"
    customer_signature = "customer_signature"
    duplicate_charge_documentation = "duplicate_charge_documentation"
    receipt = "receipt"
    refund_policy = "refund_policy"
    service_documentation = "service_documentation"
    shipping_documentation = "shipping_documentation"
    uncategorized_file = "uncategorized_file"


class CheckoutLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of a checkout: a price that the gateway knows, or an amount with its currency and a name.

    interval, interval_count: how often an amount is due again; only in a checkout of a subscription.
    """

    price: str | None = None
    quantity: int = 1
    amount_minor: int | None = None
    currency: str | None = None
    name: str | None = None
    interval: Interval | None = None
    interval_count: int = 1


class Call(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="operation"
):
    """One thing to ask of a gateway. is_read: it changes nothing there, so it may be repeated and forgotten.

    is_let_go: what it carries is not kept once it has its outcome.
    """

    is_read: ClassVar[bool] = False
    is_let_go: ClassVar[bool] = False

    @property
    def operation(self) -> str:
        """The name of what is asked, in the call's bytes too. It never changes."""
        return operation_of(type(self))


def operation_of(kind: type[Call]) -> str:
    """Return the permanent name of a type of call."""
    return str(kind.__struct_config__.tag)


class CreateCheckout(Call, frozen=True, kw_only=True, omit_defaults=True, tag="create_checkout"):
    """Make a hosted page on which a customer pays, subscribes, or saves a way to pay. The answer's `url` leads there.

    claim: what is bought; its `order` is Bursar's order id, which a subscription, living longer, does not carry on. customer: the gateway's; else `email` prefills the page.
    currency: of a checkout in mode setup. saves_payment_method: in mode payment, keep the way to pay for later.
    takes_codes: whether whoever pays may lessen the amount by a code of the gateway, where the gateway asks for one.
    """

    mode: CheckoutMode
    success_url: str
    cancel_url: str | None = None
    lines: tuple[CheckoutLine, ...] = ()
    claim: Claim = Claim()
    customer: str | None = None
    email: str | None = None
    expires_at: datetime | None = None
    trial_end: datetime | None = None
    currency: str | None = None
    saves_payment_method: bool = False
    takes_codes: bool = True


class ExpireCheckout(Call, frozen=True, kw_only=True, omit_defaults=True, tag="expire_checkout"):
    """Close a checkout, so that nobody can pay in it any more."""

    session: str


class CreateCustomer(Call, frozen=True, kw_only=True, omit_defaults=True, tag="create_customer"):
    """Make a customer at the gateway. reference: whatever names the person to us; metadata `bursar_reference`."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    reference: str | None = None


class CreatePayment(Call, frozen=True, kw_only=True, omit_defaults=True, tag="create_payment"):
    """Take money with a saved way to pay, at once. payment: Bursar's id of it, metadata `bursar_payment`.

    is_off_session: the customer is not there; a payment that needs him is refused (`authentication_required`).
    return_url: where he comes back to after he confirmed, when he is there.
    """

    amount_minor: int
    currency: str
    customer: str
    payment_method: str
    is_off_session: bool = True
    return_url: str | None = None
    claim: Claim = Claim()
    description: str | None = None
    payment: str | None = None


class ConfirmPayment(Call, frozen=True, kw_only=True, omit_defaults=True, tag="confirm_payment"):
    """Try a payment again with the customer there. The answer's `url` is where he must confirm, if he must."""

    payment: str
    return_url: str
    payment_method: str | None = None


class CancelPayment(Call, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_payment"):
    """Give up a payment that was not taken."""

    payment: str


class SetupPaymentMethod(Call, frozen=True, kw_only=True, omit_defaults=True, tag="setup_payment_method"):
    """Prove that a way to pay may be used later without the customer. `url`: where he must confirm, if he must.

    To have one entered on a hosted page, create a checkout in mode setup.
    """

    customer: str
    payment_method: str
    return_url: str


class AttachPaymentMethod(Call, frozen=True, kw_only=True, omit_defaults=True, tag="attach_payment_method"):
    payment_method: str
    customer: str


class DetachPaymentMethod(Call, frozen=True, kw_only=True, omit_defaults=True, tag="detach_payment_method"):
    """Forget a saved way to pay. customer: whose it is; afterwards the gateway does not say it any more."""

    payment_method: str
    customer: str


class SetDefaultPaymentMethod(Call, frozen=True, kw_only=True, omit_defaults=True, tag="set_default_payment_method"):
    """Let invoices be paid with it. subscription: only this one's; else all of the customer's that name none."""

    payment_method: str
    customer: str
    subscription: str | None = None


class CreateRefund(Call, frozen=True, kw_only=True, omit_defaults=True, tag="create_refund"):
    """Give money back. refund: Bursar's id of the refund, metadata `bursar_refund`.

    payment: the gateway's payment; where it only knows a charge, `charge` names that. amount_minor: None is all of it;
    currency: the payment's, always, because an amount without one cannot be converted. reason_text: in our own words.
    """

    refund: str
    currency: str
    payment: str | None = None
    charge: str | None = None
    amount_minor: int | None = None
    reason: RefundReason | None = None
    reason_text: str | None = None

    def __post_init__(self) -> None:
        if self.payment is None and self.charge is None:
            raise ValueError("a refund names the payment or the charge that it is of")


class UploadFile(Call, frozen=True, kw_only=True, omit_defaults=True, tag="upload_file"):
    """Lay a file of evidence before the gateway. The answer's `ref` names it. At most FILE_BYTES_MAX."""

    is_let_go: ClassVar[bool] = True
    filename: str
    content_type: str
    content: bytes


class SubmitEvidence(Call, frozen=True, kw_only=True, omit_defaults=True, tag="submit_evidence"):
    """Answer a dispute. files: the `ref` of uploaded files.

    is_final: hand it to the bank, once and for all; else it is only kept beside the dispute and may be changed.
    """

    dispute: str
    texts: dict[EvidenceText, str] = {}
    files: dict[EvidenceFile, str] = {}
    is_final: bool = True


class AcceptDispute(Call, frozen=True, kw_only=True, omit_defaults=True, tag="accept_dispute"):
    """Concede a dispute. It cannot be undone."""

    dispute: str


class ChangeSubscription(Call, frozen=True, kw_only=True, omit_defaults=True, tag="change_subscription"):
    """Replace what a subscription sells, how many, or both.

    price: what it sells afterwards. item: the gateway's id of the line to replace; may be left out where there is one.
    proration_at: reckon as of then, so that what was previewed is what is billed.
    is_kept_unpaid: change it even when the payment of it fails; else nothing changes then.
    claim: what the subscription says from then on that it sells, instead of what it said, its order included. Empty: it says
    what it said.
    """

    subscription: str
    price: str
    quantity: int = 1
    item: str | None = None
    proration: Proration = Proration.bill_now
    proration_at: datetime | None = None
    is_kept_unpaid: bool = False
    claim: Claim = Claim()


class PreviewSubscriptionChange(Call, frozen=True, kw_only=True, omit_defaults=True, tag="preview_subscription_change"):
    """Ask what a change would cost. Fields as in ChangeSubscription; the answer's `preview` is set."""

    is_read: ClassVar[bool] = True
    subscription: str
    price: str
    quantity: int = 1
    item: str | None = None
    proration: Proration = Proration.bill_now
    proration_at: datetime | None = None


class PauseSubscription(Call, frozen=True, kw_only=True, omit_defaults=True, tag="pause_subscription"):
    """Stop service and billing until it is resumed. No gateway resumes by itself: a job of ours does."""

    subscription: str


class ResumeSubscription(Call, frozen=True, kw_only=True, omit_defaults=True, tag="resume_subscription"):
    subscription: str


class CancelSubscriptionNow(Call, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_subscription_now"):
    """End a subscription at once. is_prorated: set off what was paid for and not used."""

    subscription: str
    is_prorated: bool = False
    comment: str | None = None


class CancelSubscriptionAtPeriodEnd(
    Call, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_subscription_at_period_end"
):
    subscription: str
    comment: str | None = None


class ReactivateSubscription(Call, frozen=True, kw_only=True, omit_defaults=True, tag="reactivate_subscription"):
    """Undo a cancellation at the end of the period, before that end."""

    subscription: str


class ExtendTrial(Call, frozen=True, kw_only=True, omit_defaults=True, tag="extend_trial"):
    """Let a trial last until then. Nothing is prorated."""

    subscription: str
    trial_end: datetime


class CreatePortalSession(Call, frozen=True, kw_only=True, omit_defaults=True, tag="create_portal_session"):
    """Make a link to the gateway's own page for a customer. The answer's `url`; it is a secret and short-lived."""

    customer: str
    return_url: str | None = None


AnyCall = (
    CreateCheckout
    | ExpireCheckout
    | CreateCustomer
    | CreatePayment
    | ConfirmPayment
    | CancelPayment
    | SetupPaymentMethod
    | AttachPaymentMethod
    | DetachPaymentMethod
    | SetDefaultPaymentMethod
    | CreateRefund
    | UploadFile
    | SubmitEvidence
    | AcceptDispute
    | ChangeSubscription
    | PreviewSubscriptionChange
    | PauseSubscription
    | ResumeSubscription
    | CancelSubscriptionNow
    | CancelSubscriptionAtPeriodEnd
    | ReactivateSubscription
    | ExtendTrial
    | CreatePortalSession
)

OPERATIONS: Final[dict[str, type[Call]]] = {operation_of(t): t for t in AnyCall.__args__}


class CallUnreadable(ValueError):
    """The bytes are not a call that this version knows: they are of a newer one, or damaged."""


def encode(call: AnyCall) -> bytes:
    """Return the bytes of a call: the same for the same call, in every version of Bursar."""
    return _ENCODER.encode(call)


def decode(request: bytes) -> AnyCall:
    """Return the call that bytes name. Raises CallUnreadable."""
    try:
        call: AnyCall = _DECODER.decode(request)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CallUnreadable(f"not a call that this version knows: {error}") from error
    return call


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_DECODER: Final = msgspec.json.Decoder(AnyCall)
