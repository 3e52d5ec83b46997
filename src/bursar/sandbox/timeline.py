"""What comes due by itself, as the sandbox's time passes. A name here is kept in files and never changes."""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import checkouts, consequences, cycles, disputes, payments, refunds
from bursar.sandbox.work import Work


def run(work: Work, kind: str, subject: str) -> None:
    """Do what is due. An object that is gone, or is not in that state any more, has nothing to do."""
    _KINDS[kind](work, subject)


def _expire_session(work: Work, ref: str) -> None:
    session = work.find("checkout.session", ref)
    if session and session["status"] == "open":
        checkouts.end(work, session)


def _settle_payment(work: Work, ref: str) -> None:
    intent = work.find("payment_intent", ref)
    if intent and intent["status"] == "processing":
        payments.settle(work, intent)
        consequences.follow(work, ref)


def _succeed_refund(work: Work, ref: str) -> None:
    refund = work.find("refund", ref)
    if refund and refund["status"] == "pending":
        refunds.succeed(work, refund)


def _fail_refund(work: Work, ref: str) -> None:
    refund = work.find("refund", ref)
    if refund and refund["status"] == "succeeded":
        refunds.fail(work, refund)


def _dispute(act: Callable[[Work, Json], object]) -> Callable[[Work, str], None]:
    def disputing(work: Work, ref: str) -> None:
        dispute = work.find("dispute", ref)
        if dispute:
            act(work, dispute)

    return disputing


def _open_dispute(work: Work, ref: str) -> None:
    charged = work.find("charge", ref)
    if charged and not charged["disputed"]:
        disputes.open_for(work, charged)


_KINDS: Final[dict[str, Callable[[Work, str], None]]] = {
    "session.expire": _expire_session,
    "payment.settle": _settle_payment,
    "refund.succeed": _succeed_refund,
    "refund.fail": _fail_refund,
    "subscription.renew": cycles.renew,
    "subscription.abandon": cycles.abandon,
    "trial.warn": cycles.warn_of_trial_end,
    "invoice.finalize": cycles.finalize,
    "invoice.retry": cycles.retry,
    "dispute.open": _open_dispute,
    "dispute.overdue": _dispute(disputes.overdue),
    "dispute.decide": _dispute(disputes.decide),
}
