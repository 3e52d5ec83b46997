"""What staff give by appointment: services, their tiers with a length and a price, and who gives them."""

from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.responses import Response

from bursar.apps.booking.people import front_path
from bursar.apps.booking.services import offering, queries
from bursar.apps.booking.services.api import READING, WRITING, new_service
from bursar.apps.booking.services.offering import SEAT, NewTier
from bursar.apps.booking.services.schemas import WantedService, WantedTier
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import needs
from bursar.kernel.listing import ASKED, Slice
from bursar.kernel.permissions import require
from bursar.money.catalog.selling import GrantCheck, add_price, add_product
from bursar.web.pages.paging import Before
from bursar.web.pages.planning_forms import ScheduleFormInvalid, wanted
from bursar.web.pages.reads.planning import choices_of
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.sums import minor_of
from bursar.web.pages.visits import Page, Visit, Visiting, to

SLOTS: Final = (5, 10, 15, 20, 30, 60)
_SHOWN: Final = 50
_WORDS: Final = {
    "name": "The name has 1 to 120 characters.",
    "about": "The description has at most 2000 characters.",
    "category": "The category is one word of at most 64 characters.",
    "policy": "Choose terms of the list, or the default ones.",
    "slot_min": f"Appointments begin every {', '.join(map(str, SLOTS))} minutes.",
    "lead_min": "The minutes ahead are a whole number from 0 to 525600.",
    "horizon_days": "The days ahead are a whole number from 1 to 730.",
    "duration_min": "It lasts a whole number of minutes from 5 to 1440.",
    "before_min": "The minutes before are a whole number from 0 to 240.",
    "after_min": "The minutes after are a whole number from 0 to 240.",
    "deposit_percent": "The deposit is a whole number from 1 to 99, or empty.",
}

Done = Literal["", "added", "changed", "deleted"]

router = APIRouter(route_class=PageRoute)


@router.get("/schedule/services")
@needs(READING)
async def all_services(visit: Visiting, done: Done = "", before_id: Before = None) -> Response:
    """Show what is given by appointment, newest first, and the form that adds a service."""
    after = ids.parse(ids.SERVICE, before_id) if before_id else None
    async with visit.open() as page:
        found = await queries.services(
            page.tx, tenant_id=visit.tenant_id, page=Slice(_SHOWN, after), given={"present": ASKED}
        )
        return page.answer(
            "planning/services.html",
            services=[(ids.show(ids.SERVICE, each.id), each) for each in found.rows],
            after=ids.show(ids.SERVICE, found.next_after) if found.next_after else None,
            is_newest=before_id is None,
            choices=await choices_of(page.tx, tenant_id=visit.tenant_id),
            slots=SLOTS,
            front=front_path(visit.tenant_id),
            done=done,
        )


@router.post("/schedule/services")
@needs(WRITING)
async def add_service(visit: Visiting) -> Response:
    """Offer a service."""
    new = new_service(_service_in(await visit.form()))
    async with visit.open() as page:
        added = await offering.add_service(page.tx, tenant_id=visit.tenant_id, new=new, actor=visit.actor)
    return to(f"/schedule/services/{ids.show(ids.SERVICE, added)}?done=added")


@router.get("/schedule/services/{service}")
@needs(READING)
async def one_service(visit: Visiting, service: str, done: Done = "") -> Response:
    """Show a service, what it lacks to be booked, and the forms that change it."""
    service_id = ids.parse(ids.SERVICE, service)
    async with visit.open() as page:
        found = await queries.service(page.tx, tenant_id=visit.tenant_id, service_id=service_id)
        return await _shown(page, visit, found, done)


@router.post("/schedule/services/{service}")
@needs(WRITING)
async def change_service(visit: Visiting, service: str) -> Response:
    """Offer a service on other terms from now on."""
    service_id = ids.parse(ids.SERVICE, service)
    new = new_service(_service_in(await visit.form()))
    async with visit.open() as page:
        await offering.change_service(
            page.tx, tenant_id=visit.tenant_id, service_id=service_id, new=new, actor=visit.actor
        )
    return to(f"/schedule/services/{ids.show(ids.SERVICE, service_id)}?done=changed")


@router.post("/schedule/services/{service}/delete")
@needs(WRITING)
async def drop_service(visit: Visiting, service: str) -> Response:
    """Offer a service no more."""
    service_id = ids.parse(ids.SERVICE, service)
    await visit.form()
    async with visit.open() as page:
        await offering.delete_service(
            page.tx, tenant_id=visit.tenant_id, service_id=service_id, actor=visit.actor, now=visit.now
        )
    return to("/schedule/services?done=deleted")


