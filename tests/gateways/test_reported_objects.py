"""An object that a gateway showed us when we asked is merged like a delivery of it."""

from datetime import UTC, datetime
from itertools import permutations

import pytest
from calling_examples import DODO, stripe_object
from gateway_material import dodo_events, needs_material, stripe_events
from hostile_json import JSON, spoiled
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.money.gateways import FieldMissing, gateway
from bursar.money.gateways.balances import balance_entry
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import (
    DisputeFact,
    DisputeFundsFact,
    PaymentFact,
    PaymentStatus,
    RefundFact,
    RefundStatus,
    SessionFact,
    SessionPayment,
    SessionStatus,
)
from bursar.money.gateways.reports import OBJECT_REPORTED, Source, report_event, translate_report
from bursar.money.intake.filing import file_written
from bursar.operations.fingerprint import fingerprint
from bursar.operations.snapshots import reading
from stage import charge, event, intent, refund, session, set_stage

pytestmark = pytest.mark.anyio

T = 1_760_000_000
RETURNED = "select status, amount_minor, (select sum(remaining)::int from credit_lot) as remaining from refund"

_STRIPE_KINDS = {
    "checkout.session": Kind.session,
    "customer": Kind.customer,
    "payment_intent": Kind.payment,
    "charge": Kind.charge,
    "refund": Kind.refund,
    "dispute": Kind.dispute,
    "invoice": Kind.invoice,
    "subscription": Kind.subscription,
    "payment_method": Kind.payment_method,
    "setup_intent": Kind.setup,
}
_DODO_KINDS = {
    "payment": Kind.payment,
    "refund": Kind.refund,
    "dispute": Kind.dispute,
    "subscription": Kind.subscription,
    "license_key": Kind.licence_key,
}
# What an event's type says of an object that lags behind it; an object that was asked for does not lag.
_TOLD_BY_TYPE = {
    "status",
    "payment_status",
    "is_captured",
    "is_detached",
    "is_deleted",
    "ended_at",
    "amount_minor",
    "paid_minor",
}


def seconds(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)


async def report(stage, kind: Kind, item: dict, *, at: int) -> None:
    async with stage.db.tenant(stage.tenant_id) as tx:
        told = report_event(kind=kind, object=item, at=seconds(at), source=Source.call)
        await file_written(tx, tenant_id=stage.tenant_id, account_id=stage.account_id, event=told)
    await stage.apply()


async def state(stage) -> dict:
    """Return the digest of every table but that of the events themselves."""
    async with reading(stage.url) as connection:
        found = await fingerprint(connection, stage.tenant_id)
    return {table: told for table, told in found.tables.items() if table != "gateway_event"}


async def test_objects_that_were_asked_for_end_like_deliveries_of_them(db, database_url):
    delivered, asked = await set_stage(db, database_url), await set_stage(db, database_url)
    back = refund(metadata={"bursar_refund": "re_ours"}, status="succeeded")

    await delivered.tell(
        event("checkout.session.completed", session(), at=T),
        event("payment_intent.succeeded", intent(), at=T + 1),
        event("charge.succeeded", charge(), at=T + 2),
        event("refund.created", back, at=T + 3),
    )
    await report(asked, Kind.session, session(), at=T)
    await report(asked, Kind.payment, intent(), at=T + 1)
    await report(asked, Kind.charge, charge(), at=T + 2)
    await report(asked, Kind.refund, back, at=T + 3)

    assert await asked.row(RETURNED) == {"status": "succeeded", "amount_minor": 2500, "remaining": 5}
    assert await state(asked) == await state(delivered)


async def test_an_answer_and_deliveries_end_alike_in_any_order(db, database_url):
    seen = []

    for order in permutations(range(3)):
        stage = await set_stage(db, database_url)
        told = [
            lambda stage=stage: report(stage, Kind.refund, refund(status="pending"), at=T + 10),
            lambda stage=stage: stage.tell(event("refund.created", refund(status="pending"), at=T + 10)),
            lambda stage=stage: stage.tell(event("refund.updated", refund(status="succeeded"), at=T + 20)),
        ]
        await stage.tell(
            event("checkout.session.completed", session(), at=T), event("charge.succeeded", charge(), at=T)
        )
        for n in order:
            await told[n]()
        seen.append(await stage.row(RETURNED))

    assert seen == [{"status": "succeeded", "amount_minor": 2500, "remaining": 5}] * 6


