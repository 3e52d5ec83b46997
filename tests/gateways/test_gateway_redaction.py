"""Redacting is pure, forgets every free text, and does not change which of two snapshots wins."""

from datetime import UTC, datetime
from itertools import combinations
from uuid import UUID

import msgspec
import pytest

from bursar.money.gateways import Translation
from bursar.money.gateways.facts import (
    KINDS,
    ChargeFact,
    CustomerFact,
    InvoiceFact,
    Line,
    PaymentStatus,
    SubscriptionFact,
)
from bursar.money.gateways.redaction import (
    Marks,
    body_of,
    own_event_redacted,
    redacted,
    texts_of_bytes,
    texts_of_value,
    translation_of,
    without_person,
)
from bursar.money.merging.registers import encode, tie_of

MARKS = Marks(b"k" * 32)
ACCOUNT = UUID(int=7)
ADA = CustomerFact(
    ref="cus_1", email="Ada@Example.org", name="Ada", phone="1234", created_at=datetime(2026, 1, 1, tzinfo=UTC)
)
_ALLOWED_TEXTS = {
    "ref", "customer", "currency", "invoice", "charge", "subscription", "payment_method", "failure_code", "payment", "dispute",
    "direction", "number", "billing_reason", "mode", "method", "key", "status", "product", "price",
    "bursar_refund", "bursar_payment", "default_method",
}  # fmt: skip


def charge(**more):
    return ChargeFact(ref="ch_1", status=PaymentStatus.succeeded, amount_minor=1, currency="EUR", **more)


def test_a_customer_keeps_his_id_and_a_pseudonym():
    told = redacted(ADA, MARKS)

    assert (told.ref, told.name, told.phone, told.created_at) == ("cus_1", None, None, ADA.created_at)
    assert told.email == MARKS.pseudonym(" ada@example.ORG")
    assert "ada" not in told.email


def test_redacting_twice_is_redacting_once():
    once = redacted(charge(email="a@b.org", description="for Ada"), MARKS)

    assert redacted(once, MARKS) == once


def test_lines_lose_their_texts_and_keep_what_was_bought():
    line = Line(ref="il_1", prices=("price_1",), quantity=2, description="for Ada")
    fact = InvoiceFact(ref="in_1", status="paid", total_minor=1, paid_minor=1, currency="EUR", lines=(line,))

    assert redacted(fact, MARKS).lines == (Line(ref="il_1", prices=("price_1",), quantity=2),)


def test_what_names_nobody_is_returned_as_it_is():
    fact = SubscriptionFact(ref="sub_1", status="active", customer="cus_1")

    assert without_person(fact) is fact


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_of_a_fact_is_kept_on_purpose_or_goes(kind):
    """A new field that holds a text must be decided about here."""
    fields = msgspec.structs.fields(KINDS[kind])
    texts = {f.name for f in fields if f.type in (str, str | None)}
    fact_type = KINDS[kind]
    filled = {f.name: "x" for f in fields if f.type in (str, str | None)}
    others = {f.name: _some(f) for f in fields if f.required and f.name not in filled}

    bare = without_person(fact_type(**filled, **others))

    assert {name for name in texts if getattr(bare, name) is not None} <= _ALLOWED_TEXTS


def _some(field):
    return 1 if field.type is int else next(iter(field.type))


def test_who_wins_a_tie_is_the_same_before_and_after():
    told = [charge(failure_code=code, email=f"{code}@b.org", description=code) for code in "abcdefghij"]

    for one, other in combinations(told, 2):
        before = tie_of(one, encode(one)) < tie_of(other, encode(other))
        a, b = redacted(one, MARKS), redacted(other, MARKS)
        assert (tie_of(a, encode(a)) < tie_of(b, encode(b))) == before


def test_snapshots_that_differ_only_in_the_person_still_end_alike():
    one, other = charge(email="a@b.org"), charge(email="c@d.org")

    assert tie_of(one, encode(one)) != tie_of(other, encode(other))
    assert tie_of(one, encode(one)) >> 32 == tie_of(other, encode(other)) >> 32


def test_a_body_of_our_writing_reads_back_as_what_it_stands_for():
    translation = Translation((redacted(ADA, MARKS), charge(customer="cus_1")))

    assert translation_of(msgspec.json.decode(body_of(translation))) == translation
    assert translation_of(msgspec.json.decode(body_of(Translation(is_ignored=True)))) == Translation(is_ignored=True)
    assert translation_of(msgspec.json.decode(body_of(None))) is None


def test_an_event_of_our_own_keeps_its_shape():
    event = {"id": "payment:1", "data": {"ref": "1", "email": "a@b.org", "description": "for Ada", "amount_minor": 5}}

    told = msgspec.json.decode(own_event_redacted(event, MARKS))

    assert told == {"id": "payment:1", "data": {"ref": "1", "email": MARKS.pseudonym("a@b.org"), "amount_minor": 5}}


def test_names_are_found_wherever_they_stand():
    body = {"a": [{"b": "cus_1"}, "Ada <ada@example.org>"], "status": "succeeded", "n": 5, "no": "ab"}

    assert {"cus_1", "ada@example.org"} <= set(texts_of_value(body))
    assert not {"succeeded", "ab"} & set(texts_of_value(body))
    assert {"cus_1", "ada@example.org"} <= set(texts_of_bytes(b'{"a": "cus_1", broken ada@example.org.'))


def test_ids_are_marked_within_their_account_and_addresses_everywhere():
    other = UUID(int=8)

    assert MARKS.of_ref(ACCOUNT, "cus_1") != MARKS.of_ref(other, "cus_1")
    assert MARKS.of_text(ACCOUNT, "A@b.org") == MARKS.of_text(other, " a@B.ORG ")
    assert Marks(b"j" * 32).of_email("a@b.org") != MARKS.of_email("a@b.org")
