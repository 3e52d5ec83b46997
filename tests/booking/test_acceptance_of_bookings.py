"""The thirty behaviours that bookings are accepted by: where each is proven, and here those that are proven nowhere else, through HTTP."""

import ast
import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from booking.fronts import ZONE, studio_at
from booking.studio import Studio, broken, studio, told
from bursar.kernel.db import Database
from stage import event, intent

pytestmark = pytest.mark.anyio

TESTS = Path(__file__).parents[1]
HERE = "booking/test_acceptance_of_bookings.py"
SIX = datetime(2026, 3, 5, 23, tzinfo=UTC)

PROVEN = {
    1: ("booking/test_booking_races.py", "test_of_forty_who_want_ten_seats_exactly_ten_have_one"),
    2: ("booking/test_bookings.py", "test_a_seat_costs_a_credit_once_and_is_told_of_with_its_zone"),
    3: ("booking/test_bookings.py", "test_one_customers_own_parallel_requests_leave_one_booking_and_one_credit_spent"),
    4: ("booking/test_bookings.py", "test_credits_that_end_soonest_pay_if_they_are_good_when_the_class_begins"),
    5: (
        "booking/test_bookings.py",
        "test_a_minute_before_the_cutoff_the_credit_goes_back_and_a_minute_after_it_does_not",
    ),
    6: (HERE, "test_the_cutoff_is_one_text_in_the_answer_the_mail_and_the_page_across_a_change_of_clocks"),
    7: (HERE, "test_a_seat_that_is_given_up_late_is_the_first_ones_in_the_same_commit"),
    8: (
        "booking/test_waitlists.py",
        "test_a_late_cancellation_keeps_the_credit_and_gives_the_seat_to_the_first_who_can_pay",
    ),
    9: ("booking/test_waitlists.py", "test_who_was_promoted_and_gave_it_up_is_not_promoted_again"),
    10: (HERE, "test_a_class_of_thirty_is_cancelled_and_thirty_credits_go_back_once_however_often_it_is_asked"),
    11: (
        "rules/test_pack_refunds.py",
        "test_three_of_ten_used_seventy_go_back_nothing_is_left_and_there_is_no_second_time",
    ),
    12: ("rules/test_pack_refunds.py", "test_bookings_to_come_stand_in_the_way_and_are_listed"),
    13: ("booking/test_bookings.py", "test_changing_the_policy_leaves_bookings_on_their_terms"),
    14: ("booking/test_bookings.py", "test_of_two_who_confirm_one_wins_and_requests_hold_their_seats"),
    15: ("booking/test_appointments.py", "test_the_database_refuses_an_overlap_though_nobody_looked"),
    16: ("booking/test_schedule.py", "test_a_wall_time_that_the_clock_jumps_over_is_shifted_and_flagged"),
    17: ("booking/test_paid_seats.py", "test_every_order_of_payment_expiry_and_rival_ends_in_a_seat_or_a_refund"),
    18: ("booking/test_bookings.py", "test_a_capacity_below_what_is_booked_sells_nothing_more_until_there_is_room"),
    # How long it takes, `bursar bench studio` measures: page_2000_ratio.
    19: ("booking/test_studio_at_scale.py", "test_what_lists_of_bookings_read_they_read_by_index"),
    20: ("booking/test_studio_at_scale.py", "test_pages_neither_repeat_nor_skip_while_bookings_pour_in"),
    21: ("booking/test_bookings.py", "test_what_another_business_booked_is_not_found"),
    22: ("booking/test_bookings.py", "test_numbers_are_unique_under_parallel_writers_and_say_nothing_of_their_order"),
    23: (HERE, "test_the_days_of_a_year_in_auckland_begin_at_its_midnights_and_sum_to_the_year"),
    24: (
        "booking/test_paid_seats.py",
        "test_a_person_has_one_timeline_of_bookings_and_of_payments_at_several_gateways",
    ),
    25: ("reconciliation/test_reconciling.py", "test_each_planted_difference_is_found_and_nothing_else_twice_in_a_row"),
    26: (
        "rules/test_booking_by_rules.py",
        "test_an_unlimited_membership_is_in_one_place_at_a_time_unless_the_business_allows_two",
    ),
    27: (
        "rules/test_booking_by_rules.py",
        "test_credits_that_end_with_a_day_end_when_it_is_over_where_the_business_is",
    ),
    28: ("rules/test_booking_by_rules.py", "test_verify_names_the_one_lot_that_a_hand_has_edited"),
    29: ("pages/test_front_desk.py", "test_a_new_booking_is_seen_within_a_second_and_by_its_own_business_only"),
    30: ("booking/test_schedule.py", "test_what_is_booked_is_not_moved_nor_deleted_and_the_number_is_told"),
}

ALSO = (
    (
        12,
        "rules/test_booking_by_rules.py",
        "test_bookings_to_come_are_cancelled_before_their_pack_is_refunded_where_the_business_wants_it",
    ),
    (17, "booking/test_paid_seats.py", "test_seats_of_classes_are_confirmed_seated_again_or_paid_back_and_counted"),
    (27, "api/test_credits.py", "test_a_job_marks_expired_lots_once_and_writes_down_what_they_held"),
)
"""What of them another test proves."""


