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
from bursar.apps.booking import bookings, packs, passes
from bursar.kernel import ids
from bursar.money.fulfilment.spending import expire_lots
from databases import opened
from draining import bring_forward, drain
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


async def test_bookings_to_come_are_cancelled_before_their_pack_is_refunded_where_the_business_wants_it(club):
    customer = await pays(club, "pack-10", 5000, "pack-one")
    payment = (await club.caller.one("/v1/payments", gateway_ref="pack-one"))["id"]
    soon = await club.class_at(NOW + timedelta(hours=3))
    made = [await club.booked(a_class, customer) for a_class in (soon, await club.class_at(EVENING))]
    path = f"/v1/payments/{payment}/pack-refund"

    refused(await club.caller.post(f"{path}s", {}), "pack_has_bookings")
    await rule(club, "pack_refund", bookings_to_come="cancel")
    offer = told(await club.caller.get(path), 200)
    done = told(await club.caller.post(f"{path}s", {"amount_minor": offer["amount_minor"]}))
    await rule(club, "pack_refund")

    assert (offer["amount_minor"], offer["unused"], [each["credits"] for each in offer["bookings"]]) == (
        5000,
        10,
        [1, 1],
    )
    assert (done["amount_minor"], done["used"]) == (5000, 0)
    assert [(await club.booking(each))["status"] for each in made] == ["cancelled", "cancelled"]
    assert await club.balance(customer) == 0
    assert (await club.seats(soon))[1] == 0
    await club.stage.apply()
    await bring_forward(club.stage)
    await drain(club.stage, packs.KINDS)
    assert await club.broken() == {}


async def test_what_a_period_left_rolls_over_up_to_the_cap_and_once_and_is_used_first(club):
    customer = ids.parse(ids.CUSTOMER, await pays(club, "pack-10", 5000, "monthly-one"))
    lot = await club.stage.value("select id from credit_lot where customer_id = $1", customer)
    ended, later = NOW - timedelta(hours=1), NOW + timedelta(days=30)
    async with club.stage.db.tenant(club.stage.tenant_id) as tx:
        for statement, *values in (
            ("update credit_lot set expires_at = $2 where tenant_id = $1 and id = $3", ended, lot),
            (
                """insert into subscription (tenant_id, id, gateway_account_id, gateway_ref, customer_id, status, created_at)
                select $1, $2, p.gateway_account_id, 'sub_rolls', $3, 'active', now() from payment p where p.gateway_ref = 'monthly-one'""",
                ids.new(),
                customer,
            ),
            (
                """update purchase set subscription_ref = 'sub_rolls'
                where tenant_id = $1 and id = (select source_id from fulfilment_grant g join credit_lot l on l.grant_id = g.id where l.id = $2)""",
                lot,
            ),
        ):
            await tx.execute(statement, club.stage.tenant_id, *values)
        assert await expire_lots(tx, tenant_id=club.stage.tenant_id, now=NOW) == 1
        assert await expire_lots(tx, tenant_id=club.stage.tenant_id, now=NOW) == 0
    rolling = {"tenant_id": club.stage.tenant_id, "credits_max": 2, "lasts": timedelta(days=31), "now": NOW}

    rolled = []
    for _ in range(2):
        async with club.stage.db.tenant(club.stage.tenant_id) as tx:
            rolled.append(await passes.roll_over(tx, **rolling))

    assert rolled == [1, 0]
    lots = await club.stage.rows(
        "select remaining, expires_at from credit_lot where customer_id = $1 and not is_expired", customer
    )
    assert lots == [{"remaining": 2, "expires_at": ended + timedelta(days=31)}]
    given = {"customer": ids.show(ids.CUSTOMER, customer), "amount": 8, "pool": "classes", "reason": "the next period"}
    told(
        await club.caller.post(
            "/v1/credit-adjustments", given | {"expires_at": (later + timedelta(days=9)).isoformat()}
        )
    )
    await club.booked(await club.class_at(EVENING), ids.show(ids.CUSTOMER, customer))
    assert await club.balance(ids.show(ids.CUSTOMER, customer)) == 9
    left = await club.stage.rows(
        "select remaining from credit_lot where customer_id = $1 and not is_expired order by expires_at", customer
    )
    assert [row["remaining"] for row in left] == [1, 8]
    assert await club.broken() == {}


async def test_credits_that_end_with_a_day_end_when_it_is_over_where_the_business_is(club):
    zone = {"time_zone": "Pacific/Auckland"}
    told(await club.caller.send("PUT", "/v1/time-zone", zone), 200)
    grant = {"kind": "credits", "amount": 5, "pool": "classes", "expires_after": "P1M", "ends_with_day": True}
    await add_price(club.stage, "by-day", 3000, [grant], refs=["price_by_day"])

    customer = await pays(club, "by-day", 3000, "by-day-one")

    # Paid on 3 March at 01:00 in Auckland; a month later there, the 2nd of April (UTC) is the 3rd, whose end is 11:00 UTC.
    (lot,) = (await club.caller.get(f"/v1/customers/{customer}/credits")).json()["lots"]
    assert lot["expires_at"] == "2026-04-03T11:00:00Z"


