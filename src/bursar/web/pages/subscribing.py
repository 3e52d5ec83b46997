"""Subscriptions: the list, one with its story, and what can be asked of it, restated before it is asked."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import needs
from bursar.kernel.errors import Invalid
from bursar.kernel.zones import time_zone_of
from bursar.money import calls, changing
from bursar.money.gateways.calls import Proration
from bursar.money.purchases.bought import QUANTITY_MAX
from bursar.money.subscriptions.queries import SubscriptionNotFound
from bursar.web.pages.paging import Before, before
from bursar.web.pages.reads.subscription import Subscription, offers_at, subscription
from bursar.web.pages.reads.subscriptions import STATUSES, subscriptions
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Page, Visit, Visiting, to

CHANGING: Final = "subscriptions:write"
_COMMENT_MAX: Final = 255
_DIGITS_MAX: Final = 9
_PRORATION: Final = {
    Proration.bill_now: "Settle now: what is left of the old is set off against the new, and the rest is billed at once.",
    Proration.next_invoice: "Settle with the next invoice: the same, but nothing is billed before the next renewal.",
    Proration.none: "Settle nothing: what was paid for stays as it is; the new price counts from the next renewal on.",
    Proration.full_now: "Bill the new in full now: what was paid for the old is not set off.",
    Proration.difference_now: "Bill the difference of the two prices now, however much of the period is over.",
}
_WISHES: Final[dict[str, changing.Wish]] = {
    "pause": "pause",
    "resume": "resumption",
    "cancel": "cancellation",
    "reactivate": "reactivation",
    "extend-trial": "trial_extension",
}

Act = Literal["pause", "resume", "cancel", "reactivate", "extend-trial"]
_Ask = Callable[..., Awaitable[UUID]]
"""A function of `changing` that asks for something, all but what every one of them is told."""

router = APIRouter(route_class=PageRoute)


class SubscriptionFormInvalid(Invalid):
    """The form does not say what is wanted."""

    code = "subscription_form_invalid"


@router.get("/subscriptions")
@needs("subscriptions:read")
async def subscription_list(
    visit: Visiting,
    status: Literal["", "trialing", "active", "past_due", "unpaid", "paused", "incomplete", "canceled"] = "",
    customer_ref: Annotated[str, Query(alias="customer", max_length=64)] = "",
    before_id: Before = None,
) -> Response:
    """Show the subscriptions, newest first."""
    async with visit.open() as page:
        found = await subscriptions(
            page.tx,
            tenant_id=visit.tenant_id,
            status=status or None,
            customer_id=ids.parse(ids.CUSTOMER, customer_ref) if customer_ref else None,
            below=before(ids.SUBSCRIPTION, before_id),
        )
        return page.answer(
            "subscriptions.html",
            fragment="subscriptions_rows.html",
            zone=await time_zone_of(page.tx, tenant_id=visit.tenant_id),
            subscriptions=found.rows,
            after=found.after,
            statuses=STATUSES,
            status=status,
            customer=customer_ref,
            is_newest=before_id is None,
        )


@router.get("/subscriptions/{subscription_ref}")
@needs("subscriptions:read")
async def subscription_page(
    visit: Visiting, subscription_ref: str, change: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Show one subscription. change: what was asked for last, whose outcome is told first."""
    async with visit.open() as page:
        found, zone = await _shown(page, subscription_ref)
        asked = next((each for each in found.changes if each.id == change), found.open_change)
        may = changing.possible(found.status, is_ending=found.is_ending) if found.has_key else frozenset()
        acts = [act for act, wish in _WISHES.items() if wish in may]
        return page.answer(
            "subscription.html",
            fragment="subscription_live.html",
            subscription=found,
            zone=zone,
            asked=asked,
            acts=acts if found.open_change is None else [],
            may_change="change" in may and found.open_change is None,
        )


@router.get("/subscriptions/{subscription_ref}/change")
@needs(CHANGING)
async def change_form(visit: Visiting, subscription_ref: str) -> Response:
    """Ask what it is to sell, and how the change is to be billed."""
    async with visit.open() as page:
        found, zone = await _shown(page, subscription_ref)
        offers = await offers_at(page.tx, tenant_id=visit.tenant_id, account_id=found.account_id)
        ways = {way: _PRORATION[way] for way in changing.prorations(found.gateway)}
        return page.answer(
            "subscription_change.html",
            subscription=found,
            zone=zone,
            offers=offers,
            ways=ways,
            quantity_max=QUANTITY_MAX,
        )


