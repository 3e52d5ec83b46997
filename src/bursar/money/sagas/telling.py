"""What a person is to do about a saga that cannot go on by itself: how much, whose, which ids, where. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bursar.kernel.amounts import Money
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.dashboards import page_of
from bursar.money.sagas.models import StepState

WORDS: Final = {
    "change": "Sell the new price",
    "change_back": "Sell the old price again",
    "refund": "Give the money back",
    "end_with_period": "Let it end with its period",
    "let_renew": "Let it renew again",
    "cancel_now": "End it at once",
}
"""What each step does, for people."""

KIND_WORDS: Final = {
    "subscriptions.change_and_refund": "Sell less and give the difference back",
    "subscriptions.cancel_and_refund": "End at once and give back what was not used",
}

_THEN: Final = "Then mark this as settled, with a note of what you did."


@dataclass(frozen=True, slots=True)
class Told:
    """A step as it is told of. call: public id of its gateway call. about: of what was made for it."""

    name: str
    state: StepState
    call: str | None
    about: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """A saga as it is told of. customer: public id."""

    state: str
    gateway: str
    plan: Mapping[str, Any]
    money: Money
    customer: str | None
    steps: Sequence[Told]

    def step(self, name: str) -> Told | None:
        return next((step for step in self.steps if step.name == name), None)

    def is_in(self, name: str, *states: StepState) -> bool:
        step = self.step(name)
        return step is not None and step.state in states


def what_to_do(case: Case) -> str | None:
    """Return what is to be done by hand; None: nothing."""
    if case.state == "stuck":
        return _look(case)
    if case.state != "needs_hands":
        return None
    if case.is_in("change_back", "refused"):
        return _finish_change(case)
    if case.is_in("cancel_now", "refused"):
        return _end_by_hand(case)
    if case.is_in("let_renew", "refused"):
        return _renew_by_hand(case)
    return f"Compare what each step says with what {_at(case)} shows, and finish or undo by hand what is half done. {_THEN}"


def _look(case: Case) -> str:
    lost = next(step for step in case.steps if step.state == "unknown")
    does = WORDS.get(lost.name, lost.name)
    return (
        f"Nobody can tell whether “{does}” was done for {_who(case)}: the answer to {lost.call} was lost. It is looked for "
        f"again by itself, ever more rarely, for four days. To have it looked for now: POST /v1/gateway-calls/{lost.call}/looks; "
        f"when it is found, the rest goes on by itself. If you see at {_at(case)} what became of it and finish by hand "
        f"({_amounts(case)}), mark this as settled with a note."
    )


def _finish_change(case: Case) -> str:
    plan = case.plan
    return (
        f"{_who(case)} has the new price ({plan['price']}, quantity {plan['quantity']}) and was not given {case.money} back: "
        f"the refund was refused ({_why(case, 'refund')}), and the old price could not be restored ({_why(case, 'change_back')}). "
        f"Either refund {case.money} of payment {plan['payment']} ({plan['payment_ref']}) at {_at(case, Kind.payment)}, or let "
        f"subscription {plan['subscription_ref']} sell {plan['price_before']}, quantity {plan['quantity_before']}, again without "
        f"proration at {_at(case)}. {_THEN}"
    )


def _end_by_hand(case: Case) -> str:
    refund = case.step("refund")
    return (
        f"{_who(case)} was given {case.money} back ({refund.about if refund else ''}, of {case.plan['payment_ref']}), and the "
        f"subscription {case.plan['subscription_ref']} could not be ended at once ({_why(case, 'cancel_now')}). It does not "
        f"renew; end it now at {_at(case)}. Do not refund again. {_THEN}"
    )


def _renew_by_hand(case: Case) -> str:
    return (
        f"Nothing was given back to {_who(case)}: the refund of {case.money} was refused ({_why(case, 'refund')}). But the "
        f"subscription {case.plan['subscription_ref']} still ends with its period ({_why(case, 'let_renew')}). Either undo its "
        f"cancellation at {_at(case)}, or refund {case.money} of {case.plan['payment']} ({case.plan['payment_ref']}) at "
        f"{_at(case, Kind.payment)} and end it there. {_THEN}"
    )


def _who(case: Case) -> str:
    return f"customer {case.customer}" if case.customer else "an unknown customer"


def _why(case: Case, name: str) -> str:
    step = case.step(name)
    return (step.error if step and step.error else "no reason was given").rstrip(". ")


def _at(case: Case, kind: Kind = Kind.subscription) -> str:
    ref = case.plan["subscription_ref"] if kind is Kind.subscription else case.plan["payment_ref"]
    return page_of(case.gateway, kind, ref) or f"the gateway ({case.gateway})"


def _amounts(case: Case) -> str:
    return f"{case.money} of {case.plan['payment']} ({case.plan['payment_ref']}), subscription {case.plan['subscription_ref']}"
