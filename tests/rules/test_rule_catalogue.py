"""Every rule of the catalogue is something that happens: by a check, or by a code that is raised and a test that shows it."""

from pathlib import Path

import pytest

from bursar.apps.booking.rules import AT_BOOKING, CATALOGUE
from bursar.kernel.errors import DomainError

TESTS = Path(__file__).parents[1]

BY_RULES, BOOKINGS, WAITLISTS = (
    "rules/test_booking_by_rules.py",
    "booking/test_bookings.py",
    "booking/test_waitlists.py",
)
FEES = "booking/test_fees.py"
SCHEDULE, PACKS = "booking/test_schedule.py", "rules/test_pack_refunds.py"

SHOWN = {
    "venue_open": (SCHEDULE, "test_a_venue_that_is_closed_takes_no_class"),
    "room_free": (SCHEDULE, "test_ten_who_want_one_room_at_once_get_it_once"),
    "instructor_free": (SCHEDULE, "test_a_room_and_an_instructor_are_taken_once_and_both_are_told"),
    "instructor_qualified": (SCHEDULE, "test_an_instructor_gives_classes_of_what_he_teaches"),
    "venue_not_closed": (SCHEDULE, "test_a_venue_that_is_closed_takes_no_class"),
    "capacity_within_room": (SCHEDULE, "test_a_business_may_choose_to_be_only_warned"),
    "ends_after_start": (BOOKINGS, "test_a_class_that_moves_takes_its_bookings_along_and_tells_them"),
    "staff_skilled": ("booking/test_services.py", "test_what_is_free_follows_from_hours_skills_time_off_and_classes"),
    "capacity_inherited": (SCHEDULE, "test_a_class_edited_alone_keeps_what_its_template_says_from_then_on"),
    "this_or_following": (SCHEDULE, "test_this_and_following_splits_the_template_and_keeps_who_booked"),
    "capacity_not_below_booked": (SCHEDULE, "test_a_capacity_below_what_is_booked_is_refused_or_allowed_knowingly"),
    "past_stays": (SCHEDULE, "test_what_has_begun_or_gone_by_stays_as_it_is"),
    "overbooking_has_a_reason": (BOOKINGS, "test_staff_overbooks_with_a_reason_and_walk_ins_are_there"),
    "soonest_expiring_first": (BOOKINGS, "test_credits_that_end_soonest_pay_if_they_are_good_when_the_class_begins"),
    "given_before_bought": (BY_RULES, "test_given_credits_go_before_bought_ones_that_expire_with_them"),
    "special_before_general": (BOOKINGS, "test_of_several_pools_the_most_special_pays_when_they_end_together"),
    "allowance_of_period": (
        "applying/test_taking_back.py",
        "test_a_membership_grants_its_feature_once_and_its_credits_with_each_paid_period",
    ),
    "rollover_cap": (BY_RULES, "test_what_a_period_left_rolls_over_up_to_the_cap_and_once_and_is_used_first"),
    "rollover_first": (BY_RULES, "test_what_a_period_left_rolls_over_up_to_the_cap_and_once_and_is_used_first"),
    "given_not_refunded": (PACKS, "test_three_of_ten_used_seventy_go_back_nothing_is_left_and_there_is_no_second_time"),
    "one_currency": ("checkouts/test_checkouts.py", "test_prices_of_several_currencies_are_not_mixed"),
    "price_kept": (BOOKINGS, "test_changing_the_policy_leaves_bookings_on_their_terms"),
    "credits_transferable": (
        "booking/test_transfers.py",
        "test_credits_go_to_another_customer_where_the_business_says_so_and_no_unit_is_made_or_lost",
    ),
    "tax_of_venue": (
        "booking/test_taxes.py",
        "test_tax_in_the_price_is_split_off_it_and_later_edits_change_no_booking",
    ),
    "deposit_of_class": (
        "booking/test_deposits.py",
        "test_the_deposit_makes_the_seat_sure_and_goes_back_by_the_terms_of_what_was_paid",
    ),
    "no_show_fee": (FEES, "test_who_does_not_come_owes_the_fee_of_his_terms_once_however_often_it_is_marked"),
    "late_cancel_fee": (
        FEES,
        "test_cancelling_late_is_told_with_its_fee_before_and_owed_after_and_in_time_costs_nothing",
    ),
    "fee_free": (FEES, "test_members_first_offences_and_whoever_staff_cancels_for_are_spared_as_the_business_says"),
    "cutoff_of_class": (
        BOOKINGS,
        "test_a_minute_before_the_cutoff_the_credit_goes_back_and_a_minute_after_it_does_not",
    ),
    "refund_to_where_it_came_from": (
        "calls/test_refunds.py",
        "test_a_refund_is_pending_at_once_and_becomes_what_the_gateway_reports",
    ),
    "refund_within_payment": (
        "calls/test_refunds.py",
        "test_twenty_parallel_partial_refunds_never_exceed_what_was_captured",
    ),
    "refund_window": (PACKS, "test_what_is_no_pack_is_used_up_or_was_paid_too_long_ago_is_refused"),
    "pack_refund": (PACKS, "test_bookings_to_come_stand_in_the_way_and_are_listed"),
    "credits_to_their_lot": (
        BOOKINGS,
        "test_a_minute_before_the_cutoff_the_credit_goes_back_and_a_minute_after_it_does_not",
    ),
    "expired_lot": (BOOKINGS, "test_a_lot_that_expired_meanwhile_gives_back_as_the_terms_say"),
    "our_cancellation_gives_all": (BOOKINGS, "test_the_studio_cancels_a_class_and_nothing_goes_back_twice"),
    "staff_returns_late": (BY_RULES, "test_staff_gives_everything_back_for_a_late_cancellation_with_a_reason"),
    "reschedules_max": (BOOKINGS, "test_a_booking_moves_to_another_class_in_one_act_or_not_at_all"),
    "reschedule_cutoff": (BOOKINGS, "test_a_booking_moves_to_another_class_in_one_act_or_not_at_all"),
    "waitlist_length": (BY_RULES, "test_a_waitlist_has_its_length_and_who_waits_waits_for_one_class_at_a_time"),
    "waitlist_until": (WAITLISTS, "test_after_the_cutoff_nobody_is_promoted_and_the_seat_is_for_whoever_comes"),
    "offer_minutes": (WAITLISTS, "test_an_offer_is_taken_up_in_time_or_goes_to_the_next"),
    "who_cannot_pay_is_passed_over": (
        WAITLISTS,
        "test_a_late_cancellation_keeps_the_credit_and_gives_the_seat_to_the_first_who_can_pay",
    ),
    "waiting_ends_at_start": (BY_RULES, "test_waiting_ends_when_the_class_begins"),
    "waits_once": (BY_RULES, "test_a_waitlist_has_its_length_and_who_waits_waits_for_one_class_at_a_time"),
    "check_in_window": (BY_RULES, "test_when_attendance_is_written_down_is_for_the_business_to_choose"),
    "no_show_after": (BY_RULES, "test_when_attendance_is_written_down_is_for_the_business_to_choose"),
    "attendance_final": (BY_RULES, "test_when_attendance_is_written_down_is_for_the_business_to_choose"),
}
"""What is decided elsewhere than when a seat is booked, and the test that shows it."""


def codes(kind: type[DomainError]) -> set[str]:
    return {kind.code}.union(*(codes(each) for each in kind.__subclasses__()))


def test_ids_are_unique_and_every_code_is_raised_by_something():
    known = codes(DomainError)

    assert len({rule.id for rule in CATALOGUE}) == len(CATALOGUE)
    assert {rule.code for rule in CATALOGUE if rule.code} - known == set()
    assert all(rule.told.endswith(".") for rule in CATALOGUE)
    assert all(p.accepts(p.default) for rule in CATALOGUE for p in rule.parameters)


def test_what_is_decided_elsewhere_is_shown_by_a_test_that_is_there():
    elsewhere = {rule.id for rule in CATALOGUE if rule not in AT_BOOKING}

    assert SHOWN.keys() == elsewhere
    missing = [
        f"{file}: {name}"
        for file, name in SHOWN.values()
        if not (TESTS / file).exists() or f"def {name}(" not in (TESTS / file).read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("number", range(1, 81))
def test_each_of_the_eighty_is_a_rule(number):
    assert [rule.id for rule in CATALOGUE if rule.number == number]
