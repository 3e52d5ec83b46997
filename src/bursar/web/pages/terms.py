"""Terms of bookings and the rules of booking: what a business asks, and what becomes of seats that are given up."""

from dataclasses import fields as fields_of
from typing import Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.apps.booking.policies import (
    Policy,
    Terms,
    change_policy,
    create_policy,
    delete_policy,
    policies_of,
    policy_of,
)
from bursar.apps.booking.policies.terms import BOUNDS, CHOICES
from bursar.apps.booking.rules import BY_ID, RuleUnknown, rules_of, set_rule
from bursar.apps.booking.rules.models import Parameter, Value
from bursar.apps.booking.schedule.api import READING, WRITING
from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.web.pages.planning_forms import ScheduleFormInvalid
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, to

_NAME_MAX: Final = 120
_DIGITS_MAX: Final = 9
WORDS: Final = {
    "cancel_minutes": "Minutes before the start until which cancelling costs nothing",
    "late_cancel": "Credits of who cancels later",
    "no_show": "Credits of who does not come",
    "expired_lot": "Credits that come back when their pack has expired",
    "grace_days": "For how many days such credits are good again",
    "hold_minutes": "Minutes for which a seat waits for its payment",
    "money_back": "Percent of the price that goes back on a cancellation in time",
    "reschedules_max": "How often a booking may be moved",
    "reschedule_minutes": "Minutes before the start until which it may be moved",
    "waitlist_until_minutes": "Minutes before the start after which nobody is promoted from the waitlist",
    "waitlist_mode": "A seat that comes free",
    "offer_minutes": "For how many minutes it is offered",
    "needs_approval": "Staff confirms each booking",
    "no_show_fee_minor": "Fee of who does not come, in the currency's smallest units; 0: none",
    "late_cancel_fee_minor": "Fee of who cancels late, in the currency's smallest units; 0: none",
    "fee_currency": "Currency of fees, as EUR",
    "fee_after": "How many times in the days of the rule about offences cost no fee",
    "fee_free_for": "Features whose holders owe no fee, with commas between them",
}
CHOSEN: Final = {
    "keep": "are kept",
    "return": "go back",
    "forfeit": "are lost",
    "grace": "are good for some more days",
    "auto": "is given to who waits longest",
    "offer": "is offered to who waits longest",
}

TEXTS: Final = {"fee_currency": 3, "fee_free_for": 1300}
"""What is typed, and how long it may be."""

Done = Literal["", "saved", "deleted"]

router = APIRouter(route_class=PageRoute)


@router.get("/schedule/terms")
@needs(READING)
async def terms_page(visit: Visiting, done: Done = "") -> Response:
    """Show the terms and the rules as the business has them."""
    async with visit.open() as page:
        return page.answer(
            "planning/terms.html",
            policies=[(_ref(each.id), each) for each in await policies_of(page.tx, tenant_id=visit.tenant_id)],
            rules=await rules_of(page.tx, tenant_id=visit.tenant_id),
            done=done,
        )


@router.get("/schedule/terms/new")
@needs(WRITING)
async def new_policy_form(visit: Visiting) -> Response:
    """Ask for terms, beginning with the usual ones."""
    async with visit.open() as page:
        return page.answer("planning/policy.html", policy=None, policy_id="", terms=Terms(), **_OFFERED)


@router.post("/schedule/terms/new")
@needs(WRITING)
async def new_policy(visit: Visiting) -> Response:
    """Add terms under a name."""
    fields = await visit.form()
    given: dict[str, Any] = {"name": _name(fields), "terms": _terms(fields), "is_default": "is_default" in fields}
    async with visit.open() as page:
        await create_policy(page.tx, tenant_id=visit.tenant_id, actor=visit.actor, **given)
    return to("/schedule/terms?done=saved")


@router.get("/schedule/terms/{policy}")
@needs(READING)
async def policy_page(visit: Visiting, policy: str) -> Response:
    """Show terms, and the form that changes them for bookings to come."""
    policy_id = ids.parse(ids.BOOKING_POLICY, policy)
    async with visit.open() as page:
        found: Policy = await policy_of(page.tx, tenant_id=visit.tenant_id, policy_id=policy_id)
        return page.answer(
            "planning/policy.html", policy=found, policy_id=_ref(policy_id), terms=found.terms, **_OFFERED
        )


