"""Coupons: codes that lessen what seats cost, how often they were taken, and until when they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.responses import Response

from bursar.apps.booking.coupons import CODE
from bursar.apps.booking.coupons import keeping as coupons
from bursar.apps.booking.coupons.api import READING, WRITING
from bursar.apps.booking.coupons.keeping import Coupon, CouponCodeTaken, CouponLimitTooLow, NewCoupon
from bursar.apps.booking.schedule import TemplateNotFound
from bursar.apps.booking.schedule.templates import templates
from bursar.apps.booking.schedule.times import placed
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import needs
from bursar.kernel.listing import ASKED, Slice
from bursar.kernel.zones import time_zone_of
from bursar.web.pages.paging import ROWS, Before
from bursar.web.pages.planning import often
from bursar.web.pages.reads.coupons import Meant, meant_by
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.sums import CURRENCY, minor_of
from bursar.web.pages.texts import printable, sentences
from bursar.web.pages.visits import Page, Visit, Visiting, to

_CODE: Final = re.compile(CODE.removeprefix("^").removesuffix("$"), re.ASCII)
_LOCAL: Final = re.compile(r"2\d{3}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?", re.ASCII)
_USES_MAX: Final = 1_000_000
_USES_OF_CUSTOMER_MAX: Final = 1_000
_DIGITS_MAX: Final = 9
_OFFERED_MAX: Final = 40
"""So much of what repeats fits a form; the API takes more."""
_FOR: Final = "for "
"""Begins the name of a field that names what repeats."""

_WORDS: Final = {
    "code": "A code has 2 to 32 letters, digits, - and _, and begins with a letter or a digit.",
    "percent": "The share is a whole number from 1 to 100.",
    "currency": "The currency is written like EUR.",
    "valid_from": "The time is written like 2027-03-01T00:00.",
    "valid_until": "The time is written like 2027-06-01T00:00.",
    "uses_max": f"It is a whole number from 1 to {_USES_MAX}, or empty.",
    "uses_per_customer": f"It is a whole number from 1 to {_USES_OF_CUSTOMER_MAX}, or empty.",
}
_TAKES: Final = "Give a share or an amount, and not both."
_ENDS: Final = "It ends after it begins."

Done = Literal["", "added", "changed", "on", "off"]

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Typed:
    """A form as it was typed. wrong: what is wrong with it, by field."""

    fields: Mapping[str, str]
    wrong: Mapping[str, str]

    def of(self, field: str) -> str:
        """Return what was typed into a field."""
        return self.fields.get(field, "")


@dataclass(frozen=True, slots=True)
class CouponView:
    """A coupon as people read it. since, until: by the clock of the business; empty: no end."""

    id: str
    coupon: Coupon
    money: Money | None
    since: str
    until: str
    state: str
    meant: Meant


@router.get("/coupons")
@needs(READING)
async def all_coupons(visit: Visiting, done: Done = "", before: Before = None) -> Response:
    """Show the coupons, newest first, and the form that adds one."""
    after = ids.parse(ids.COUPON, before) if before else None
    async with visit.open() as page:
        return await _listed(page, after=after, done=done)


@router.post("/coupons")
@needs(WRITING)
async def add_coupon(visit: Visiting) -> Response:
    """Make a coupon. What is wrong with the form is said beside its fields."""
    fields = await visit.form()
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        zone = await time_zone_of(tx, tenant_id=visit.tenant_id)
    new, wrong = _new(fields, zone)
    status = 422
    if new:
        try:
            async with visit.open() as page:
                made = await coupons.add_coupon(page.tx, tenant_id=visit.tenant_id, new=new, actor=visit.actor)
            return to(f"/coupons/{ids.show(ids.COUPON, made.id)}?done=added")
        except CouponCodeTaken as refusal:
            status, wrong = refusal.status, {"code": sentences(refusal)}
        except TemplateNotFound as refusal:
            status, wrong = refusal.status, {"templates": "One of them is not there any more. Tick others."}
    async with visit.open() as page:
        return await _listed(page, typed=Typed(fields, wrong), status=status)


@router.get("/coupons/{coupon}")
@needs(READING)
async def one_coupon(visit: Visiting, coupon: str, done: Done = "") -> Response:
    """Show a coupon, what it is for, and the forms that change it."""
    coupon_id = ids.parse(ids.COUPON, coupon)
    async with visit.open() as page:
        found = await coupons.coupon(page.tx, tenant_id=visit.tenant_id, coupon_id=coupon_id)
        return await _shown(page, found, done=done)


@router.post("/coupons/{coupon}")
@needs(WRITING)
async def change_coupon(visit: Visiting, coupon: str) -> Response:
    """Change until when and how often a coupon is taken."""
    coupon_id = ids.parse(ids.COUPON, coupon)
    fields = await visit.form()
    status = 422
    try:
        async with visit.open() as page:
            found = await coupons.coupon(page.tx, tenant_id=visit.tenant_id, coupon_id=coupon_id)
            zone = await time_zone_of(page.tx, tenant_id=visit.tenant_id)
            changes, wrong = _changes(fields, found, zone)
            if not wrong:
                await _change(page, coupon_id, changes)
                return to(f"/coupons/{ids.show(ids.COUPON, coupon_id)}?done=changed")
    except CouponLimitTooLow as refusal:
        status, wrong = refusal.status, {"uses_max": sentences(refusal)}
    async with visit.open() as page:
        found = await coupons.coupon(page.tx, tenant_id=visit.tenant_id, coupon_id=coupon_id)
        return await _shown(page, found, typed=Typed(fields, wrong), status=status)


@router.post("/coupons/{coupon}/on")
@needs(WRITING)
async def turn_on(visit: Visiting, coupon: str) -> Response:
    """Let a coupon be taken again."""
    return await _turned(visit, coupon, is_on=True)


@router.post("/coupons/{coupon}/off")
@needs(WRITING)
async def turn_off(visit: Visiting, coupon: str) -> Response:
    """Let a coupon be taken no more. Bookings that have it keep it."""
    return await _turned(visit, coupon, is_on=False)


async def _turned(visit: Visit, coupon: str, *, is_on: bool) -> Response:
    coupon_id = ids.parse(ids.COUPON, coupon)
    await visit.form()
    async with visit.open() as page:
        await _change(page, coupon_id, {"is_on": is_on})
    return to(f"/coupons/{ids.show(ids.COUPON, coupon_id)}?done={'on' if is_on else 'off'}")


async def _change(page: Page, coupon_id: UUID, changes: Mapping[str, Any]) -> None:
    await coupons.change_coupon(
        page.tx, tenant_id=page.visit.tenant_id, coupon_id=coupon_id, changes=changes, actor=page.visit.actor
    )


async def _listed(
    page: Page, *, after: UUID | None = None, done: Done = "", typed: Typed | None = None, status: int = 200
) -> Response:
    tenant_id = page.visit.tenant_id
    zone = await time_zone_of(page.tx, tenant_id=tenant_id)
    found = await coupons.coupons(page.tx, tenant_id=tenant_id, page=Slice(ROWS, after), given={})
    meant = await meant_by(page.tx, tenant_id=tenant_id, coupons=found.rows)
    repeating = await templates(page.tx, tenant_id=tenant_id, page=Slice(_OFFERED_MAX), given={"present": ASKED})
    priced = next((c.currency for c in found.rows if c.currency), "EUR")
    return page.answer(
        "planning/coupons.html",
        status_code=status,
        coupons=[_view(each, meant, zone, page.visit.now) for each in found.rows],
        after=ids.show(ids.COUPON, found.next_after) if found.next_after else None,
        is_newest=after is None,
        templates=[(ids.show(ids.CLASS_TEMPLATE, t.id), t, often(t)) for t in repeating.rows],
        typed=typed or Typed({"currency": priced}, {}),
        zone=zone.key,
        done=done,
    )


async def _shown(
    page: Page, coupon: Coupon, *, done: Done = "", typed: Typed | None = None, status: int = 200
) -> Response:
    tenant_id = page.visit.tenant_id
    zone = await time_zone_of(page.tx, tenant_id=tenant_id)
    meant = await meant_by(page.tx, tenant_id=tenant_id, coupons=[coupon])
    kept = {name: str(getattr(coupon, name) or "") for name in ("uses_max", "uses_per_customer")}
    return page.answer(
        "planning/coupon.html",
        status_code=status,
        c=_view(coupon, meant, zone, page.visit.now),
        typed=typed or Typed(kept | {"valid_until": _typed_of(coupon.valid_until, zone)}, {}),
        zone=zone.key,
        done=done,
    )


def _view(coupon: Coupon, meant: Meant, zone: ZoneInfo, now: datetime) -> CouponView:
    money = Money(coupon.amount_minor, coupon.currency) if coupon.amount_minor and coupon.currency else None
    since, until = (_typed_of(at, zone).replace("T", ", ") for at in (coupon.valid_from, coupon.valid_until))
    shown = ids.show(ids.COUPON, coupon.id)
    return CouponView(shown, coupon, money, since, until, _state(coupon, now), meant.by(coupon))


def _state(coupon: Coupon, now: datetime) -> str:
    """Return whether a coupon is taken, as one word or two."""
    reasons = (
        (not coupon.is_on, "off"),
        (coupon.valid_until is not None and now >= coupon.valid_until, "ended"),
        (coupon.uses_max is not None and coupon.used >= coupon.uses_max, "used up"),
        (coupon.valid_from is not None and now < coupon.valid_from, "not yet"),
    )
    return next((word for is_so, word in reasons if is_so), "on")


def _new(fields: Mapping[str, str], zone: ZoneInfo) -> tuple[NewCoupon | None, dict[str, str]]:
    """Return the coupon that a form describes, or what is wrong with each field."""
    wrong: dict[str, str] = {}
    typed = {name: printable(text) for name, text in fields.items()}
    code, currency = typed.get("code", ""), typed.get("currency", "").upper()
    share, amount = typed.get("percent", ""), typed.get("amount", "")
    if not _CODE.fullmatch(code):
        wrong["code"] = _WORDS["code"]
    percent = _whole(typed, "percent", 100, wrong)
    minor = minor_of(amount, currency) if amount else None
    if bool(share) == bool(amount):
        wrong["percent"] = _TAKES
    elif amount and not CURRENCY.fullmatch(currency):
        wrong["currency"] = _WORDS["currency"]
    elif amount and minor is None:
        wrong["amount"] = f"It is an amount of {currency} like 5.00, with as many digits as it has."
    since, until = (_instant(typed, name, zone, wrong) for name in ("valid_from", "valid_until"))
    if since and until and until <= since:
        wrong["valid_until"] = _ENDS
    uses = _whole(typed, "uses_max", _USES_MAX, wrong)
    each = _whole(typed, "uses_per_customer", _USES_OF_CUSTOMER_MAX, wrong)
    ticked = [name.removeprefix(_FOR) for name in fields if name.startswith(_FOR)]
    if len(ticked) > _OFFERED_MAX:
        wrong["templates"] = f"Tick {_OFFERED_MAX} at most."
    if wrong:
        return None, wrong
    meant = [ids.parse(ids.CLASS_TEMPLATE, each) for each in ticked]
    off: dict[str, Any] = {"percent": percent, "amount_minor": minor, "currency": currency if minor else None}
    limits: dict[str, Any] = {"valid_from": since, "valid_until": until, "uses_max": uses, "uses_per_customer": each}
    return NewCoupon(code=code, **off, **limits, templates=meant), {}


def _changes(fields: Mapping[str, str], coupon: Coupon, zone: ZoneInfo) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a form changes of a coupon, and what is wrong with each field. A time that was left as shown stays to the second."""
    wrong: dict[str, str] = {}
    typed = {name: printable(text) for name, text in fields.items()}
    changes: dict[str, Any] = {
        "uses_max": _whole(typed, "uses_max", _USES_MAX, wrong),
        "uses_per_customer": _whole(typed, "uses_per_customer", _USES_OF_CUSTOMER_MAX, wrong),
    }
    if typed.get("valid_until", "") != _typed_of(coupon.valid_until, zone):
        changes["valid_until"] = until = _instant(typed, "valid_until", zone, wrong)
        if until and coupon.valid_from and until <= coupon.valid_from:
            wrong["valid_until"] = _ENDS
    return changes, wrong


def _whole(typed: Mapping[str, str], name: str, most: int, wrong: dict[str, str]) -> int | None:
    text = typed.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else 0
    if text and not 1 <= number <= most:
        wrong[name] = _WORDS[name]
    return number or None


def _instant(typed: Mapping[str, str], name: str, zone: ZoneInfo, wrong: dict[str, str]) -> datetime | None:
    text = typed.get(name, "")
    if not text:
        return None
    try:
        wished = datetime.fromisoformat(text) if _LOCAL.fullmatch(text) else None
        if wished:
            return placed(wished.date(), wished.time(), zone).at
    except (ValueError, OverflowError):
        pass  # Said below, as of every other text that is no time.
    wrong[name] = _WORDS[name]
    return None


def _typed_of(at: datetime | None, zone: ZoneInfo) -> str:
    """Return an instant as a form has it, by the clock of the business; nothing for none."""
    if at is None:
        return ""
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")
