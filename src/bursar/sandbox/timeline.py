"""What comes due by itself, as the sandbox's time passes. A name here is kept in files and never changes."""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import checkouts, consequences, cycles, disputes, payments, refunds
from bursar.sandbox.work import Work


def run(work: Work, kind: str, subject: str) -> None:
    """Do what is due. An object that is gone, or is not in that state any more, has nothing to do."""
    _KINDS[kind](work, subject)


def _of(kind: str, act: Callable[[Work, Json], object], **state: object) -> Callable[[Work, str], None]:
    """Return what acts on an object of a kind, if it is there and in that state."""

    def acting(work: Work, ref: str) -> None:
        found = work.find(kind, ref)
        if found and all(found[name] == value for name, value in state.items()):
            act(work, found)

    return acting


def _settle(work: Work, intent: Json) -> None:
    payments.settle(work, intent)
    consequences.follow(work, intent["id"])


_KINDS: Final[dict[str, Callable[[Work, str], None]]] = {
    "session.expire": _of("checkout.session", checkouts.end, status="open"),
    "payment.settle": _of("payment_intent", _settle, status="processing"),
    "refund.succeed": _of("refund", refunds.succeed, status="pending"),
    "refund.fail": _of("refund", refunds.fail, status="succeeded"),
    "subscription.renew": cycles.renew,
    "subscription.abandon": cycles.abandon,
    "trial.warn": cycles.warn_of_trial_end,
    "invoice.finalize": cycles.finalize,
    "invoice.retry": cycles.retry,
    "dispute.open": _of("charge", disputes.open_for, disputed=False),
    "dispute.overdue": _of("dispute", disputes.overdue),
    "dispute.decide": _of("dispute", disputes.decide),
}
