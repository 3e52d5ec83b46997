"""Signatures: on the raw bytes, with every active secret, near our own clock; a stranger gets one refusal."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from gateway_material import MATERIAL, needs_material, read
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from bursar.money.gateways import GATEWAYS, SecretInvalid, SignatureInvalid, gateway

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"id":"evt_1","type":"ping","created":1770000000}'
SIGNED = ["stripe", "sandbox", "dodo"]


def signed(name, *, body=BODY, secret=SECRET, at=NOW):
    return gateway(name).sign(body=body, secret=secret, now=at, event_id="evt_1")


def verify(name, headers, *, body=BODY, secrets=(SECRET,), now=NOW, tolerance_s=300):
    gateway(name).verify(headers=headers, body=body, secrets=secrets, now=now, tolerance_s=tolerance_s)


def reason_of(name, headers, **how):
    with pytest.raises(SignatureInvalid) as refused:
        verify(name, headers, **how)
    assert refused.value.code == "signature_invalid"
    return refused.value.context["reason"]


def vectors(path):
    if not MATERIAL.is_dir():
        return []
    found = read(path)
    return found if isinstance(found, list) else found["vectors"]


@needs_material
@pytest.mark.parametrize("vector", vectors("vectors/stripe_signature.json"), ids=lambda v: v["id"])
def test_stripe_vector_has_the_expected_outcome(vector):
    headers = {"stripe-signature": vector["header"]}
    now, body = datetime.fromtimestamp(vector["now"], UTC), vector["body"].encode()
    how = {"body": body, "secrets": (vector["secret"],), "now": now, "tolerance_s": vector["tolerance"]}

    if vector["expect"] == "accept":
        verify("stripe", headers, **how)
    else:
        reason_of("stripe", headers, **how)


@needs_material
@pytest.mark.parametrize("vector", vectors("vectors/standard_webhooks.json"), ids=lambda v: v["id"])
def test_standard_webhooks_vector_has_the_expected_outcome(vector):
    now, body = datetime.fromtimestamp(vector["now"], UTC), vector["body"].encode()
    how = {"body": body, "secrets": (vector["secret"],), "now": now}

    if vector["expect"] == "accept":
        verify("dodo", vector["headers"], **how)
        return
    reason_of("dodo", vector["headers"], **how)
    if vector["expect"] == "config-error":
        with pytest.raises(SecretInvalid):
            gateway("dodo").check_secret(vector["secret"])


@needs_material
@pytest.mark.parametrize("literal", read("vectors/stripe_signature.json")["hmac_literals"] if MATERIAL.is_dir() else [])
def test_published_hmac_is_ours(literal):
    ours = hmac.new(literal["secret"].encode(), literal["payload"].encode(), hashlib.sha256).hexdigest()

    assert ours == literal["hmac_sha256_hex"]


@given(body=st.binary(), event_id=st.from_regex(r"[A-Za-z0-9_]{1,60}", fullmatch=True))
def test_standard_signature_is_that_of_the_reference_library(body, event_id):
    text = body.decode("latin-1")

    ours = gateway("dodo").sign(body=text.encode(), secret=SECRET, now=NOW, event_id=event_id)

    assert ours["webhook-signature"] == Webhook(SECRET).sign(msg_id=event_id, timestamp=NOW, data=text)


@pytest.mark.parametrize("name", SIGNED)
@given(body=st.binary(max_size=2000))
def test_what_a_gateway_signs_it_verifies(name, body):
    verify(name, signed(name, body=body), body=body)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET), (OTHER, "", SECRET)])
def test_every_active_secret_is_tried(name, secrets):
    verify(name, signed(name), secrets=secrets)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_",), (OTHER,)])
def test_no_other_secret_verifies(name, secrets):
    assert reason_of(name, signed(name), secrets=secrets) == "wrong_signature"


def test_empty_stripe_secret_signs_nothing_even_if_a_stranger_uses_it():
    digest = hmac.new(b"", b"%d." % NOW.timestamp() + BODY, hashlib.sha256).hexdigest()

    headers = {"stripe-signature": f"t={int(NOW.timestamp())},v1={digest}"}

    assert reason_of("stripe", headers, secrets=("",)) == "wrong_signature"


@pytest.mark.parametrize("name", SIGNED)
def test_re_encoded_body_does_not_verify(name):
    assert reason_of(name, signed(name), body=BODY.replace(b":", b": ")) == "wrong_signature"


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("away_s", [-300, 300])
def test_timestamp_at_the_edge_of_the_tolerance_is_accepted(name, away_s):
    verify(name, signed(name, at=NOW + timedelta(seconds=away_s)))


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize(("away_s", "tolerance_s"), [(-301, 300), (301, 300), (-61, 60), (86_400, 300)])
def test_timestamp_outside_the_tolerance_is_refused_in_both_directions(name, away_s, tolerance_s):
    headers = signed(name, at=NOW + timedelta(seconds=away_s))

    assert reason_of(name, headers, tolerance_s=tolerance_s) == "timestamp_outside_tolerance"


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize(
    "seconds", ["\uff11\uff12\uff13", "1_7", "-1", "+1", " 1", "1.0", "0x1", "", "9" * 13, "1\n", "\u0663"]
)
def test_timestamp_that_is_not_ascii_digits_is_refused(name, seconds):
    good = signed(name)
    headers = (
        good | {"webhook-timestamp": seconds}
        if name == "dodo"
        else {"stripe-signature": f"t={seconds},{good['stripe-signature'].split(',')[1]}"}
    )

    assert reason_of(name, headers) in ("malformed_header", "missing_header")


@pytest.mark.parametrize("name", SIGNED)
def test_missing_headers_are_refused(name):
    assert reason_of(name, {}) == "missing_header"


def test_many_signatures_are_refused_unread():
    digest = signed("stripe")["stripe-signature"].split(",")[1]
    headers = {"stripe-signature": f"t={int(NOW.timestamp())}," + ",".join([digest] * 17)}

    assert reason_of("stripe", headers) == "malformed_header"


def test_sixteen_signatures_of_which_the_last_is_right_verify():
    seconds, digest = signed("stripe")["stripe-signature"].split(",")

    verify("stripe", {"stripe-signature": ",".join([seconds, *["v1=00"] * 15, digest])})


def test_two_timestamps_are_refused():
    headers = {"stripe-signature": "t=1," + signed("stripe")["stripe-signature"]}

    assert reason_of("stripe", headers) == "malformed_header"


@pytest.mark.parametrize("name", SIGNED)
def test_header_of_64_kb_is_refused(name):
    headers = {key: value + ",v1=0" * 13_000 for key, value in signed(name).items()}

    assert reason_of(name, headers) == "malformed_header"


@pytest.mark.parametrize("name", SIGNED)
def test_every_secret_meets_every_signature_whatever_matches(name, monkeypatch):
    steps = []
    compare = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: steps.append(1) or compare(a, b))

    verify(name, signed(name), secrets=(SECRET, OTHER, OTHER))

    assert len(steps) == 3


@pytest.mark.parametrize("name", SIGNED)
def test_non_ascii_signature_is_refused(name):
    headers = {key: value + "ü" for key, value in signed(name).items()}

    assert reason_of(name, headers) in ("wrong_signature", "malformed_header")


HEADER = st.text(max_size=80) | st.text(alphabet="t=v01,.+-_ 9aé\udc80\x00", max_size=200)


@pytest.mark.parametrize("name", GATEWAYS)
@given(headers=st.tuples(HEADER, HEADER, HEADER), known=st.booleans(), body=st.binary(max_size=50), secret=st.text())
def test_hostile_headers_are_refused_and_nothing_else_is_raised(name, *, headers, known, body, secret):
    first, second, third = headers
    headers = {
        "stripe-signature": first,
        "webhook-id": second,
        "webhook-timestamp": str(int(NOW.timestamp())) if known else third,
        "webhook-signature": first,
    }

    with pytest.raises(SignatureInvalid):
        verify(name, headers, body=body, secrets=(secret, SECRET))


def test_refusal_says_the_same_whatever_failed():
    messages = set()
    for headers, how in (
        ({}, {}),
        ({"stripe-signature": "x"}, {}),
        (signed("stripe"), {"secrets": (OTHER,)}),
        (signed("stripe"), {"tolerance_s": -1}),
    ):
        with pytest.raises(SignatureInvalid) as refused:
            verify("stripe", headers, **how)
        messages.add(refused.value.message)

    assert len(messages) == 1


@pytest.mark.parametrize("name", ["stripe", "sandbox", "dodo", "manual"])
@pytest.mark.parametrize("secret", ["", "whsec_", "  "])
def test_empty_signing_secret_is_refused_before_it_is_stored(name, secret):
    with pytest.raises(SecretInvalid) as refused:
        gateway(name).check_secret(secret)

    assert refused.value.code == "signing_secret_invalid"


@pytest.mark.parametrize("secret", ["whsec_a", "whsec_not base64", "whsec_MfKQ9r8!", "whsec_ü"])
def test_signing_secret_that_is_not_base64_is_refused_where_the_scheme_needs_it(secret):
    with pytest.raises(SecretInvalid):
        gateway("dodo").check_secret(secret)


@pytest.mark.parametrize("name", SIGNED)
def test_usable_signing_secret_is_accepted(name):
    gateway(name).check_secret(SECRET)
