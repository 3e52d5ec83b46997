"""Who waits is served in the transaction that frees the seat: strictly in order, with what it costs, or passed over and told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from booking.studio import Studio, refused, studio, told
from bursar.kernel.db import Database

pytestmark = pytest.mark.anyio

SIX = datetime(2026, 3, 5, 23, tzinfo=UTC)


@pytest.fixture
async def desk(db: Database, database_url: str) -> AsyncIterator[Studio]:
    async with studio(db, database_url) as made:
        yield made


async def full(desk: Studio, *, seats: int = 1, **more) -> tuple[str, list[dict]]:
    """Return a class whose seats are taken, and the bookings that took them."""
    flow = await desk.class_at(SIX, capacity=seats, **more)
    taken = [await desk.booked(flow, await desk.person(f"first{n}", owns=1)) for n in range(seats)]
    return flow, taken


async def statuses(desk: Studio, flow: str) -> list[str]:
    """Return the states of the entries in the order in which they joined."""
    return [each["status"] for each in reversed(await desk.caller.data("/v1/waitlist-entries", **{"class": flow}))]


async def test_a_late_cancellation_keeps_the_credit_and_gives_the_seat_to_the_first_who_can_pay(desk: Studio):
    flow, [taken] = await full(desk)
    poor, ann, bob = await desk.person("poor"), await desk.person("ann", owns=1), await desk.person("bob", owns=1)
    # Hers expires before the class begins: it is no credit for this class.
    ending = await desk.person("ending", owns=1, expires_at=SIX - timedelta(hours=1))
    entries = [told(await desk.wait(flow, each)) for each in (poor, ending, ann, bob)]
    assert [each["position"] for each in entries] == [1, 2, 3, 4]
    desk.at(SIX - timedelta(hours=2))

    late = told(await desk.cancel(taken))

    assert (late["status"], late["credits_back"]) == ("late_cancelled", "kept")
    assert await statuses(desk, flow) == ["skipped", "skipped", "promoted", "waiting"]
    assert (await desk.of(ann, flow), await desk.balance(ann), await desk.seats(flow)) == (["booked"], 0, (0, 1, 1))
    promoted = await desk.caller.one("/v1/bookings", customer=ann)
    assert (promoted["source"], promoted["paid_with"]) == ("waitlist", "credits")
    sent = {mail.to: mail for mail in await desk.mails()}
    assert "0 can be spent" in sent["poor@example.org"].text
    assert sent["ann@example.org"].subject.startswith("You have a seat")
    assert await desk.broken() == {}


async def test_who_was_promoted_and_gave_it_up_is_not_promoted_again(desk: Studio):
    flow, [taken] = await full(desk)
    ann, bob = await desk.person("ann", owns=2), await desk.person("bob", owns=1)
    for each in (ann, bob):
        told(await desk.wait(flow, each))
    told(await desk.cancel(taken))
    promoted = await desk.caller.one("/v1/bookings", customer=ann)

    told(await desk.cancel(promoted))

    assert (await desk.of(bob, flow), await statuses(desk, flow)) == (["booked"], ["promoted", "promoted"])
    refused(await desk.wait(flow, ann), "already_promoted")
    assert await desk.balance(ann) == 2
    assert await desk.broken() == {}


async def test_nobody_overtakes_who_waits_and_a_wish_for_two_seats_is_waited_for(desk: Studio):
    flow, taken = await full(desk, seats=2)
    pair, ann, eve = (
        await desk.person("pair", owns=2),
        await desk.person("ann", owns=1),
        await desk.person("eve", owns=1),
    )
    told(await desk.wait(flow, pair, seats=2))
    told(await desk.wait(flow, ann))

    told(await desk.cancel(taken[0]))
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 1, 2), ["waiting", "waiting"])
    refused(await desk.book(flow, eve), "class_full")
    told(await desk.cancel(taken[1]))

    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 2, 1), ["promoted", "waiting"])
    assert (await desk.balance(pair), await desk.of(ann, flow)) == (0, [])
    assert await desk.broken() == {}


async def test_a_wish_that_is_never_granted_is_refused_or_passed_over_and_keeps_nobody_waiting(desk: Studio):
    flow, taken = await full(desk, seats=3)
    empty = await desk.class_at(SIX + timedelta(hours=3), capacity=4)
    large = await desk.class_at(SIX + timedelta(hours=6), capacity=40)
    crowd, ann, bob = [await desk.person(name, owns=3) for name in ("crowd", "ann", "bob")]
    for a_class, count, most in ((flow, 4, 3), (empty, 5, 4), (large, 100, 10)):
        assert refused(await desk.wait(a_class, crowd, seats=count), "wish_too_large")["context"] == {"seats_max": most}
    told(await desk.book(empty, ann))
    for customer, count in ((crowd, 3), (ann, 1), (bob, 1)):
        told(await desk.wait(flow, customer, seats=count))
    fewer = {"capacity": 2, "allows_overbooked": True}
    told(await desk.caller.send("PATCH", f"/v1/classes/{flow}", fewer), 200)

    for each in taken:
        told(await desk.cancel(each))

    assert await statuses(desk, flow) == ["skipped", "promoted", "promoted"]
    assert await desk.seats(flow) == (0, 2, 0)
    sent = {mail.to: mail.text for mail in await desk.mails()}
    assert "The class has 2 seats by now, and you waited for 3." in sent["crowd@example.org"]
    assert await desk.broken() == {}


async def test_who_may_not_come_is_passed_over_in_words_for_himself(desk: Studio):
    flow, [taken] = await full(desk)
    banned, ann = await desk.person("banned", owns=1), await desk.person("ann", owns=1)
    for each in (banned, ann):
        told(await desk.wait(flow, each))
    told(await desk.caller.send("PUT", f"/v1/customers/{banned}/attendee", {"is_banned": True}), 200)

    told(await desk.cancel(taken))

    assert await statuses(desk, flow) == ["skipped", "promoted"]
    sent = {mail.to: mail.text for mail in await desk.mails()}
    assert "You may not book here. Speak with the business." in sent["banned@example.org"]
    assert await desk.broken() == {}


async def test_who_leaves_makes_way_and_waiting_has_its_refusals(desk: Studio):
    flow, taken = await full(desk, seats=2)
    free = await desk.class_at(SIX + timedelta(hours=3))
    hidden = await desk.class_at(SIX + timedelta(hours=5), capacity=0, is_published=False)
    pair, ann = await desk.person("pair", owns=2), await desk.person("ann", owns=1)
    first = told(await desk.wait(flow, pair, seats=2))
    told(await desk.wait(flow, ann))
    refused(await desk.wait(flow, ann), "already_waiting")
    refused(await desk.wait(flow, desk.people["first0"]), "already_booked")
    refused(await desk.wait(free, ann), "seats_free")
    refused(await desk.wait(hidden, ann), "class_not_published")
    told(await desk.cancel(taken[0]))

    left = told(await desk.caller.send("DELETE", f"/v1/waitlist-entries/{first['id']}"), 200)

    assert left["status"] == "left"
    refused(await desk.caller.send("DELETE", f"/v1/waitlist-entries/{first['id']}"), "not_waiting")
    assert (await desk.of(ann, flow), await desk.seats(flow)) == (["booked"], (0, 2, 0))
    desk.at(SIX - timedelta(minutes=59))
    refused(await desk.wait(flow, pair), "waitlist_closed")
    assert await desk.broken() == {}


async def test_after_the_cutoff_nobody_is_promoted_and_the_seat_is_for_whoever_comes(desk: Studio):
    flow, [taken] = await full(desk)
    ann, eve = await desk.person("ann", owns=1), await desk.person("eve", owns=1)
    told(await desk.wait(flow, ann))
    desk.at(SIX - timedelta(minutes=59))

    told(await desk.cancel(taken))
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 0, 1), ["waiting"])
    told(await desk.book(flow, eve))

    assert await desk.seats(flow) == (0, 1, 1)
    desk.at(SIX + timedelta(minutes=1))
    await desk.work()
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 1, 0), ["closed"])
    assert await desk.broken() == {}


async def test_a_class_that_is_not_published_any_more_promotes_nobody(desk: Studio):
    flow, [taken] = await full(desk)
    ann = await desk.person("ann", owns=1)
    told(await desk.wait(flow, ann))
    hidden = await desk.caller.send("PATCH", f"/v1/classes/{flow}", {"is_published": False})
    assert hidden.status_code == 200, hidden.text

    told(await desk.cancel(taken))
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 0, 1), ["waiting"])

    # Published again, the seat is his; the schedule's own routes know nothing of waitlists, and ask for the job that does.
    await desk.caller.send("PATCH", f"/v1/classes/{flow}", {"is_published": True})
    await desk.work()
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 1, 0), ["promoted"])


async def test_seats_that_an_edit_or_a_template_adds_go_to_who_waits_without_a_clock_tick(desk: Studio):
    flow, _ = await full(desk)
    people = [await desk.person(name, owns=1) for name in ("ann", "bob", "cal")]
    for each in people:
        told(await desk.wait(flow, each))

    told(await desk.caller.send("PATCH", f"/v1/classes/{flow}", {"capacity": 2}), 200)
    await desk.work()
    edited = await statuses(desk, flow)
    venue = told(await desk.caller.get(f"/v1/classes/{flow}"), 200)["venue"]
    weekly = {"venue": venue, "title": "Weekly", "duration_min": 30, "starts_on": "2026-03-20", "local_start": "05:00", "capacity": 1,
              "pools": ["classes"], "is_published": True}  # fmt: skip
    template = told(await desk.caller.post("/v1/class-templates", weekly))["id"]
    made = (await desk.caller.data("/v1/classes", template=template))[0]["id"]
    told(await desk.book(made, await desk.person("dan", owns=1)))
    told(await desk.wait(made, people[2]))
    told(await desk.caller.send("PATCH", f"/v1/class-templates/{template}", {"capacity": 2}), 200)
    await desk.work()

    assert edited == ["promoted", "waiting", "waiting"]
    assert (await desk.seats(made), await statuses(desk, made)) == ((0, 2, 0), ["promoted"])
    assert await desk.broken() == {}


async def test_a_greater_capacity_serves_who_waits_in_their_order(desk: Studio):
    flow, _ = await full(desk)
    people = [await desk.person(name, owns=1) for name in ("ann", "bob", "cal")]
    for each in people:
        told(await desk.wait(flow, each))

    told(await desk.caller.post(f"/v1/classes/{flow}/changes", {"capacity": 3}))

    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 3, 1), ["promoted", "promoted", "waiting"])
    assert [await desk.balance(each) for each in people] == [0, 0, 1]


async def test_an_offer_is_taken_up_in_time_or_goes_to_the_next(desk: Studio):
    policy = await desk.policy(waitlist_mode="offer", offer_minutes=30)
    flow, [taken] = await full(desk, policy=policy)
    ann, bob, eve = [await desk.person(name, owns=1) for name in ("ann", "bob", "eve")]
    for each in (ann, bob):
        told(await desk.wait(flow, each))

    told(await desk.cancel(taken))
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((1, 0, 1), ["offered", "waiting"])
    assert (await desk.balance(ann), await desk.of(ann, flow)) == (1, ["held"])
    refused(await desk.book(flow, eve), "class_full")
    desk.at(desk.clock.now + timedelta(minutes=31))
    refused(await desk.book(flow, eve), "class_full")  # what she freed is not hers: bob waits
    await desk.work()
    assert (await statuses(desk, flow), await desk.of(ann, flow)) == (["skipped", "offered"], ["expired"])
    more = refused(await desk.book(flow, bob, seats=2), "class_full")
    assert more["context"] == {"offered": 1}
    taken_up = told(await desk.book(flow, bob))

    assert (taken_up["status"], taken_up["paid_with"], taken_up["source"]) == ("booked", "credits", "waitlist")
    assert (await desk.seats(flow), await statuses(desk, flow)) == ((0, 1, 0), ["skipped", "promoted"])
    assert (await desk.balance(ann), await desk.balance(bob)) == (1, 0)
    assert await desk.broken() == {}


async def test_where_staff_confirms_a_promotion_is_a_request_too(desk: Studio):
    policy = await desk.policy(needs_approval=True)
    flow = await desk.class_at(SIX, capacity=1, policy=policy)
    first, ann = await desk.person("first", owns=1), await desk.person("ann", owns=1)
    asked = await desk.booked(flow, first)
    told(await desk.wait(flow, ann))

    told(await desk.cancel(asked))

    hers = await desk.caller.one("/v1/bookings", customer=ann)
    assert (hers["status"], await desk.seats(flow), await desk.balance(ann)) == ("requested", (1, 0, 0), 0)
    # Nobody confirms it: when the class begins the request ends, and its credit comes back.
    desk.at(SIX)
    await desk.work()
    ended = await desk.booking(hers)
    assert (ended["status"], ended["credits_back"], await desk.balance(ann)) == ("expired", "same_lot", 1)
    assert await desk.broken() == {}


async def test_a_booking_moves_into_a_seat_exactly_when_one_could_be_booked(desk: Studio):
    flow, [taken] = await full(desk)
    asked = await desk.policy(needs_approval=True)
    confirmed = await desk.class_at(SIX + timedelta(days=2), policy=asked)
    ann, eve = await desk.person("ann", owns=1), await desk.person("eve", owns=1)
    hers = await desk.booked(await desk.class_at(SIX + timedelta(days=3)), eve)
    moving = f"/v1/bookings/{hers['id']}/reschedules"
    told(await desk.wait(flow, ann))

    refused(await desk.caller.post(moving, {"class": confirmed}), "reschedule_unfit")
    refused(await desk.caller.post(moving, {"class": flow}), "class_full")
    desk.at(SIX - timedelta(minutes=59))
    told(await desk.cancel(taken))
    # Waiting is over: the seat is for whoever comes, one who moves as well as one who books.
    moved = told(await desk.caller.post(moving, {"class": flow}))

    assert (moved["class"], await desk.seats(flow), await statuses(desk, flow)) == (flow, (0, 1, 1), ["waiting"])
    assert await desk.broken() == {}


async def test_seats_that_are_kept_for_walk_ins_are_not_moved_into_by_any_race(desk: Studio):
    rule = {"is_on": True, "parameters": {"seats": 2, "until_minutes": 30}}
    told(await desk.caller.send("PUT", "/v1/booking-rules/walk_in_reserve", rule), 200)
    flow, other = await desk.class_at(SIX, capacity=5), await desk.class_at(SIX + timedelta(hours=3))
    hers = [await desk.booked(other, await desk.person(f"mover{n}", owns=1)) for n in range(6)]

    answers = await asyncio.gather(
        *(desk.caller.post(f"/v1/bookings/{each['id']}/reschedules", {"class": flow}) for each in hers)
    )

    assert [answer.status_code for answer in answers].count(201) == 3
    assert (await desk.seats(flow), await desk.seats(other)) == ((0, 3, 0), (0, 3, 0))
    assert await desk.broken() == {}