async def test_the_same_object_at_the_same_time_is_one_report(db, database_url):
    stage = await set_stage(db, database_url)

    await report(stage, Kind.charge, charge(), at=T)
    await report(stage, Kind.charge, charge(), at=T)
    await report(stage, Kind.charge, charge(), at=T + 1)

    assert await stage.value("select count(*) from gateway_event where type = $1", OBJECT_REPORTED) == 2


async def test_a_delivery_cannot_pass_for_a_report(db, database_url):
    stage = await set_stage(db, database_url)
    body = {"kind": "payment", "object": intent(), "source": "call"}

    await stage.tell(event(OBJECT_REPORTED, body, at=T) | {"data": body})

    assert await stage.value("select count(*) from payment") == 0


async def test_a_report_that_lacks_what_matters_rests_with_the_name_of_the_field(db, database_url):
    stage = await set_stage(db, database_url)

    await report(stage, Kind.payment, {"id": "pi_1", "currency": "eur", "status": "succeeded"}, at=T)

    told = await stage.row("select error from gateway_event_queue")
    assert "data.object.amount" in told["error"]


def test_a_kind_that_only_a_newer_version_knows_is_kept():
    found = translate_report(gateway("stripe"), {"data": {"kind": "hologram", "object": {}}})

    assert found.is_ignored


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"kind": "payment"}}, {"data": {"object": 1}}])
def test_a_report_without_an_object_is_refused_by_field(body):
    with pytest.raises(FieldMissing):
        translate_report(gateway("stripe"), body)


def one(name, kind, item):
    return gateway(name).translate_object(kind=kind, object=item)


def test_a_refund_carries_our_own_name_of_it():
    (fact,) = one("stripe", Kind.refund, refund(metadata={"bursar_refund": "re_01kap"}))

    assert isinstance(fact, RefundFact)
    assert fact.bursar_refund == "re_01kap"


@pytest.mark.parametrize("told", [None, 7, "", "ord_1", "re_\x00", "re_" + "x" * 300])
def test_what_cannot_be_our_name_of_a_refund_is_none(told):
    (fact,) = one("stripe", Kind.refund, refund(metadata={"bursar_refund": told}))

    assert fact.bursar_refund is None


def test_dodo_refund_carries_our_own_name_of_it():
    item = {"refund_id": "ref_1", "payment_id": "pay_1", "status": "review", "amount": 5, "currency": "EUR"}

    (fact,) = one("dodo", Kind.refund, item | {"metadata": {"bursar_refund": "re_01kap"}})

    assert fact == RefundFact(
        ref="ref_1",
        status=RefundStatus.pending,
        amount_minor=5,
        currency="EUR",
        payment="pay_1",
        bursar_refund="re_01kap",
    )


def test_an_open_checkout_is_open_and_names_its_order():
    item = session(status="open", payment_status="unpaid", payment_intent=None, client_reference_id="ord_1")

    (fact,) = one("stripe", Kind.session, item)

    assert isinstance(fact, SessionFact)
    assert (fact.status, fact.payment_status, fact.claim.order) == (SessionStatus.open, SessionPayment.unpaid, "ord_1")


def test_a_payment_whose_last_attempt_failed_has_failed():
    item = intent(status="requires_payment_method", last_payment_error={"code": "card_declined"})

    (fact,) = one("stripe", Kind.payment, item)
    (fresh,) = one("stripe", Kind.payment, item | {"last_payment_error": None})

    assert isinstance(fact, PaymentFact)
    assert (fact.status, fact.failure_code) == (PaymentStatus.failed, "card_declined")
    assert fresh.status is PaymentStatus.pending


def test_a_dispute_tells_of_the_funds_that_its_books_show_moved():
    item = {"id": "dp_1", "charge": "ch_1", "amount": 5000, "currency": "eur", "status": "won", "created": T}
    moved = [{"amount": -5000, "currency": "eur"}, {"amount": 5000, "currency": "eur"}]

    facts = one("stripe", Kind.dispute, item | {"balance_transactions": moved})

    assert [type(fact) for fact in facts] == [DisputeFact, DisputeFundsFact, DisputeFundsFact]
    assert [fact.direction for fact in facts[1:]] == ["withdrawn", "reinstated"]
    assert len(one("stripe", Kind.dispute, item | {"balance_transactions": []})) == 1


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (None, PaymentStatus.pending),
        ("requires_customer_action", PaymentStatus.requires_action),
        ("processing", PaymentStatus.processing),
        ("failed", PaymentStatus.failed),
        ("cancelled", PaymentStatus.canceled),
        ("succeeded", PaymentStatus.succeeded),
    ],
)
def test_dodo_payment_that_was_asked_for_says_its_own_state(word, status):
    item = {"payment_id": "pay_1", "total_amount": 5, "currency": "EUR", "status": word}

    assert one("dodo", Kind.payment, item)[-1].status is status


