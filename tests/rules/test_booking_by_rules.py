"""Booking over HTTP by the rules: who asks and who books get the same answer, and memberships pay for so many and no more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.conftest import running
from booking.studio import NOW, Clock, Studio, refused, studio_of, told
from bursar.kernel import ids
from databases import opened
from stage import add_price

pytestmark = pytest.mark.anyio

EVENING = datetime(2026, 3, 4, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
async def club(shared_database_url: str) -> AsyncIterator[Studio]:
    """A studio that sells memberships at its desk."""
    clock = Clock()
    async with (
        opened(shared_database_url) as db,
        running(shared_database_url, clock=clock) as (_, http),
        studio_of(db, shared_database_url, http, clock) as made,
    ):
        limited = {"kind": "feature", "feature": "classes-unlimited", "limit": 3, "per": "P1M"}
        free = {"kind": "feature", "feature": "classes-unlimited"}
        await add_price(made.stage, "capped", 9000, [limited], refs=["price_capped"])
        await add_price(made.stage, "unlimited", 19000, [free], refs=["price_unlimited"])
        desk = {"gateway": "manual", "name": "Desk"}
        made.people["desk"] = told(await made.caller.post("/v1/gateway-accounts", desk))["id"]
        yield made


@pytest.fixture(autouse=True)
def morning(club: Studio) -> None:
    club.at(NOW)


async def pays(club: Studio, price: str, amount: int, reference: str) -> str:
    """Let somebody pay at the desk; return the customer."""
    body = {"amount_minor": amount, "currency": "EUR", "reference": reference, "email": f"{reference}@example.org"}
    body |= {"price": price, "gateway_account": club.people["desk"], "occurred_at": NOW.isoformat(), "method": "cash"}
    answer = await club.caller.post("/v1/manual-payments", body)
    assert answer.status_code == 202, answer.text
    await club.stage.apply()
    customer: str = (await club.caller.one("/v1/payments", gateway_ref=reference))["customer"]
    return customer


async def why_not(club: Studio, a_class: str, customer: str, **asked: Any) -> list[str]:
    answer = await club.caller.get(f"/v1/classes/{a_class}/bookability", customer=customer, **asked)
    return [each["code"] for each in told(answer, 200)["failures"]]


async def rule(club: Studio, name: str, *, is_on: bool = True, **parameters: Any) -> None:
    told(await club.caller.send("PUT", f"/v1/booking-rules/{name}", {"is_on": is_on, "parameters": parameters}), 200)


async def test_a_capped_membership_pays_for_so_many_in_its_period_and_never_one_more_at_once(club):
    member = await pays(club, "capped", 9000, "capped-one")
    classes = [await club.class_at(EVENING + timedelta(days=n)) for n in range(8)]
    next_month = await club.class_at(datetime(2026, 4, 3, 23, tzinfo=UTC))

    answers = await asyncio.gather(*(club.book(a_class, member) for a_class in classes))

    booked = [answer.json() for answer in answers if answer.status_code == 201]
    assert [each["paid_with"] for each in booked] == ["membership"] * 3
    codes = {answer.json()["code"] for answer in answers if answer.status_code != 201}
    assert codes <= {"credits_insufficient", "fair_use_exceeded"}
    left = next(a for a, answer in zip(classes, answers, strict=True) if answer.status_code != 201)
    assert await why_not(club, left, member) == ["credits_insufficient", "fair_use_exceeded"]
    assert (await club.booked(next_month, member))["paid_with"] == "membership"

    told(await club.cancel(booked[0]))

    assert (await club.booked(left, member))["paid_with"] == "membership"
    assert await club.broken() == {}


async def test_an_unlimited_membership_is_in_one_place_at_a_time_unless_the_business_allows_two(club):
    member = await pays(club, "unlimited", 19000, "unlimited-one")
    first, second = await club.class_at(EVENING), await club.class_at(EVENING + timedelta(minutes=30))
    after = await club.class_at(EVENING + timedelta(minutes=60))

    await club.booked(first, member)

    refused(await club.book(second, member), "overlapping_booking")
    assert (await club.booked(after, member))["paid_with"] == "membership"
    await rule(club, "no_overlap", is_on=False)
    assert (await club.booked(second, member))["paid_with"] == "membership"
    await rule(club, "no_overlap")


async def test_a_membership_pays_for_its_owners_seat_and_credits_for_guests(club):
    member = await pays(club, "unlimited", 19000, "unlimited-two")
    a_class = await club.class_at(EVENING, cost=2)

    refused(await club.book(a_class, member, seats=2), "credits_insufficient")
    given = {"customer": member, "amount": 4, "reason": "for guests", "pool": "classes"}
    told(await club.caller.post("/v1/credit-adjustments", given))
    booked = await club.booked(a_class, member, seats=2)

    assert (booked["paid_with"], booked["credit_cost"]) == ("credits", 4)


async def test_given_credits_go_before_bought_ones_that_expire_with_them(club):
    customer = await pays(club, "pack-10", 5000, "promo-one")
    bought = await club.stage.value(
        "select id from credit_lot where customer_id = $1", ids.parse(ids.CUSTOMER, customer)
    )
    await club.caller.post(
        "/v1/credit-adjustments", {"customer": customer, "amount": 1, "reason": "welcome", "pool": "classes"}
    )

    await club.booked(await club.class_at(EVENING), customer)

    assert await club.stage.value("select remaining from credit_lot where id = $1", bought) == 10
    assert await club.balance(customer) == 10


async def test_a_booking_keeps_the_terms_it_was_made_under(club):
    policy = await club.policy(cancel_minutes=60)
    customer = await club.person("tess", owns=2)
    before = await club.booked(await club.class_at(EVENING, policy=policy), customer)
    shown = ids.show(ids.BOOKING_POLICY, policy)
    changed = {"name": "Strict", "terms": {"cancel_minutes": 2880}}

    told(await club.caller.send("PUT", f"/v1/booking-policies/{shown}", changed), 200)

    later = await club.booked(await club.class_at(EVENING + timedelta(days=1), policy=policy), customer)
    club.at(EVENING - timedelta(minutes=61))
    assert told(await club.cancel(before))["status"] == "cancelled"
    assert told(await club.cancel(later))["status"] == "late_cancelled"
    assert await club.balance(customer) == 1


ASKED = st.fixed_dictionaries(
    {
        "facts": st.fixed_dictionaries(
            {},
            optional={
                "is_banned": st.just(True),
                "is_active": st.just(False),
                "born_on": st.sampled_from(["2015-05-05", "1990-01-01"]),
                "level": st.sampled_from(["beginner", "advanced"]),
                "dues_unpaid_since": st.just("2026-02-01T00:00:00Z"),
                "waiver_signed_at": st.just("2026-01-01T00:00:00Z"),
            },
        ),
        "rules": st.sets(
            st.sampled_from(
                ["waiver_signed", "booking_opens", "booking_closes", "bookings_per_day", "walk_in_reserve"]
            ),
            max_size=2,
        ),
        "requirements": st.sampled_from(
            ["{}", "{}", '{"age_min": 16}', '{"levels": ["advanced"]}', '{"first_timer": true}']
        ),
        "owns": st.integers(0, 3),
        "elsewhere": st.booleans(),
        "seats": st.integers(1, 3),
        "capacity": st.integers(1, 3),
        "cost": st.integers(0, 2),
        "hours": st.sampled_from([-1, 0, 1, 24, 24 * 40]),
        "source": st.sampled_from(["online", "desk"]),
        "pays": st.sampled_from(["auto", "credits", "nothing"]),
        "has_another": st.booleans(),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ASKED)
async def test_where_nothing_is_in_the_way_booking_succeeds_and_nowhere_else(club, asked):
    club.at(NOW)
    name = f"anyone-{ids.encode(ids.new())}"
    customer = await club.person(name, owns=asked["owns"])
    if asked["elsewhere"]:
        await club.person(name, owns=2, pool="spa")
    at = NOW + timedelta(hours=asked["hours"], minutes=30)
    a_class = await club.class_at(at, capacity=asked["capacity"], cost=asked["cost"])
    async with club.stage.db.tenant(club.stage.tenant_id) as tx:
        statement = "update class_instance set requirements = $3::text::jsonb where tenant_id = $1 and id = $2"
        await tx.execute(statement, club.stage.tenant_id, ids.parse(ids.CLASS, a_class), asked["requirements"])
    if asked["has_another"]:
        await club.booked(await club.class_at(at + timedelta(minutes=15), cost=0), customer, source="desk")
    if asked["facts"]:
        told(await club.caller.send("PUT", f"/v1/customers/{customer}/attendee", asked["facts"]), 200)
    for each in asked["rules"]:
        await rule(club, each)
    how = {name: asked[name] for name in ("seats", "source", "pays")}

    codes = await why_not(club, a_class, customer, **how)
    answer = await club.book(a_class, customer, **how)

    for each in asked["rules"]:
        await rule(club, each, is_on=False)
    if codes:
        assert answer.status_code == 409, (codes, answer.text)
        assert answer.json()["code"] in codes
    else:
        assert answer.status_code == 201, answer.text