async def test_verify_names_the_one_lot_that_a_hand_has_edited(club):
    customer = ids.parse(ids.CUSTOMER, await pays(club, "pack-10", 5000, "audited-one"))
    lot = await club.stage.value("select id from credit_lot where customer_id = $1", customer)
    assert await club.broken() == {}
    async with club.stage.db.tenant(club.stage.tenant_id) as tx:
        await tx.execute("update credit_lot set spent = spent + 1 where id = $1", lot)

    found = await club.broken()

    assert [row["lot"] for row in found["lots_equal_their_movements"]] == [ids.show(ids.LOT, lot)]
    async with club.stage.db.tenant(club.stage.tenant_id) as tx:
        await tx.execute("update credit_lot set spent = spent - 1 where id = $1", lot)


async def test_seats_kept_for_who_walks_in_are_not_sold_online_by_any_race(club):
    await rule(club, "walk_in_reserve", seats=2, until_minutes=30)
    a_class = await club.class_at(EVENING, capacity=5, cost=0)
    people = [await club.person(f"racer{n}") for n in range(8)]

    answers = await asyncio.gather(*(club.book(a_class, person) for person in people))
    codes = {answer.json()["code"] for answer in answers if answer.status_code != 201}
    walked_in = [await club.book(a_class, await club.person(f"walker{n}"), source="walk_in") for n in range(3)]
    await rule(club, "walk_in_reserve", is_on=False)

    assert sum(answer.status_code == 201 for answer in answers) == 3
    assert codes <= {"seats_kept_for_walk_ins", "class_full"}
    assert [answer.status_code for answer in walked_in] == [201, 201, 409]


async def test_a_waitlist_has_its_length_and_who_waits_waits_for_one_class_at_a_time(club):
    await rule(club, "waitlist_length", entries_max=1)
    await rule(club, "waits_once")
    full, same_time = await club.class_at(EVENING, capacity=0), await club.class_at(EVENING, capacity=0)
    ann, bob = await club.person("ann-waits"), await club.person("bob-waits")

    told(await club.wait(full, ann))
    refused(await club.wait(full, bob), "waitlist_full")
    refused(await club.wait(same_time, ann), "waiting_elsewhere")
    told(await club.wait(same_time, bob))
    for each in ("waitlist_length", "waits_once"):
        await rule(club, each, is_on=False)


async def test_waiting_ends_when_the_class_begins(club):
    full, ann = await club.class_at(EVENING, capacity=0), await club.person("ann-too-late")
    told(await club.wait(full, ann))
    moment = "update class_instance set starts_at = now() - interval '1 minute', ends_at = now() where id = $1"
    async with club.stage.db.tenant(club.stage.tenant_id) as tx:
        await tx.execute(moment, ids.parse(ids.CLASS, full))

    await bring_forward(club.stage)
    await drain(club.stage, bookings.KINDS)

    assert (await club.caller.one("/v1/waitlist-entries", customer=ann))["status"] == "closed"
    assert (await club.seats(full))[2] == 0
    begun = await club.class_at(EVENING, capacity=0)
    club.at(EVENING)
    refused(await club.wait(begun, ann), "waitlist_closed")


async def test_staff_gives_everything_back_for_a_late_cancellation_with_a_reason(club):
    ann, soon = await club.person("ann-ill", owns=1), await club.class_at(NOW + timedelta(hours=2))
    booked = await club.booked(soon, ann)
    assert await club.balance(ann) == 0

    cancelled = told(await club.cancel(booked, by="business", reason="was ill"))

    assert (cancelled["status"], cancelled["cancel_reason"]) == ("cancelled", "was ill")
    assert await club.balance(ann) == 1


async def test_when_attendance_is_written_down_is_for_the_business_to_choose(club):
    a_class, day_before = await club.class_at(EVENING, cost=0), EVENING - timedelta(days=1)
    hers, his = [await club.booked(a_class, await club.person(name)) for name in ("ann-comes", "bob-misses")]
    came, missed = f"/v1/bookings/{hers['id']}/check-ins", f"/v1/bookings/{his['id']}/no-shows"
    club.at(day_before)
    refused(await club.caller.post(came), "check_in_too_early")

    await rule(club, "check_in_window", minutes=1440)
    told(await club.caller.post(came))
    await rule(club, "no_show_after", minutes=15)
    club.at(EVENING + timedelta(minutes=14))
    refused(await club.caller.post(missed), "no_show_too_early")
    club.at(EVENING + timedelta(minutes=15))
    told(await club.caller.post(missed))
    await rule(club, "attendance_final", days=1)
    club.at(EVENING + timedelta(hours=25, minutes=1))
    refused(await club.caller.send("DELETE", came), "check_in_too_late")
    for each in ("check_in_window", "no_show_after", "attendance_final"):
        await rule(club, each)


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
