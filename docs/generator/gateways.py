"""What can be asked of each gateway, by asking its caller."""

from datetime import UTC, datetime

from bursar.money.gateways import calls
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import Caller, OperationUnsupported
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.registry import GATEWAYS
from generator import markdown

_ABOUT = """
Everything that Bursar may ask of a payment gateway, and which gateway can do it. What one cannot do is refused with 422
`operation_unsupported` before anything is written or sent, with what to do instead. The sandbox is asked as Stripe is; what its
simulator leaves out, it refuses itself. What the port promises: [decision 0411](../decisions/0411-what-a-call-promises.md).
"""
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_LINE = calls.CheckoutLine(price="p")
_AMOUNT = calls.CheckoutLine(amount_minor=1, currency="EUR", name="n")
_URL = "https://shop.example"


def _checkout(mode: str, *lines: calls.CheckoutLine, **more: object) -> calls.CreateCheckout:
    return calls.CreateCheckout(mode=calls.CheckoutMode(mode), success_url=_URL, lines=lines, **more)


def _change(proration: calls.Proration) -> calls.ChangeSubscription:
    return calls.ChangeSubscription(subscription="s", price="p", proration=proration)


_ASKED: tuple[tuple[str, calls.AnyCall], ...] = (
    ("a checkout that is paid once", _checkout("payment", _LINE)),
    ("… of a subscription", _checkout("subscription", _LINE)),
    ("… that saves a way to pay", _checkout("setup")),
    ("… with an amount of our own", _checkout("payment", _AMOUNT)),
    ("… that ends at a time of our own", _checkout("payment", _LINE, expires_at=_AT)),
    ("… with a trial until then", _checkout("subscription", _LINE, trial_end=_AT)),
    ("close a checkout", calls.ExpireCheckout(session="s")),
    ("make a customer", calls.CreateCustomer(email="a@example.org", name="n")),
    (
        "take money with a saved way to pay",
        calls.CreatePayment(amount_minor=1, currency="EUR", customer="c", payment_method="m"),
    ),
    ("try a payment again with its customer", calls.ConfirmPayment(payment="p", return_url=_URL)),
    ("give up a payment", calls.CancelPayment(payment="p")),
    ("prove a way to pay for later", calls.SetupPaymentMethod(customer="c", payment_method="m", return_url=_URL)),
    ("attach a way to pay", calls.AttachPaymentMethod(payment_method="m", customer="c")),
    ("detach a way to pay", calls.DetachPaymentMethod(payment_method="m", customer="c")),
    (
        "make it a subscription's default",
        calls.SetDefaultPaymentMethod(payment_method="m", customer="c", subscription="s"),
    ),
    ("… the customer's", calls.SetDefaultPaymentMethod(payment_method="m", customer="c")),
    ("refund all", calls.CreateRefund(refund="re_", payment="p", currency="EUR")),
    ("refund a part", calls.CreateRefund(refund="re_", payment="p", currency="EUR", amount_minor=1)),
    ("upload a file of evidence", calls.UploadFile(filename="f", content_type="t", content=b"")),
    ("stage or submit evidence", calls.SubmitEvidence(dispute="d")),
    ("accept a dispute", calls.AcceptDispute(dispute="d")),
    *((f"change a subscription, billed as `{way}`", _change(way)) for way in calls.Proration),
    ("… as reckoned before", calls.ChangeSubscription(subscription="s", price="p", proration_at=_AT)),
    ("what a change would cost", calls.PreviewSubscriptionChange(subscription="s", price="p")),
    ("pause a subscription", calls.PauseSubscription(subscription="s")),
    ("resume it", calls.ResumeSubscription(subscription="s")),
    ("end it now", calls.CancelSubscriptionNow(subscription="s")),
    ("… and set off what was not used", calls.CancelSubscriptionNow(subscription="s", is_prorated=True)),
    ("end it with its period", calls.CancelSubscriptionAtPeriodEnd(subscription="s")),
    ("take that back", calls.ReactivateSubscription(subscription="s")),
    ("extend a trial", calls.ExtendTrial(subscription="s", trial_end=_AT)),
    ("a link to the gateway's own page", calls.CreatePortalSession(customer="c")),
)


def page() -> str:
    """Return the page."""
    assert {type(call) for _, call in _ASKED} == set(calls.OPERATIONS.values())
    callers = Callers()
    asked = {name: callers.of(name) for name in GATEWAYS}
    return markdown.page(
        "What each gateway can do",
        _ABOUT,
        "## Calls",
        markdown.table(
            ("what", "operation", *asked),
            [
                (what, markdown.code(call.operation), *("–" if _refusal(c, call) else "yes" for c in asked.values()))
                for what, call in _ASKED
            ],
        ),
        "## What to do instead",
        markdown.table(
            ("gateway", "what", "why not", "instead"),
            [
                (name, what, str(refusal), refusal.hint)
                for name, caller in asked.items()
                for what, call in _ASKED
                if (refusal := _refusal(caller, call))
            ],
        ),
        "## When an answer is lost",
        markdown.table(
            ("gateway", "a call may be repeated with its key"),
            [(name, _repeats(caller.repeats_safely_s)) for name, caller in asked.items()],
        ),
        "## Objects",
        markdown.table(
            ("kind", *asked),
            [(markdown.code(kind), *(_shown(caller, kind) for caller in asked.values())) for kind in Kind],
        ),
    )


def _refusal(caller: Caller, call: calls.AnyCall) -> OperationUnsupported | None:
    try:
        caller.check(call)
    except OperationUnsupported as refusal:
        return refusal
    return None


def _repeats(seconds: int | None) -> str:
    return f"for {seconds // 3600} hours, then it is looked for first" if seconds else "never before it was looked for"


def _shown(caller: Caller, kind: Kind) -> str:
    ways = [word for word, kinds in (("fetched", caller.fetches), ("listed", caller.lists)) if kind in kinds]
    return ", ".join(ways) or "–"