def test_each_of_the_thirty_is_proven_by_a_test_that_is_there():
    proofs = [(number, *proof) for number, proof in PROVEN.items()] + list(ALSO)
    defined = {
        file: {
            node.name
            for node in ast.walk(ast.parse((TESTS / file).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for file in {file for _, file, _ in proofs}
    }

    assert sorted(PROVEN) == list(range(1, 31))
    assert [number for number, file, name in proofs if name not in defined[file]] == []


@pytest.fixture
async def desk(db: Database, database_url: str) -> AsyncIterator[Studio]:
    async with studio(db, database_url) as made:
        yield made


def change_of_clocks() -> datetime:
    """Return nine o'clock of the next day on which clocks are set, in the zone of the public pages."""
    zone, day = ZoneInfo(ZONE), datetime.now(UTC).date() + timedelta(days=3)
    while day_length(zone, day) == timedelta(days=1):
        day += timedelta(days=1)
    return at(zone, day, hour=9)


def at(zone: ZoneInfo, day: date, *, hour: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)


def day_length(zone: ZoneInfo, day: date) -> timedelta:
    return at(zone, day + timedelta(days=1)) - at(zone, day)


async def test_the_cutoff_is_one_text_in_the_answer_the_mail_and_the_page_across_a_change_of_clocks(
    db: Database, database_url: str
):
    starts_at = change_of_clocks()
    async with studio_at(db, database_url) as shop:
        a_class = await shop.add_class(cost=0, starts_at=starts_at)
        path = f"{shop.base}/classes/{a_class}"
        form = await shop.fields(path) | {"name": "Ann", "email": "ann@example.org", "seats": "1"}
        booked = await shop.send(f"{path}/bookings", form)
        page = await shop.page(booked.headers["location"])
        answer = await shop.mine.one("/v1/bookings")
        mail = (await shop.mailed())[-1]

    text = answer["cancel_by_text"]
    assert datetime.fromisoformat(answer["cancel_by"]) == starts_at - timedelta(hours=24)
    # A day before, by the clock on the wall, it is nine; what counts are hours that pass.
    assert "09:00" not in text
    assert f"({ZONE})" in text
    assert text in mail.text
    assert text in page


async def test_a_seat_that_is_given_up_late_is_the_first_ones_in_the_same_commit(desk: Studio):
    flow = await desk.class_at(SIX, capacity=1)
    taken = await desk.booked(flow, await desk.person("first", owns=1))
    told(await desk.wait(flow, await desk.person("ann", owns=1)))
    desk.at(SIX - timedelta(hours=2))

    late = told(await desk.cancel(taken))

    assert late["status"] == "late_cancelled"
    written = await desk.stage.rows(
        """select b.xmin::text as by_booking, e.xmin::text as by_entry, c.xmin::text as by_class, b.status from booking b
        cross join waitlist_entry e cross join class_instance c order by b.created_at"""
    )
    assert [row["status"] for row in written] == ["late_cancelled", "booked"]
    assert len({row[by] for row in written for by in ("by_booking", "by_entry", "by_class")}) == 1


async def test_a_class_of_thirty_is_cancelled_and_thirty_credits_go_back_once_however_often_it_is_asked(desk: Studio):
    flow = await desk.class_at(SIX, capacity=30)
    people = [await desk.person(f"p{n}", owns=1) for n in range(30)]
    await asyncio.gather(*(desk.booked(flow, each) for each in people))
    desk.at(SIX - timedelta(minutes=10))  # long after everybody's cutoff

    body = {"reason": "The pipes burst."}
    answers = await asyncio.gather(*(desk.caller.post(f"/v1/classes/{flow}/cancellations", body) for _ in range(3)))
    again = told(await desk.caller.post(f"/v1/classes/{flow}/cancellations", body))

    given = sorted(told(each)["credits"] for each in answers)
    movements = await desk.stage.rows("select kind, sum(amount)::int as amount from credit_movement group by kind")
    assert (given, again["credits"]) == ([0, 0, 30], 0)
    assert {row["kind"]: row["amount"] for row in movements} == {"adjusted": 30, "spent": -30, "returned": 30}
    assert await desk.stage.value("select count(*) from credit_movement where kind = 'returned'") == 30
    assert (await desk.seats(flow), await broken(desk.stage)) == ((0, 0, 0), {})


async def test_the_days_of_a_year_in_auckland_begin_at_its_midnights_and_sum_to_the_year(desk: Studio):
    zone, first = ZoneInfo("Pacific/Auckland"), date(2025, 1, 1)
    told(await desk.caller.send("PUT", "/v1/time-zone", {"time_zone": zone.key}), 200)
    # On every fifth day one payment in the first second of the day there, and one in the last second of the day before.
    days = [first + timedelta(days=n) for n in range(0, 365, 5)]
    paid = []
    for n, day in enumerate(days):
        for suffix, moment in (("a", at(zone, day)), ("z", at(zone, day) - timedelta(seconds=1))):
            told_of = intent(f"{n}{suffix}", amount=100 + n, amount_received=100 + n, created=int(moment.timestamp()))
            paid.append(event("payment_intent.succeeded", told_of))
    await desk.stage.tell(*paid)
    expected: Counter[str] = Counter()
    for n, day in enumerate(days):
        expected[str(day)] += 100 + n
        expected[str(day - timedelta(days=1))] += 100 + n

    async def report(**period: str) -> dict:
        return told(await desk.caller.get("/v1/reports/daily-payments", **period), 200)

    year = await report(first_day="2025-01-01", last_day="2025-12-31")

    by_day = {row["day"]: row["by_status"]["succeeded"]["amount_minor"] for row in year["data"]}
    expected.pop("2024-12-31")
    assert by_day == dict(expected)
    assert sum(by_day.values()) == year["totals"][0]["by_status"]["succeeded"]["amount_minor"]
    one = await report(first_day="2025-04-06", last_day="2025-04-06")  # a day of 25 hours
    assert [row["day"] for row in one["data"]] == [day for day in by_day if day == "2025-04-06"]
