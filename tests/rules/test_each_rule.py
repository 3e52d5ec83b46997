"""Each rule about booking a seat: a situation in which nothing is in the way, and one fact that changes it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bursar.apps.booking import rules
from bursar.apps.booking.coupons import Offered
from bursar.apps.booking.passes import Membership
from bursar.apps.booking.rules.models import ClassFacts, CreditFacts, CustomerFacts, OwnBookings, Settings, Situation
from bursar.kernel import ids

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STARTS = datetime(2026, 3, 10, 17, tzinfo=UTC)

QUIET = Situation(
    now=NOW,
    source="online",
    pays="auto",
    seats=1,
    a_class=ClassFacts(
        id=ids.new(),
        title="Flow",
        status="scheduled",
        is_published=True,
        starts_at=STARTS,
        ends_at=STARTS + timedelta(hours=1),
        local_date=date(2026, 3, 10),
        time_zone="Europe/Berlin",
        capacity=10,
        held=0,
        held_over=0,
        booked=4,
        waiting=0,
        credit_cost=2,
        pools=("classes",),
        has_price=False,
        requirements={},
    ),
    customer=CustomerFacts(id=ids.new()),
    settings=Settings(),
    credits=CreditFacts(usable=5),
)
CAPPED = Membership(
    ids.new(), "classes-unlimited", "classes", 8, 8, NOW, datetime(2026, 4, 2, tzinfo=UTC), is_suspended=False
)


def with_class(**facts: Any) -> dict[str, Any]:
    return {"a_class": replace(QUIET.a_class, **facts)}


def asking(**requirements: Any) -> dict[str, Any]:
    return with_class(requirements=requirements)


def who(**facts: Any) -> dict[str, Any]:
    return {"customer": replace(QUIET.customer, **facts)}


def having(**facts: Any) -> dict[str, Any]:
    return {"own": OwnBookings(**facts)}


def on(rule: str, **values: Any) -> dict[str, Any]:
    return {"settings": Settings({rule: (True, values)})}


def nothing_but(**facts: Any) -> dict[str, Any]:
    return {"credits": CreditFacts(**facts)}


def giving(**facts: Any) -> dict[str, Any]:
    told = {
        "coupon_id": ids.new(),
        "is_on": True,
        "percent": 10,
        "is_meant": True,
        "price_minor": 1500,
        "price_currency": "EUR",
    }
    return {"coupon": Offered("SPRING", **told | facts), "pays": "money"} | with_class(has_price=True)


COUPON = giving()
BOTH = {"pays": "both"} | with_class(has_price=True)


# Rule, what is changed, what is told besides, and what keeps the rule after all.
CASES: list[tuple[str, dict[str, Any], set[str], dict[str, Any]]] = [
    ("class_scheduled", with_class(status="cancelled"), set(), {}),
    ("class_not_begun", {"now": STARTS}, set(), {"source": "desk"}),
    ("class_not_over", {"now": STARTS + timedelta(hours=1), "source": "desk"}, set(), {"source": "import"}),
    ("class_published", with_class(is_published=False), set(), {"source": "desk"}),
    ("booking_opens", on("booking_opens", days=7), set(), {"now": STARTS - timedelta(days=7)}),
    (
        "booking_closes",
        on("booking_closes", minutes=60) | {"now": STARTS - timedelta(minutes=60)},
        set(),
        {"now": STARTS - timedelta(minutes=61)},
    ),
    ("customer_active", who(is_active=False), set(), {}),
    ("customer_not_banned", who(is_banned=True), set(), {}),
    ("waiver_signed", on("waiver_signed"), set(), who(waiver_signed_at=NOW)),
    (
        "waiver_signed",
        on("waiver_signed", valid_days=7) | who(waiver_signed_at=STARTS - timedelta(days=7)),
        set(),
        who(waiver_signed_at=STARTS - timedelta(days=6)),
    ),
    ("age_met", asking(age_min=16) | who(born_on=date(2010, 3, 11)), set(), who(born_on=date(2010, 3, 10))),
    ("age_met", asking(age_max=12) | who(born_on=date(2013, 3, 10)), set(), who(born_on=date(2013, 3, 11))),
    ("age_met", asking(age_min=16), set(), who(born_on=date(1990, 1, 1))),
    ("level_met", asking(levels=["advanced"]) | who(level="beginner"), set(), who(level="advanced")),
    ("gender_met", asking(genders=["woman"]), set(), who(gender="woman")),
    ("membership_held", asking(membership="gold"), set(), {"features": frozenset({"gold"})}),
    ("first_timers_only", asking(first_timer=True) | having(has_any=True), set(), having()),
    ("intro_once", asking(intro=True) | having(has_intro=True), set(), having(has_any=True)),
    ("pools_match", nothing_but(elsewhere=3), {"credits_insufficient"}, nothing_but(usable=2, elsewhere=3)),
    ("pools_good_here", nothing_but(barred=3), {"credits_insufficient"}, nothing_but(usable=2, barred=3)),
    ("dues_paid", on("dues_paid", fees=True) | who(fee_unpaid_since=NOW), set(), who()),
    ("seats_left", with_class(held=6), set(), with_class(held=5)),
    ("seats_left", with_class(held=6), set(), with_class(held=6, held_over=1)),
    ("seats_left", with_class(held=6), set(), having(has_offer=True)),
    ("seats_left", with_class(waiting=1), set(), {"source": "desk"}),
    ("seats_left", with_class(waiting=1), set(), {"now": STARTS - timedelta(minutes=60)}),
    ("payable", {"pays": "nothing"}, set(), {"pays": "credits"}),
    ("payable", {"pays": "money"}, set(), with_class(has_price=True)),
    ("payable", {"pays": "credits"} | with_class(credit_cost=0, has_price=True), set(), {"pays": "auto"}),
    ("seats_left", {"seats": 2} | with_class(held=5), set(), {"seats": 1}),
    ("one_booking_per_class", having(booked="ABCDEFG"), set(), having()),
    ("guests_max", on("guests_max", seats_max=1) | {"seats": 2}, set(), {"seats": 1}),
    ("no_overlap", having(overlapping="ABCDEFG"), set(), {"settings": Settings({"no_overlap": (False, {})})}),
    ("bookings_per_day", on("bookings_per_day", bookings_max=2) | having(on_day=2), set(), having(on_day=1)),
    ("bookings_per_week", on("bookings_per_week") | having(in_week=3), set(), having(in_week=2)),
    ("bookings_to_come", on("bookings_to_come") | having(to_come=10), set(), having(to_come=9)),
    ("walk_in_reserve", on("walk_in_reserve", seats=6), set(), {"source": "walk_in"}),
    ("walk_in_reserve", on("walk_in_reserve", seats=6), set(), {"now": STARTS - timedelta(minutes=60)}),
    ("online_reserve", on("online_reserve", seats=6) | {"source": "desk"}, set(), {"source": "online"}),
    ("paid_with_one_thing", BOTH, set(), {"settings": Settings({"paid_with_one_thing": (False, {})})}),
    ("paid_with_one_thing", BOTH, set(), on("paid_with_one_thing", but_staff=True) | {"source": "desk"}),
    ("paid_with_one_thing", BOTH, set(), {"pays": "money"}),
    ("coupons_stopped", on("coupons_stopped") | COUPON, set(), {"settings": Settings()}),
    ("coupon_valid", giving(coupon_id=None), set(), COUPON),
    ("coupon_valid", giving(is_on=False), set(), COUPON),
    ("coupon_valid", giving(valid_from=NOW + timedelta(seconds=1)), set(), giving(valid_from=NOW)),
    ("coupon_valid", giving(valid_until=NOW), set(), giving(valid_until=NOW + timedelta(seconds=1))),
    ("coupon_valid", giving(is_meant=False), set(), COUPON),
    ("coupon_valid", giving(price_minor=None), set(), COUPON),
    ("coupon_valid", giving(percent=None, amount_minor=5, currency="USD"), set(), COUPON),
    ("coupon_valid", giving(percent=1, price_minor=50), set(), giving(percent=1, price_minor=51)),
    ("coupon_valid", COUPON | {"pays": "credits"}, set(), {"coupon": None}),
    ("coupon_left", giving(uses_max=3, used=3), set(), giving(uses_max=3, used=2)),
    (
        "coupon_left",
        giving(uses_per_customer=1, used_by_customer=1),
        set(),
        giving(uses_per_customer=2, used_by_customer=1),
    ),
    ("credits_enough", nothing_but(usable=1), set(), nothing_but(usable=2)),
    ("credits_enough", nothing_but(usable=1), set(), {"memberships": (replace(CAPPED, used=7),)}),
    ("credits_enough", nothing_but() | {"pays": "credits"} | with_class(has_price=True), set(), {"pays": "auto"}),
    ("credits_valid_on_day", nothing_but(ending=2), {"credits_insufficient"}, nothing_but(usable=2, ending=2)),
    ("credits_not_paused", nothing_but(suspended=2), {"credits_insufficient"}, nothing_but(usable=2, suspended=2)),
    ("dues_paid", who(dues_unpaid_since=NOW), set(), who()),
    ("credits_ahead", on("credits_ahead", credits_max=3) | having(credits_ahead=2), set(), having(credits_ahead=1)),
    ("fair_use", nothing_but() | {"memberships": (CAPPED,)}, {"credits_insufficient"}, nothing_but(usable=2)),
    ("offences", on("offences") | having(offences=3), set(), {"source": "desk"}),
]


def codes_of(situation: Situation) -> list[str]:
    return [failure.code for failure in rules.failures(situation)]


@pytest.mark.parametrize(("rule", "changed", "besides", "kept"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_refuses_what_it_is_about_and_nothing_else(rule, changed, besides, kept):
    broken = replace(QUIET, **changed)

    found = rules.failures(broken)

    assert codes_of(QUIET) == []
    mine = next(each for each in found if each.rule == rule)
    assert {each.code for each in found} == {mine.code} | besides
    assert mine.message
    assert mine.hint
    assert mine.is_waivable is rules.BY_ID[rule].is_waivable
    if kept:
        assert codes_of(replace(broken, **kept)) == []


def test_every_rule_about_booking_has_a_case():
    assert {rule for rule, *_ in CASES} == {rule.id for rule in rules.AT_BOOKING}


def test_every_failing_rule_is_told_in_the_catalogues_order_and_refused_with_the_code_of_the_first():
    changed = who(is_banned=True, born_on=date(2015, 1, 1)) | with_class(held=6, requirements={"age_min": 16})
    found = rules.failures(replace(QUIET, **changed, credits=CreditFacts()))

    assert [each.code for each in found] == ["customer_banned", "age_not_met", "class_full", "credits_insufficient"]
    with pytest.raises(rules.NotBookable) as refused:
        rules.require(found)
    assert refused.value.code == "customer_banned"
    assert [field.code for field in refused.value.fields] == [each.code for each in found]
    with pytest.raises(rules.REFUSALS["customer_banned"]) as kept:
        rules.require(found, is_waived=True)
    assert [field.code for field in kept.value.fields] == ["customer_banned", "credits_insufficient"]


def test_times_are_told_in_the_zone_of_the_class_across_a_change_of_the_clock():
    a_class = replace(
        QUIET.a_class,
        starts_at=datetime(2026, 3, 8, 13, tzinfo=UTC),
        time_zone="America/New_York",
        local_date=date(2026, 3, 8),
    )
    closed = replace(
        QUIET, a_class=a_class, now=datetime(2026, 3, 7, 13, tzinfo=UTC), **on("booking_closes", minutes=1440)
    )

    (failure,) = rules.failures(closed)

    assert failure.context == {"closed_at": "2026-03-07T08:00-05:00[America/New_York]"}
