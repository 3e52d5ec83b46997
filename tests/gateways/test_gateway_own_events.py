"""Events that Bursar writes itself: desk payments and an operator's word."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.money.gateways import Envelope, FieldMissing, gateway, manual, operator
from bursar.money.gateways.facts import (
    AssignmentFact,
    Claim,
    PaymentFact,
    PaymentStatus,
    RefundFact,
    RefundStatus,
    version_of,
)

NOW = datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
PAYMENT = {
    "ref": "desk-1",
    "amount_minor": 5000,
    "currency": "EUR",
    "method": manual.DeskMethod.cash,
    "occurred_at": NOW,
}


def payload(event):
    return msgspec.json.decode(event.body)


def translate(event):
    return gateway("manual").translate(type=event.type, payload=payload(event)).facts


def test_desk_payment_comes_back_as_it_was_recorded():
    event = manual.payment_event(
        **PAYMENT, customer="cus_1", email="a@example.com", price="gold", quantity=2, order="ord_1", description="bar"
    )

    assert (event.event_id, event.type, event.occurred_at) == ("payment:desk-1", "manual.payment.recorded", NOW)
    assert translate(event) == (
        PaymentFact(
            ref="desk-1",
            status=PaymentStatus.succeeded,
            amount_minor=5000,
            currency="EUR",
            customer="cus_1",
            email="a@example.com",
            payment_method="cash",
            claim=Claim(order="ord_1", price="gold", quantity="2"),
            description="bar",
            created_at=NOW,
        ),
    )


def test_desk_payment_that_names_nothing_claims_nothing():
    (fact,) = translate(manual.payment_event(**PAYMENT))

    assert fact.claim == Claim()


def test_desk_refund_comes_back_as_it_was_recorded():
    event = manual.refund_event(ref="r-1", payment="desk-1", amount_minor=500, currency="EUR", occurred_at=NOW)

    assert (event.event_id, event.type) == ("refund:r-1", "manual.refund.recorded")
    assert translate(event) == (
        RefundFact(
            ref="r-1",
            status=RefundStatus.succeeded,
            amount_minor=500,
            currency="EUR",
            payment="desk-1",
            created_at=NOW,
        ),
    )


def test_envelope_of_a_desk_payment_names_it():
    event = manual.payment_event(**PAYMENT)

    assert gateway("manual").envelope(headers={}, body=event.body) == Envelope(event.event_id, event.type, NOW)


def test_recording_twice_is_the_same_bytes_in_any_zone():
    abroad = PAYMENT | {"occurred_at": NOW.astimezone(timezone(timedelta(hours=9)))}

    assert manual.payment_event(**PAYMENT) == manual.payment_event(**abroad)


@given(ref=st.text(min_size=1, max_size=400))
def test_any_ref_gives_an_event_that_can_be_filed(ref):
    ref = ref.encode("utf-8", "replace").decode()
    event = manual.payment_event(**PAYMENT | {"ref": ref})

    assert gateway("manual").envelope(headers={}, body=event.body).event_id == event.event_id


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("ref", None),
        ("amount_minor", -1),
        ("amount_minor", "5"),
        ("currency", "EURO"),
        ("method", "barter"),
        ("method", []),
    ],
)
def test_desk_payment_with_a_wrong_field_is_refused_by_name(field, bad):
    event = payload(manual.payment_event(**PAYMENT))
    event["data"][field] = bad

    with pytest.raises(FieldMissing) as refused:
        gateway("manual").translate(type="manual.payment.recorded", payload=event)

    assert refused.value.path == f"data.{field}"


def test_assignment_comes_back_as_the_operator_gave_it():
    event = operator.assignment_event(payment="pi_1", price="gold", quantity=2, customer="cus_1", occurred_at=NOW)

    assert operator.is_own(event.type)
    assert operator.translate_own(event.type, payload(event)).facts == (
        AssignmentFact(ref="assignment:pi_1", payment="pi_1", price="gold", quantity=2, customer="cus_1"),
    )


def test_later_word_on_the_same_payment_is_another_event_and_the_newer_fact():
    first = operator.assignment_event(payment="pi_1", price="gold", quantity=1, occurred_at=NOW)
    later = operator.assignment_event(
        payment="pi_1", price="silver", quantity=1, occurred_at=NOW + timedelta(seconds=1)
    )

    before, after = (operator.translate_own(e.type, payload(e)).facts[0] for e in (first, later))

    assert first.event_id != later.event_id
    assert before.ref == after.ref
    assert version_of(after, later.occurred_at) > version_of(before, first.occurred_at)


def test_changed_catalogue_says_nothing_but_that():
    event = operator.catalog_event(price="gold", occurred_at=NOW)

    found = operator.translate_own(event.type, payload(event))

    assert (found.facts, found.is_ignored) == ((), False)


def test_other_types_of_our_own_are_ignored():
    assert operator.translate_own("bursar.something.new", {}).is_ignored
    assert not operator.is_own("payment_intent.succeeded")
