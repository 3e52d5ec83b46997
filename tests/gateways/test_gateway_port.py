"""The promises of the port, held by every adapter: hostile bytes raise the allowed refusals and nothing else."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from gateway_material import MATERIAL, dodo_events, needs_material, stripe_events
from hostile_json import JSON, spoiled
from hypothesis import given
from hypothesis import strategies as st

from bursar.money.gateways import GATEWAYS, Envelope, EnvelopeUnreadable, FieldMissing, GatewayUnknown, gateway, manual
from bursar.money.gateways.dodo import READERS as DODO_READERS
from bursar.money.gateways.facts import KINDS, version_of
from bursar.money.gateways.stripe import READERS as STRIPE_READERS

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HEADERS = {"webhook-id": "msg_1"}
GOOD = {
    "stripe": {"id": "evt_1", "type": "ping", "created": 1_770_000_000},
    "sandbox": {"id": "evt_1", "type": "ping", "created": 1_770_000_000},
    "dodo": {"type": "ping", "timestamp": "2026-02-02T02:40:00Z"},
    "manual": {"id": "evt_1", "type": "ping", "occurred_at": "2026-02-02T02:40:00Z"},
}
TYPES = {
    "stripe": sorted(STRIPE_READERS),
    "sandbox": sorted(STRIPE_READERS),
    "dodo": sorted(DODO_READERS),
    "manual": [manual.PAYMENT_RECORDED, manual.REFUND_RECORDED],
}
BROKEN = [
    b"",
    b"[]",
    b"1",
    b"null",
    b'"x"',
    b"{}",
    b"{",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"id":' * 100_000,
    b"NaN",
]


def envelope(name, body, headers=HEADERS):
    return gateway(name).envelope(headers=headers, body=body)


def is_storable(facts):
    """Tell whether PostgreSQL takes the facts: their JSON is UTF-8 without NUL, and their type has a name."""
    for fact in facts:
        assert KINDS[type(fact).kind] is type(fact)
        text = msgspec.json.encode(fact).decode("utf-8")
        assert "\\u0000" not in text
        assert version_of(fact, NOW)
    return True


def test_unknown_gateway_is_refused():
    with pytest.raises(GatewayUnknown) as refused:
        gateway("paypal")

    assert refused.value.code == "gateway_unknown"


@pytest.mark.parametrize("name", GATEWAYS)
def test_adapter_is_registered_under_its_own_name(name):
    assert gateway(name).name == name


@pytest.mark.parametrize("name", GATEWAYS)
def test_good_envelope_names_the_event(name):
    found = envelope(name, json.dumps(GOOD[name]).encode())

    event_id = "msg_1" if name == "dodo" else "evt_1"
    assert found == Envelope(event_id, "ping", datetime.fromtimestamp(1_770_000_000, UTC))


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize("body", BROKEN, ids=lambda body: repr(body[:12]))
def test_broken_body_is_unreadable(name, body):
    with pytest.raises(EnvelopeUnreadable):
        envelope(name, body)


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-le"])
def test_body_in_another_encoding_is_unreadable(name, encoding):
    with pytest.raises(EnvelopeUnreadable):
        envelope(name, json.dumps(GOOD[name]).encode(encoding))


@pytest.mark.parametrize("name", GATEWAYS)
def test_body_that_is_not_utf_8_is_unreadable_wherever_it_is_broken(name):
    body = json.dumps(GOOD[name] | {"data": {"name": "XX"}}).encode().replace(b"XX", b"\xff\xff")

    with pytest.raises(EnvelopeUnreadable):
        envelope(name, body)


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize(
    "bad", ["", "x" * 256, "evt\x00", "evt\n1", "evt\u202e1", 7, None, [], True], ids=lambda bad: repr(bad)[:12]
)
@pytest.mark.parametrize("field", ["id", "type"])
def test_event_without_a_usable_id_or_type_is_unreadable(name, bad, field):
    headers = {"webhook-id": bad} if name == "dodo" and field == "id" and isinstance(bad, str) else HEADERS
    body = json.dumps(GOOD[name] | {field: bad}).encode()
    if name == "dodo" and field == "id" and headers is HEADERS:
        headers = {}

    with pytest.raises(EnvelopeUnreadable):
        envelope(name, body, headers)


@pytest.mark.parametrize("name", ["stripe", "sandbox"])
@pytest.mark.parametrize("created", [-1, 253_402_300_800, 10**30, "1770000000", None, True, "Infinity"])
def test_stripe_event_without_a_usable_time_is_unreadable(name, created):
    body = json.dumps(GOOD[name] | {"created": created}).encode().replace(b'"Infinity"', b"1e400")

    with pytest.raises(EnvelopeUnreadable):
        envelope(name, body)


@pytest.mark.parametrize("name", ["stripe", "sandbox"])
def test_stripe_time_with_a_fraction_is_the_second_it_lies_in(name):
    body = json.dumps(GOOD[name] | {"created": 1_770_000_000.9}).encode()

    assert envelope(name, body).occurred_at == datetime.fromtimestamp(1_770_000_000, UTC)


@pytest.mark.parametrize("name", ["dodo", "manual"])
@pytest.mark.parametrize(
    "told", ["", "yesterday", "2026-13-01T00:00:00Z", 1_770_000_000, None, "9999-12-31T23:59:59-23:00"]
)
def test_event_without_a_usable_iso_time_is_unreadable(name, told):
    field = "timestamp" if name == "dodo" else "occurred_at"

    with pytest.raises(EnvelopeUnreadable):
        envelope(name, json.dumps(GOOD[name] | {field: told}).encode())


def test_last_of_two_equal_keys_counts():
    found = envelope("stripe", b'{"id":"evt_1","id":"evt_2","type":"ping","created":1}')

    assert found.event_id == "evt_2"


@needs_material
@pytest.mark.parametrize("name", GATEWAYS)
def test_valid_json_that_breaks_parsers_is_unreadable(name):
    files = sorted((MATERIAL / "hard" / "JSONTestSuite").glob("*.json"))

    for path in files:
        with pytest.raises(EnvelopeUnreadable):
            envelope(name, path.read_bytes())
    assert len(files) > 50


@pytest.mark.parametrize("name", GATEWAYS)
@given(body=st.binary(max_size=300))
def test_hostile_bytes_give_an_envelope_or_are_unreadable(name, body):
    try:
        found = envelope(name, body)
    except EnvelopeUnreadable:
        return
    assert 1 <= len(found.event_id) <= 255


SOUND = {
    "id": "x",
    "currency": "usd",
    "amount": 1,
    "total": 1,
    "status": "active",
    "payment_id": "x",
    "total_amount": 1,
}


@pytest.mark.parametrize("name", GATEWAYS)
@given(choice=st.integers(0, 1000), item=JSON)
def test_hostile_objects_are_translated_or_refused_by_field(name, choice, item):
    kind = TYPES[name][choice % len(TYPES[name])]
    sound = SOUND | item if isinstance(item, dict) else SOUND
    for payload in ({"data": {"object": item}}, {"data": item}, {"data": {"object": sound}}, {"data": sound}):
        try:
            found = gateway(name).translate(type=kind, payload=payload)
        except FieldMissing as missing:
            assert missing.path.startswith("data")
        else:
            assert is_storable(found.facts)


@needs_material
@pytest.mark.parametrize(
    ("name", "events", "where"),
    [("stripe", stripe_events, "object"), ("dodo", dodo_events, None)],
    ids=["stripe", "dodo"],
)
def test_real_event_with_any_field_spoiled_is_translated_or_refused_by_field(name, events, where):
    adapter, seen = gateway(name), set()
    refused = translated = 0
    for _, event in events():
        if event["type"] in seen or event["type"] not in TYPES[name]:
            continue
        seen.add(event["type"])
        item = event["data"][where] if where else event["data"]
        for bad in spoiled(item):
            data = event["data"] | {where: bad} if where else bad
            try:
                found = adapter.translate(type=event["type"], payload=event | {"data": data})
            except FieldMissing:
                refused += 1
            else:
                translated += is_storable(found.facts)

    assert refused > 100
    assert translated > 1000


@pytest.mark.parametrize("name", ["stripe", "sandbox", "dodo"])
@pytest.mark.parametrize("kind", ["bursar.payment.assigned", "bursar.catalog.changed", "manual.payment.recorded"])
def test_delivery_cannot_speak_for_bursar(name, kind):
    payload = {"data": {"payment": "pi_1", "price": "gold", "quantity": 1}}

    found = gateway(name).translate(type=kind, payload=payload)

    assert found.is_ignored
    assert found.facts == ()


@pytest.mark.parametrize("name", GATEWAYS)
@given(kind=st.text(max_size=30))
def test_unknown_type_is_kept_and_ignored(name, kind):
    found = gateway(name).translate(type=f"unheard.{kind}", payload={})

    assert found.is_ignored
    assert found.facts == ()