@router.post("/subscriptions/{subscription_ref}/change/preview")
@needs(CHANGING)
async def change_preview(visit: Visiting, subscription_ref: str) -> Response:
    """Show what the gateway reckons; whoever goes on asks for just that."""
    fields = await visit.form()
    wanted = _wanted(fields)
    resources = visit.resources
    told = await changing.preview(
        visit.request.app.state.outside,
        resources.db,
        seal=resources.seal,
        is_production=resources.settings.production,
        tenant_id=visit.tenant_id,
        subscription_id=ids.parse(ids.SUBSCRIPTION, subscription_ref),
        change=wanted,
    )
    price_id = ids.show(ids.PRICE, told.price)
    async with visit.open() as page:
        found, zone = await _shown(page, subscription_ref)
        offers = await offers_at(page.tx, tenant_id=visit.tenant_id, account_id=found.account_id)
        return page.answer(
            "subscription_preview.html",
            subscription=found,
            zone=zone,
            preview=told,
            due=Money(told.due_now_minor, told.currency),
            total=None if told.total_minor is None else Money(told.total_minor, told.currency),
            lines=[(line, Money(line.amount_minor, told.currency)) for line in told.lines],
            offer=next((offer for offer in offers if offer.id == price_id), None),
            price_id=price_id,
            way=wanted.proration,
            way_told=_PRORATION[wanted.proration],
            change_id=ids.show(ids.SUBSCRIPTION_CHANGE, ids.new()),
        )


@router.post("/subscriptions/{subscription_ref}/change")
@needs(CHANGING)
async def change(visit: Visiting, subscription_ref: str) -> Response:
    """Ask for the change as it was previewed."""
    fields = await visit.form()
    return await _asked(visit, subscription_ref, fields, partial(changing.ask_change, change=_wanted(fields)))


@router.get("/subscriptions/{subscription_ref}/{act}")
@needs(CHANGING)
async def act_form(visit: Visiting, subscription_ref: str, act: Act) -> Response:
    """Say what an act does, with amount and customer, before it is asked for."""
    async with visit.open() as page:
        found, zone = await _shown(page, subscription_ref)
        if _WISHES[act] not in changing.possible(found.status, is_ending=found.is_ending):
            word = found.status.replace("_", " ")
            raise changing.SubscriptionStateRefuses(
                f"The subscription is {word}: that cannot be asked of it now.", hint="See its page for what can be."
            )
        return page.answer(
            "subscription_act.html",
            subscription=found,
            zone=zone,
            act=act,
            comment_max=_COMMENT_MAX,
            change_id=ids.show(ids.SUBSCRIPTION_CHANGE, ids.new()),
            other_id=ids.show(ids.SUBSCRIPTION_CHANGE, ids.new()),
        )


@router.post("/subscriptions/{subscription_ref}/pause")
@needs(CHANGING)
async def pause(visit: Visiting, subscription_ref: str) -> Response:
    """Stop service and billing until it is resumed."""
    return await _asked(visit, subscription_ref, await visit.form(), changing.pause)


@router.post("/subscriptions/{subscription_ref}/resume")
@needs(CHANGING)
async def resume(visit: Visiting, subscription_ref: str) -> Response:
    """End a pause."""
    return await _asked(visit, subscription_ref, await visit.form(), changing.resume)


@router.post("/subscriptions/{subscription_ref}/reactivate")
@needs(CHANGING)
async def reactivate(visit: Visiting, subscription_ref: str) -> Response:
    """Let it go on after its period."""
    return await _asked(visit, subscription_ref, await visit.form(), changing.reactivate)


@router.post("/subscriptions/{subscription_ref}/cancel")
@needs(CHANGING)
async def cancel(visit: Visiting, subscription_ref: str) -> Response:
    """End it, at once or with its period."""
    fields = await visit.form()
    ends = fields.get("at", "")
    if ends not in ("now", "period_end"):
        raise SubscriptionFormInvalid("The form does not say when it is to end.", hint="Go back and choose.")
    comment = printable(fields.get("comment", ""))[:_COMMENT_MAX] or None
    ask = partial(changing.cancel, is_at_once=ends == "now", comment=comment)
    return await _asked(visit, subscription_ref, fields, ask)