@router.post("/schedule/services/{service}/tiers")
@needs(WRITING)
async def add_tier(visit: Visiting, service: str) -> Response:
    """Offer a service in a length, and for a price that is made with it."""
    service_id = ids.parse(ids.SERVICE, service)
    fields = await visit.form()
    tier = wanted(WantedTier, {name: text for name, text in fields.items() if name != "price"}, words=_WORDS)
    currency, amount = fields.get("currency", "").strip().upper(), fields.get("amount", "")
    minor = _minor(amount, currency) if amount.strip() else None
    if minor is not None:
        require(visit.principal.permissions, "catalog:write")
    check: GrantCheck = visit.request.app.state.grant_check
    given: dict[str, Any] = {"tenant_id": visit.tenant_id, "actor": visit.actor}
    async with visit.open() as page:
        price = None
        if minor is not None:
            found = await queries.service(page.tx, tenant_id=visit.tenant_id, service_id=service_id)
            product_id = await add_product(page.tx, **given, name=f"{found.name}, {tier.name}"[:120], description="")
            price_id = await add_price(
                page.tx,
                **given,
                product_id=product_id,
                lookup_key=None,
                amount_minor=minor,
                currency=currency,
                interval=None,
                interval_count=1,
                grants=[{"kind": SEAT}],
                gateway_refs=[],
                recovers_shortfall=False,
                check=check,
                now=visit.now,
            )
            price = ids.show(ids.PRICE, price_id)
        new = NewTier(**tier.model_dump() | {"price": price})
        await offering.add_tier(page.tx, **given, service_id=service_id, new=new, check=check, now=visit.now)
    return to(f"/schedule/services/{ids.show(ids.SERVICE, service_id)}?done=changed")


@router.post("/schedule/services/{service}/tiers/{tier}/delete")
@needs(WRITING)
async def drop_tier(visit: Visiting, service: str, tier: str) -> Response:
    """Offer a tier no more."""
    service_id, tier_id = ids.parse(ids.SERVICE, service), ids.parse(ids.TIER, tier)
    await visit.form()
    async with visit.open() as page:
        await offering.delete_tier(
            page.tx,
            tenant_id=visit.tenant_id,
            service_id=service_id,
            tier_id=tier_id,
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/schedule/services/{ids.show(ids.SERVICE, service_id)}?done=changed")


@router.post("/schedule/services/{service}/staff")
@needs(WRITING)
async def set_givers(visit: Visiting, service: str) -> Response:
    """Say that somebody gives a service: the tiers that are ticked, or all where none is."""
    service_id = ids.parse(ids.SERVICE, service)
    fields = await visit.form()
    staff_id = ids.parse(ids.STAFF, fields.get("staff", ""))
    tiers = [ids.parse(ids.TIER, name.removeprefix("gives ")) for name in fields if name.startswith("gives ")]
    async with visit.open() as page:
        await offering.set_skill(
            page.tx,
            tenant_id=visit.tenant_id,
            service_id=service_id,
            staff_id=staff_id,
            tier_ids=tiers,
            actor=visit.actor,
        )
    return to(f"/schedule/services/{ids.show(ids.SERVICE, service_id)}?done=changed")


@router.post("/schedule/services/{service}/staff/{staff}/delete")
@needs(WRITING)
async def drop_giver(visit: Visiting, service: str, staff: str) -> Response:
    """Say that somebody gives a service no more."""
    service_id, staff_id = ids.parse(ids.SERVICE, service), ids.parse(ids.STAFF, staff)
    await visit.form()
    async with visit.open() as page:
        await offering.end_skill(
            page.tx,
            tenant_id=visit.tenant_id,
            service_id=service_id,
            staff_id=staff_id,
            actor=visit.actor,
            now=visit.now,
        )
    return to(f"/schedule/services/{ids.show(ids.SERVICE, service_id)}?done=changed")


async def _shown(page: Page, visit: Visit, found: queries.Service, done: Done) -> Response:
    names = {tier.id: tier.name for tier in found.tiers}
    return page.answer(
        "planning/service.html",
        service=found,
        service_id=ids.show(ids.SERVICE, found.id),
        policy_id=ids.show(ids.BOOKING_POLICY, found.policy) if found.policy else "",
        tiers=[(ids.show(ids.TIER, tier.id), tier, *_costs(tier)) for tier in found.tiers],
        givers=[
            (ids.show(ids.STAFF, each.staff), each.name, [names[tier] for tier in each.tiers if tier in names])
            for each in found.staff
        ],
        currency=next((tier.currency for tier in found.tiers if tier.currency), "EUR"),
        choices=await choices_of(page.tx, tenant_id=visit.tenant_id),
        slots=SLOTS,
        done=done,
    )


def _costs(tier: queries.Tier) -> tuple[Money | None, Money | None]:
    """Return what a tier costs and what of it is paid ahead; nothing where it costs nothing."""
    if tier.price_minor is None or tier.due_minor is None or tier.currency is None:
        return None, None
    return Money(tier.price_minor, tier.currency), Money(tier.due_minor, tier.currency)


def _service_in(fields: dict[str, str]) -> WantedService:
    kept = {name: text for name, text in fields.items() if name != "category" or text.strip()}
    return wanted(WantedService, kept, words=_WORDS)


def _minor(text: str, currency: str) -> int:
    minor = minor_of(text, currency)
    if minor is None:
        raise ScheduleFormInvalid(
            "The price is an amount like 60.00 with a currency like EUR; empty, it costs nothing.",
            hint="Go back and correct it.",
        )
    return minor