@router.post("/schedule/terms/{policy}")
@needs(WRITING)
async def save_policy(visit: Visiting, policy: str) -> Response:
    """Change terms for bookings made from now on."""
    policy_id = ids.parse(ids.BOOKING_POLICY, policy)
    fields = await visit.form()
    given: dict[str, Any] = {"name": _name(fields), "terms": _terms(fields), "is_default": "is_default" in fields}
    async with visit.open() as page:
        await change_policy(page.tx, tenant_id=visit.tenant_id, policy_id=policy_id, actor=visit.actor, **given)
    return to("/schedule/terms?done=saved")


@router.post("/schedule/terms/{policy}/delete")
@needs(WRITING)
async def drop_policy(visit: Visiting, policy: str) -> Response:
    """Delete terms that no class uses."""
    policy_id = ids.parse(ids.BOOKING_POLICY, policy)
    await visit.form()
    async with visit.open() as page:
        await delete_policy(page.tx, tenant_id=visit.tenant_id, policy_id=policy_id, actor=visit.actor, now=visit.now)
    return to("/schedule/terms?done=deleted")


@router.post("/schedule/rules/{rule}")
@needs(WRITING)
async def save_rule(visit: Visiting, rule: str) -> Response:
    """Turn a rule on or off, with its parameters."""
    fields = await visit.form()
    known = BY_ID.get(rule)
    if known is None:
        raise RuleUnknown("There is no such rule.", hint="Go back to the list of rules.")
    async with visit.open() as page:
        await set_rule(
            page.tx,
            tenant_id=visit.tenant_id,
            rule_id=known.id,
            is_on="is_on" in fields or not known.is_switchable,
            values={p.name: _parameter(fields, p) for p in known.parameters},
            actor=visit.actor,
        )
    return to("/schedule/terms?done=saved")


def _ref(policy_id: UUID) -> str:
    return ids.show(ids.BOOKING_POLICY, policy_id)


def _name(fields: dict[str, str]) -> str:
    name = printable(fields.get("name", ""))
    if not 1 <= len(name) <= _NAME_MAX:
        raise _invalid(f"The name has 1 to {_NAME_MAX} characters.")
    return name


def _terms(fields: dict[str, str]) -> Terms:
    given: dict[str, Any] = {"needs_approval": "needs_approval" in fields}
    for name, (least, most) in BOUNDS.items():
        number = _whole(fields.get(name, ""))
        if number is None or not least <= number <= most:
            raise _invalid(f"{WORDS[name]}: a whole number from {least} to {most}.")
        given[name] = number
    for name, known in CHOICES.items():
        if fields.get(name) not in known:
            raise _invalid(f"{WORDS[name]}: choose one of the list.")
        given[name] = fields[name]
    given["fee_currency"] = printable(fields.get("fee_currency", "")).upper()
    given["fee_free_for"] = tuple(each.strip() for each in fields.get("fee_free_for", "").split(",") if each.strip())
    try:
        return Terms(**given)
    except ValueError as wrong:
        raise _invalid(f"{WORDS['fee_currency']}; {WORDS['fee_free_for']}: {wrong}.") from wrong


def _parameter(fields: dict[str, str], parameter: Parameter) -> Value:
    text = printable(fields.get(parameter.name, ""))
    if type(parameter.default) is bool:
        return parameter.name in fields
    value: Value | None = _whole(text) if type(parameter.default) is int else text
    if value is None or not parameter.accepts(value):
        raise _invalid(f"{parameter.description} {parameter.told}")
    return value


def _whole(text: str) -> int | None:
    typed = text.strip()
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= _DIGITS_MAX else None


def _invalid(message: str) -> ScheduleFormInvalid:
    return ScheduleFormInvalid(message, hint="Go back and correct it.")


_OFFERED: Final[dict[str, Any]] = {
    "names": [field.name for field in fields_of(Terms)],
    "bounds": BOUNDS,
    "offers": CHOICES,
    "texts": TEXTS,
    "words": WORDS,
    "chosen_words": CHOSEN,
}