@router.post("/subscriptions/{subscription_ref}/extend-trial")
@needs(CHANGING)
async def extend_trial(visit: Visiting, subscription_ref: str) -> Response:
    """Let the trial last longer."""
    fields = await visit.form()
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        zone = await time_zone_of(tx, tenant_id=visit.tenant_id)
    trial_end = _local(fields.get("trial_end", ""), zone)
    return await _asked(
        visit, subscription_ref, fields, partial(changing.extend_trial, trial_end=trial_end, now=visit.now)
    )


async def _asked(visit: Visit, subscription_ref: str, fields: dict[str, str], ask: _Ask) -> Response:
    """Ask for a change, wait a while for the gateway's answer, and show what is known then. A form sent twice asks once."""
    subscription_id = ids.parse(ids.SUBSCRIPTION, subscription_ref)
    change_id = ids.parse(ids.SUBSCRIPTION_CHANGE, fields.get("change", ""))
    db, tenant_id = visit.resources.db, visit.tenant_id
    async with db.tenant(tenant_id) as tx:
        if not await changing.is_asked(tx, tenant_id=tenant_id, subscription_id=subscription_id, change_id=change_id):
            named = {"tenant_id": tenant_id, "subscription_id": subscription_id, "change_id": change_id}
            await ask(tx, **named, actor=visit.actor)
        found = await changing.subscription_change(tx, tenant_id=tenant_id, change_id=change_id)
    at_most = timedelta(seconds=visit.resources.settings.outcome_wait_s)
    await calls.waited(db, tenant_id=tenant_id, call_id=found.gateway_call, at_most=at_most)
    return to(
        f"/subscriptions/{ids.show(ids.SUBSCRIPTION, subscription_id)}?change={ids.show(ids.SUBSCRIPTION_CHANGE, change_id)}"
    )


async def _shown(page: Page, subscription_ref: str) -> tuple[Subscription, ZoneInfo]:
    """Return a subscription and the zone of the business."""
    tenant_id = page.visit.tenant_id
    subscription_id = ids.parse(ids.SUBSCRIPTION, subscription_ref)
    found = await subscription(page.tx, tenant_id=tenant_id, subscription_id=subscription_id)
    if found is None:
        raise SubscriptionNotFound("There is no subscription of this id here.", hint="Check the id, or search for it.")
    return found, await time_zone_of(page.tx, tenant_id=tenant_id)


def _wanted(fields: dict[str, str]) -> changing.Change:
    """Return what the form asks for. Raises SubscriptionFormInvalid."""
    quantity = fields.get("quantity", "")
    if not (
        quantity.isascii()
        and quantity.isdigit()
        and len(quantity) <= _DIGITS_MAX
        and 1 <= int(quantity) <= QUANTITY_MAX
    ):
        raise SubscriptionFormInvalid(
            f"The quantity is a whole number from 1 to {QUANTITY_MAX}.", hint="Go back and correct it."
        )
    if fields.get("proration", "") not in {way.value for way in Proration}:
        raise SubscriptionFormInvalid("The form does not say how the change is billed.", hint="Go back and choose.")
    return changing.Change(
        ids.show(ids.PRICE, ids.parse(ids.PRICE, fields.get("price", ""))),
        int(quantity),
        Proration(fields["proration"]),
        _instant(fields.get("proration_at", "")),
    )


def _instant(text: str) -> datetime | None:
    """Return the instant that a preview was reckoned as of; None where the gateway told none."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SubscriptionFormInvalid("This form is not as it was shown.", hint="Go back to the preview.") from error
    if at.tzinfo is None:
        raise SubscriptionFormInvalid("This form is not as it was shown.", hint="Go back to the preview.")
    return at


def _local(text: str, zone: ZoneInfo) -> datetime:
    """Return what a field of date and time says in a zone."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SubscriptionFormInvalid(
            "The form does not say until when.", hint="Choose a day and a time, like 2026-01-31 12:00."
        ) from error