@pytest.mark.parametrize("kind", [k for k in Kind if k in (Kind.file, Kind.portal_session, Kind.balance_transaction)])
@pytest.mark.parametrize("name", ["stripe", "dodo", "manual"])
def test_kinds_that_tell_nothing_of_their_own_give_no_facts(name, kind):
    assert one(name, kind, {"id": "x"}) == ()


@needs_material
def test_every_real_object_says_bare_what_its_events_say_of_it():
    compared = 0
    for name, told in stripe_events():
        item = told["data"].get("object")
        kind = _STRIPE_KINDS.get(item.get("object")) if isinstance(item, dict) else None
        if kind is None or "id" not in item or told["type"] in ("invoice.upcoming", "setup_intent.succeeded"):
            continue
        if kind is Kind.session and "status" not in item:
            continue  # a layout older than the version that we ask for
        by_event = gateway("stripe").translate(type=told["type"], payload=told)
        if not by_event.is_ignored:
            compared += _is_alike(name, by_event.facts, one("stripe", kind, item))
    for name, told in dodo_events():
        kind = _DODO_KINDS.get(told["type"].partition(".")[0])
        by_event = gateway("dodo").translate(type=told["type"], payload=told)
        if kind is not None and not by_event.is_ignored:
            compared += _is_alike(name, by_event.facts, one("dodo", kind, told["data"]))

    assert compared > 100


def _is_alike(name, by_event, bare):
    known = {(fact.kind, fact.ref): fact for fact in bare}
    for fact in by_event:
        if isinstance(fact, DisputeFundsFact):
            continue
        found = known[(fact.kind, fact.ref)]
        for field in set(fact.__struct_fields__) - _TOLD_BY_TYPE:
            if field == "customer" and getattr(fact, "is_detached", False):
                continue
            assert getattr(found, field) == getattr(fact, field), (name, fact.kind, field)
    return 1


def read_or_refused(read) -> None:
    try:
        found = read()
    except FieldMissing as missing:
        assert missing.path.startswith("data")
    else:
        assert isinstance(found, tuple)


@example(item={"status": []}, kind=Kind.payment, name="stripe")
@given(item=JSON, kind=st.sampled_from(list(Kind)), name=st.sampled_from(["stripe", "dodo", "manual"]))
def test_hostile_objects_are_read_or_refused_by_field(item, kind, name):
    read_or_refused(lambda: one(name, kind, item if isinstance(item, dict) else {"id": item}))


_DODO = {
    Kind.payment: DODO["GET /payments/pi_1"],
    Kind.refund: DODO["GET /refunds/ref_1"],
    Kind.subscription: DODO["GET /subscriptions/sub_1"],
    Kind.customer: DODO["POST /customers"],
    Kind.payment_method: DODO["GET /customers/cus_1/payment-methods"]["items"][0],
    Kind.dispute: {"dispute_id": "dp_1", "payment_id": "pi_1", "dispute_status": "dispute_won", "amount": "5"},
    Kind.licence_key: {"id": "lic_1", "key": "k", "status": "active", "customer_id": "cus_1"},
}


@pytest.mark.parametrize("name", ["stripe", "dodo"])
@pytest.mark.parametrize("kind", sorted({*_DODO, *_STRIPE_KINDS.values()} - {Kind.licence_key}))
def test_an_object_with_any_field_spoiled_is_read_or_refused_by_field(name, kind):
    sound = _DODO.get(kind, {}) if name == "dodo" else {"metadata": {}} | stripe_object(kind)

    for item in spoiled(sound):
        read_or_refused(lambda item=item: one(name, kind, item))


def test_a_balance_transaction_with_any_field_spoiled_is_read_or_refused_by_field():
    sound = {"id": "txn_1", "amount": 5, "fee": 1, "net": 4, "currency": "eur", "created": T, "status": "available"}

    for item in spoiled(sound | {"type": "charge", "source": "ch_1", "available_on": T}):
        read_or_refused(lambda item=item: (balance_entry("stripe", item),))


def test_a_report_with_any_field_spoiled_is_read_or_refused_by_field():
    for body in spoiled({"data": {"kind": "payment", "object": intent(), "source": "call"}}):
        read_or_refused(lambda body=body: translate_report(gateway("stripe"), body).facts)
