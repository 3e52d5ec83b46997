"""Seats are booked, paid and given up as the studio's terms say: the acceptance list, through HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from booking.studio import Studio, refused, studio, told
from bursar.apps.booking import bookings
from bursar.apps.booking.bookings import queries
from bursar.apps.booking.bookings.numbers import ALPHABET
from bursar.kernel import ids
from bursar.kernel.db import Database
from stage import add_price

pytestmark = pytest.mark.anyio

SIX = datetime(2026, 3, 5, 23, tzinfo=UTC)  # six in the evening of a Thursday, before the clocks are set


@pytest.fixture
async def desk(db: Database, database_url: str) -> AsyncIterator[Studio]:
    async with studio(db, database_url) as made:
        yield made


async def test_a_seat_costs_a_credit_once_and_is_told_of_with_its_zone(desk: Studio):
    ann = await desk.person("ann", owns=3)
    flow = await desk.class_at(SIX)

    first = await desk.book(flow, ann, once="k-1")
    again = await desk.book(flow, ann, once="k-1")
    other_body = await desk.book(flow, ann, once="k-1", seats=2)
    second = await desk.book(flow, ann, once="k-2")

    booked = told(first)
    assert (again.status_code, again.content) == (201, first.content)
    refused(other_body, "idempotency_key_reused", 422)
    refused(second, "already_booked")
    assert (booked["status"], booked["paid_with"], booked["credit_cost"]) == ("booked", "credits", 1)
    assert booked["local"] == "2026-03-05T18:00-05:00[America/New_York]"
    assert (await desk.balance(ann), await desk.seats(flow)) == (2, (0, 1, 0))
    assert await desk.letters() == ["booking.booked"]
    assert await desk.broken() == {}


async def test_who_has_too_few_credits_is_refused_and_nothing_is_taken(desk: Studio):
    ann = await desk.person("ann", owns=1)
    flow = await desk.class_at(SIX, cost=2)

    refusal = refused(await desk.book(flow, ann), "credits_insufficient")

    assert refusal["context"]["balance"] == 1
    assert (await desk.balance(ann), await desk.seats(flow), await desk.of(ann, flow)) == (1, (0, 0, 0), [])


async def test_credits_that_end_soonest_pay_if_they_are_good_when_the_class_begins(desk: Studio):
    february, march = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    ann = await desk.person("ann", owns=5, expires_at=march)
    await desk.person("ann", owns=5, expires_at=february)
    soon = await desk.class_at(SIX)
    later = await desk.class_at(datetime(2026, 4, 15, 22, tzinfo=UTC))

    await desk.booked(soon, ann)
    assert [left for left, _ in await desk.lots(ann)] == [5, 4]
    await desk.booked(later, ann)

    assert [left for left, _ in await desk.lots(ann)] == [4, 4]


async def test_of_several_pools_the_most_special_pays_when_they_end_together(desk: Studio):
    end = datetime(2026, 6, 1, tzinfo=UTC)
    ann = await desk.person("ann", owns=1, expires_at=end, pool="any")
    await desk.person("ann", owns=1, expires_at=end, pool="yoga")
    flow = await desk.class_at(SIX, pools=("yoga", "any"))
    both = await desk.class_at(SIX + timedelta(hours=2), pools=("yoga", "any"), cost=2)

    await desk.booked(flow, ann)
    assert (await desk.balance(ann, "yoga"), await desk.balance(ann, "any")) == (0, 1)
    refused(await desk.book(both, ann), "credits_insufficient")
    await desk.person("ann", owns=1, pool="yoga")
    await desk.booked(both, ann)

    assert (await desk.balance(ann, "yoga"), await desk.balance(ann, "any")) == (0, 0)
    assert await desk.broken() == {}


async def test_a_minute_before_the_cutoff_the_credit_goes_back_and_a_minute_after_it_does_not(desk: Studio):
    # Nine in the morning after the clocks were set: 24 elapsed hours before it were eight.
    nine = datetime(2026, 3, 8, 13, tzinfo=UTC)
    cutoff = datetime(2026, 3, 7, 13, tzinfo=UTC)
    ann = await desk.person("ann", owns=1, expires_at=datetime(2026, 6, 1, tzinfo=UTC))
    bob = await desk.person("bob", owns=1)
    flow = await desk.class_at(nine)
    hers, his = await desk.booked(flow, ann), await desk.booked(flow, bob)

    desk.at(cutoff - timedelta(minutes=1))
    before = told(await desk.caller.get(f"/v1/bookings/{hers['id']}/consequence"), 200)
    in_time = told(await desk.cancel(hers))
    desk.at(cutoff + timedelta(minutes=1))
    after = told(await desk.caller.get(f"/v1/bookings/{his['id']}/consequence"), 200)
    late = told(await desk.cancel(his))

    assert hers["cancel_by_local"] == "2026-03-07T08:00-05:00[America/New_York]"
    assert (before["credits_back"], before["is_late"]) == ("same_lot", False)
    assert (in_time["status"], in_time["credits_back"]) == ("cancelled", "same_lot")
    assert (after["credits_back"], after["is_late"], after["text"]) == (
        "kept",
        True,
        "It is too late to cancel at no cost. You do not get 1 credit back. Your seat is given up.",
    )
    assert (late["status"], late["credits_back"]) == ("late_cancelled", "kept")
    assert [left for left, _ in await desk.lots(ann)] == [1]
    assert (await desk.balance(bob), await desk.seats(flow)) == (0, (0, 0, 0))
    refused(await desk.cancel(his), "booking_not_live")
    assert await desk.broken() == {}


async def test_a_lot_that_expired_meanwhile_gives_back_as_the_terms_say(desk: Studio):
    end = datetime(2026, 3, 6, tzinfo=UTC)
    ann, bob = await desk.person("ann", owns=1, expires_at=end), await desk.person("bob", owns=1, expires_at=end)
    graced = await desk.class_at(SIX, policy=await desk.policy(cancel_minutes=0, grace_days=10))
    strict = await desk.class_at(SIX, policy=await desk.policy(cancel_minutes=0, expired_lot="forfeit"))
    hers, his = await desk.booked(graced, ann), await desk.booked(strict, bob)
    # The studio moves both classes a week on; meanwhile the lots expire.
    for each, hour in ((graced, "18:00"), (strict, "20:00")):
        moved = {"local_date": "2026-03-12", "local_start": hour}
        told(await desk.caller.post(f"/v1/classes/{each}/changes", moved))
    desk.at(datetime(2026, 3, 7, 12, tzinfo=UTC))

    consequence = told(await desk.caller.get(f"/v1/bookings/{hers['id']}/consequence"), 200)
    back, gone = told(await desk.cancel(hers)), told(await desk.cancel(his))

    assert (consequence["credits_back"], back["credits_back"], gone["credits_back"]) == ("new_lot", "new_lot", "kept")
    assert (await desk.balance(ann), await desk.balance(bob)) == (1, 0)
    assert (await desk.lots(ann))[-1] == (1, "2026-03-17T12:00:00Z")
    assert await desk.broken() == {}


async def test_changing_the_policy_leaves_bookings_on_their_terms(desk: Studio):
    policy = await desk.policy(cancel_minutes=60)
    ann, bob = await desk.person("ann", owns=1), await desk.person("bob", owns=1)
    flow = await desk.class_at(SIX, policy=policy)
    before = await desk.booked(flow, ann)
    path = f"/v1/booking-policies/{ids.show(ids.BOOKING_POLICY, policy)}"
    changed = await desk.caller.send("PUT", path, {"name": "Strict", "terms": {"cancel_minutes": 2880}})
    assert changed.status_code == 200, changed.text

    after = await desk.booked(flow, bob)

    assert (await desk.booking(before))["cancel_by"] == "2026-03-05T22:00:00Z"
    assert after["cancel_by"] == "2026-03-03T23:00:00Z"
    assert (before["terms"]["cancel_minutes"], after["terms"]["cancel_minutes"]) == (60, 2880)


async def test_a_refused_booking_names_a_full_class_beside_the_other_rules(desk: Studio):
    ann, bob = await desk.person("ann", owns=1), await desk.person("bob")
    flow = await desk.class_at(SIX, capacity=1)
    await desk.booked(flow, ann)

    answer = await desk.book(flow, bob)

    refused(answer, "credits_insufficient")
    assert [each["code"] for each in answer.json()["errors"]] == ["credits_insufficient", "class_full"]


async def test_of_two_who_confirm_one_wins_and_requests_hold_their_seats(desk: Studio):
    policy = await desk.policy(needs_approval=True)
    people = [await desk.person(name, owns=1) for name in ("ann", "bob", "cal")]
    flow = await desk.class_at(SIX, capacity=2, policy=policy)
    first, second = [await desk.booked(flow, each) for each in people[:2]]
    assert (first["status"], await desk.seats(flow)) == ("requested", (2, 0, 0))
    refused(await desk.book(flow, people[2]), "class_full")
    # The room is smaller than it was thought: two requests are left for one seat.
    refused(await desk.caller.post(f"/v1/classes/{flow}/changes", {"capacity": 1}), "capacity_below_booked")
    told(await desk.caller.post(f"/v1/classes/{flow}/changes", {"capacity": 1, "allows_overbooked": True}))

    twice = await asyncio.gather(*(desk.caller.post(f"/v1/bookings/{first['id']}/confirmations", {}) for _ in range(4)))
    other = await desk.caller.post(f"/v1/bookings/{second['id']}/confirmations", {})

    assert sorted(answer.status_code for answer in twice) == [201, 409, 409, 409]
    refused(other, "class_full")
    assert await desk.seats(flow) == (1, 1, 0)
    told(await desk.cancel(second, by="business", reason="one seat only"))
    assert (await desk.balance(people[1]), await desk.seats(flow)) == (1, (0, 1, 0))
    assert await desk.broken() == {}


async def test_a_capacity_below_what_is_booked_sells_nothing_more_until_there_is_room(desk: Studio):
    people = [await desk.person(name, owns=1) for name in ("ann", "bob", "cal", "dan")]
    flow = await desk.class_at(SIX, capacity=3)
    booked = [await desk.booked(flow, each) for each in people[:3]]
    told(await desk.caller.post(f"/v1/classes/{flow}/changes", {"capacity": 2, "allows_overbooked": True}))

    refused(await desk.book(flow, people[3]), "class_full")
    await desk.cancel(booked[0])
    refused(await desk.book(flow, people[3]), "class_full")
    await desk.cancel(booked[1])
    told(await desk.book(flow, people[3]))

    assert await desk.seats(flow) == (0, 2, 0)
    assert await desk.broken() == {}


async def test_staff_overbooks_with_a_reason_and_walk_ins_are_there(desk: Studio):
    ann, bob, cal = [await desk.person(name, owns=1) for name in ("ann", "bob", "cal")]
    flow = await desk.class_at(SIX, capacity=1)
    await desk.booked(flow, ann)
    refused(await desk.book(flow, bob, source="desk"), "class_full")

    over = await desk.booked(flow, bob, source="desk", override_reason="her sister")
    desk.at(SIX + timedelta(minutes=5))
    refused(await desk.book(flow, cal), "class_started")
    walked = await desk.booked(flow, cal, source="walk_in", override_reason="stood at the door")

    assert (over["overbooked"], walked["status"], walked["overbooked"]) == (1, "attended", 1)
    assert await desk.seats(flow) == (0, 3, 0)
    told(await desk.cancel(over, by="business", reason="moved"))
    assert await desk.seats(flow) == (0, 2, 0)
    assert await desk.broken() == {}


async def test_who_comes_is_checked_in_within_the_window_and_who_does_not_is_marked(desk: Studio):
    ann, bob = await desk.person("ann", owns=1), await desk.person("bob", owns=1)
    flow = await desk.class_at(SIX)
    hers, his = await desk.booked(flow, ann), await desk.booked(flow, bob)
    at = f"/v1/bookings/{hers['id']}/check-ins"
    refused(await desk.caller.post(at), "check_in_too_early")
    refused(await desk.caller.post(f"/v1/bookings/{his['id']}/no-shows"), "no_show_too_early")

    desk.at(SIX + timedelta(minutes=10))
    came = [told(await desk.caller.post(at)) for _ in range(2)]
    undone = told(await desk.caller.send("DELETE", at), 200)
    again = told(await desk.caller.post(at))
    missed = told(await desk.caller.post(f"/v1/bookings/{his['id']}/no-shows"))

    assert [each["status"] for each in (*came, undone, again)] == ["attended", "attended", "booked", "attended"]
    assert came[0] == came[1]
    assert (missed["status"], missed["credits_back"], await desk.balance(bob)) == ("no_show", None, 0)
    refused(await desk.cancel(hers), "booking_state_unfit")
    desk.at(SIX + timedelta(days=9))
    refused(await desk.caller.send("DELETE", at), "check_in_too_late")
    assert await desk.broken() == {}


async def test_a_booking_moves_to_another_class_in_one_act_or_not_at_all(desk: Studio):
    soon = datetime(2026, 3, 7, tzinfo=UTC)
    ann = await desk.person("ann", owns=1, expires_at=soon)
    await desk.person("ann", owns=1, expires_at=datetime(2026, 6, 1, tzinfo=UTC))
    bob = await desk.person("bob", owns=1)
    flow, later = await desk.class_at(SIX, capacity=1), await desk.class_at(SIX + timedelta(days=7), capacity=1)
    full = await desk.class_at(SIX + timedelta(days=8), capacity=1)
    await desk.booked(full, bob)
    hers = await desk.booked(flow, ann)
    assert [left for left, _ in await desk.lots(ann)] == [0, 1]

    moving = f"/v1/bookings/{hers['id']}/reschedules"
    refused(await desk.caller.post(moving, {"class": full}), "class_full")
    assert (await desk.booking(hers))["status"] == "booked"
    moved = told(await desk.caller.post(moving, {"class": later}))

    # The lot that paid for the first class ends before the second: another one pays.
    assert [left for left, _ in await desk.lots(ann)] == [1, 0]
    assert (moved["moved_from"], moved["moves"], moved["class"]) == (hers["id"], 1, later)
    assert (await desk.booking(hers))["status"] == "cancelled"
    assert (await desk.seats(flow), await desk.seats(later)) == ((0, 0, 0), (0, 1, 0))
    desk.at(SIX + timedelta(days=6, hours=1))
    refused(await desk.caller.post(f"/v1/bookings/{moved['id']}/reschedules", {"class": flow}), "reschedule_too_late")
    assert await desk.broken() == {}


async def test_a_class_that_moves_takes_its_bookings_along_and_tells_them(desk: Studio):
    ann = await desk.person("ann", owns=1)
    flow = await desk.class_at(SIX)
    hers = await desk.booked(flow, ann)

    # Onto the Sunday on which the clocks are set: nine there is one hour sooner than it was the day before.
    told(await desk.caller.post(f"/v1/classes/{flow}/changes", {"local_date": "2026-03-08", "local_start": "09:00"}))

    moved = await desk.booking(hers)
    assert moved["local"] == "2026-03-08T09:00-04:00[America/New_York]"
    assert moved["cancel_by_local"] == "2026-03-07T08:00-05:00[America/New_York]"
    mails = await desk.mails()
    assert [mail.subject.split(":")[0] for mail in mails] == ["You are booked", "Changed"]
    assert "Sun 8 March 2026, 09:00 EDT (America/New_York)" in mails[-1].text
    assert moved["cancel_by_text"] in mails[-1].text
    assert await desk.broken() == {}


async def test_what_was_given_up_before_its_class_moved_is_counted_on_the_day_of_the_class(desk: Studio):
    flow = await desk.class_at(SIX)
    bookings = [await desk.booked(flow, await desk.person(name, owns=1)) for name in ("ann", "bob")]
    told(await desk.cancel(bookings[0]))

    told(await desk.caller.post(f"/v1/classes/{flow}/changes", {"local_date": "2026-03-09"}))

    counted = []
    for first, last in (("2026-03-05", "2026-03-08"), ("2026-03-09", "2026-03-09"), ("2026-03-01", "2026-03-31")):
        report = await desk.caller.get("/v1/booking-reports/attendance", first_day=first, last_day=last)
        counted.append([told(report, 200)["total"][name] for name in ("classes", "booked", "in_time")])
    assert counted == [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
    assert await desk.broken() == {}


async def test_dates_as_far_away_as_may_be_stand_in_nobodys_way(desk: Studio):
    last = "2999-12-31T23:59:59Z"
    ann, flow = await desk.person("ann", owns=1, expires_at=datetime.fromisoformat(last)), await desk.class_at(SIX)
    known = f"/v1/customers/{ann}/attendee"
    beyond = {"customer": ann, "amount": 1, "reason": "test", "expires_at": "9999-12-31T23:59:59Z"}
    for asked in (
        ("POST", "/v1/credit-adjustments", beyond),
        ("PUT", known, {"waiver_signed_at": "9999-12-31T00:00:00Z"}),
    ):
        refused(await desk.caller.send(*asked), "invalid", 422)
    told(await desk.caller.send("PUT", known, {"waiver_signed_at": last, "born_on": "0001-01-01"}), 200)
    rule = {"is_on": True, "parameters": {"valid_days": 3650}}
    told(await desk.caller.send("PUT", "/v1/booking-rules/waiver_signed", rule), 200)
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        await tx.execute("update class_instance set time_zone = 'Pacific/Kiritimati'")

    hers = await desk.booked(flow, ann)

    would_be = told(await desk.caller.get(f"/v1/bookings/{hers['id']}/consequence"), 200)
    assert would_be["credits_expire_local"] == "3000-01-01T13:59:59+14:00[Pacific/Kiritimati]"


async def test_the_studio_cancels_a_class_and_nothing_goes_back_twice(desk: Studio):
    people = [await desk.person(f"p{n}", owns=1) for n in range(6)]
    waits = await desk.person("waits", owns=1)
    flow = await desk.class_at(SIX, capacity=6)
    booked = [await desk.booked(flow, each) for each in people]
    told(await desk.wait(flow, waits))
    desk.at(SIX - timedelta(hours=1))
    late = told(await desk.cancel(booked[0]))
    assert (late["status"], await desk.seats(flow)) == ("late_cancelled", (0, 5, 1))

    cancelled = [
        told(await desk.caller.post(f"/v1/classes/{flow}/cancellations", {"reason": "The pipes burst."}))
        for _ in range(2)
    ]

    assert [(each["bookings"], each["credits"], each["waiting"]) for each in cancelled] == [(5, 5, 1), (0, 0, 0)]
    assert [await desk.balance(each) for each in people] == [0, 1, 1, 1, 1, 1]
    assert (await desk.seats(flow), await desk.balance(waits)) == ((0, 0, 0), 1)
    assert [await desk.of(each, flow) for each in people[:2]] == [["late_cancelled"], ["cancelled"]]
    refused(await desk.book(flow, waits), "class_cancelled")
    mails = await desk.mails()
    assert sum("The pipes burst." in mail.text for mail in mails) == 5
    assert await desk.broken() == {}


async def test_a_class_that_has_begun_with_somebody_in_it_is_not_cancelled_by_the_way(desk: Studio):
    ann, bob = await desk.person("ann", owns=2), await desk.person("bob", owns=1)
    flow, early = await desk.class_at(SIX), await desk.class_at(SIX + timedelta(hours=2), title="Early")
    hers, his, hers_later = await desk.booked(flow, ann), await desk.booked(flow, bob), await desk.booked(early, ann)
    desk.at(SIX + timedelta(minutes=10))
    told(await desk.caller.post(f"/v1/bookings/{hers['id']}/check-ins"))
    cancellations = f"/v1/classes/{flow}/cancellations"

    refusal = refused(await desk.caller.post(cancellations, {}), "class_attended")

    assert refusal["context"]["attended"] == 1
    assert [(await desk.booking(each))["status"] for each in (hers, his)] == ["attended", "booked"]
    assert (await desk.balance(ann), await desk.balance(bob), await desk.seats(flow)) == (0, 0, (0, 2, 0))

    cancelled = told(await desk.caller.post(cancellations, {"cancels_attended": True}))
    desk.at(SIX + timedelta(hours=1, minutes=50))
    told(await desk.caller.post(f"/v1/bookings/{hers_later['id']}/check-ins"))
    sooner = told(await desk.caller.post(f"/v1/classes/{early}/cancellations", {}))  # who came early came for nothing

    assert (cancelled["bookings"], sooner["bookings"]) == (2, 1)
    assert (await desk.balance(ann), await desk.balance(bob)) == (2, 1)
    assert await desk.broken() == {}


async def test_numbers_are_unique_under_parallel_writers_and_say_nothing_of_their_order(desk: Studio):
    people = [await desk.person(f"p{n}", owns=1) for n in range(8)]
    flow = await desk.class_at(SIX, capacity=8)

    booked = [told(each) for each in await asyncio.gather(*(desk.book(flow, each) for each in people))]

    numbers = [each["number"] for each in booked]
    assert len(set(numbers)) == 8
    assert all(len(number) == 7 and set(number) <= set(ALPHABET) for number in numbers)
    assert numbers != sorted(numbers)
    assert (await desk.caller.one("/v1/bookings", number=numbers[3]))["id"] == booked[3]["id"]


async def test_a_number_that_is_taken_is_drawn_again(desk: Studio, monkeypatch: pytest.MonkeyPatch):
    ann, bob = await desk.person("ann", owns=1), await desk.person("bob", owns=1)
    flow = await desk.class_at(SIX)
    drawn = iter(["AAAAAAA", "AAAAAAA", "AAAAAAA", "BBBBBBB"])
    monkeypatch.setattr("bursar.apps.booking.bookings.numbers.number", lambda: next(drawn))

    booked = [await desk.booked(flow, each) for each in (ann, bob)]

    assert [each["number"] for each in booked] == ["AAAAAAA", "BBBBBBB"]


async def test_one_customers_own_parallel_requests_leave_one_booking_and_one_credit_spent(desk: Studio):
    ann = await desk.person("ann", owns=5)
    flow = await desk.class_at(SIX)

    answers = await asyncio.gather(*(desk.book(flow, ann) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_booked"}
    assert (await desk.balance(ann), await desk.seats(flow)) == (4, (0, 1, 0))


async def test_a_seat_paid_with_money_is_held_for_its_time_and_then_is_the_next_ones(desk: Studio):
    new = {"gateway": "sandbox", "name": "Web", "signing_secrets": ["whsec_web"], "api_key": "sk_test_web"}
    told(await desk.caller.post("/v1/gateway-accounts", new))
    await add_price(desk.stage, "drop-in", 1500, [], refs=[])
    ann, bob, cal = await desk.person("ann"), await desk.person("bob"), await desk.person("cal", owns=1)
    flow = await desk.class_at(SIX, capacity=1, price="drop-in")
    refused(await desk.book(flow, ann, pays="credits"), "credits_insufficient")

    held = await desk.booked(flow, ann)
    refused(await desk.book(flow, ann), "already_booked")
    refused(await desk.book(flow, bob), "class_full")
    desk.at(desk.clock.now + timedelta(minutes=15))
    his = await desk.booked(flow, bob)

    assert (held["status"], held["paid_with"], held["price_minor"], held["currency"]) == ("held", "money", 1500, "EUR")
    checkout = told(await desk.caller.get(f"/v1/checkouts/{held['checkout']}"), 200)
    assert (checkout["order"], checkout["customer"]) == (held["order"], ann)
    assert (await desk.of(ann, flow), his["status"], await desk.seats(flow)) == (["expired"], "held", (1, 0, 0))
    assert await desk.letters() == []
    # Nobody asks for the seat: the job of the hold gives it up all the same. A hold binds nobody, so it costs nothing.
    desk.at(desk.clock.now + timedelta(minutes=16))
    await desk.work()
    assert (await desk.of(bob, flow), await desk.seats(flow)) == (["expired"], (0, 0, 0))
    # Who has credits pays with them, though the class has a price too.
    assert (await desk.booked(flow, cal))["paid_with"] == "credits"
    assert await desk.broken() == {}


async def test_what_another_business_booked_is_not_found(desk: Studio, db: Database, database_url: str):
    ann = await desk.person("ann", owns=1)
    booked = await desk.booked(await desk.class_at(SIX), ann)
    async with studio(db, database_url) as other:
        for method, path in (
            ("GET", f"/v1/bookings/{booked['id']}"),
            ("GET", f"/v1/bookings/{booked['id']}/consequence"),
            ("POST", f"/v1/bookings/{booked['id']}/check-ins"),
            ("DELETE", f"/v1/bookings/{booked['id']}/check-ins"),
        ):
            refused(await other.caller.send(method, path), "booking_not_found", 404)
        refused(await other.cancel(booked), "booking_not_found", 404)
        refused(await other.book(booked["class"], await other.person("bob", owns=1)), "class_not_found", 404)
    assert (await desk.booking(booked))["status"] == "booked"


async def test_a_booking_on_credits_takes_eleven_statements_whoever_books(desk: Studio):
    """Within the transaction: the customer queued up; class and rules, own bookings, credits, features; the seat; spend and lot,
    movement; the booking; its letter; the event and the records of both. The answer is made of what was written."""
    new, known = await desk.person("new", owns=1), await desk.person("known", owns=2)
    flow, later = await desk.class_at(SIX), await desk.class_at(SIX + timedelta(hours=3))
    await desk.booked(later, known)
    place = {"tenant_id": desk.stage.tenant_id, "class_id": ids.parse(ids.CLASS, flow)}
    counts = []
    for customer in (new, known):
        said: list[str] = []
        async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
            tx._con.add_query_logger(lambda record, said=said: said.append(record.query))
            made = await bookings.book(
                tx,
                **place,
                customer_id=ids.parse(ids.CUSTOMER, customer),
                source="online",
                actor="test",
                now=desk.clock.now,
            )
            view = await queries.view_of(tx, tenant_id=desk.stage.tenant_id, made=made)
        # The transaction's end is not counted, and the driver asks for types that it has not met on a connection.
        counts.append(
            len([each for each in said if not any(word in each for word in ("typeinfo", "set_config", "commit"))])
        )
        shown = {"id": ids.show(ids.BOOKING, made.id)}
        assert view.model_dump(mode="json", by_alias=True) == await desk.booking(shown)

    assert counts == [11, 11]
    assert await desk.broken() == {}
