"""Signatures: Stripe's scheme and Standard Webhooks, over raw bytes, with our own clock and tolerance.

Both are an HMAC-SHA256 over the time and the body. We compute them ourselves: the reference libraries read
the clock themselves, check only one secret at a time, take full-width digits for a timestamp, and one of
them answers a malformed header with a bare ValueError. The test suite holds us to their vectors.

Every active secret is tried against every offered signature, always: the time taken says nothing about
which one matched. The time is judged last, so that a report of a wrong clock is always of a real gateway.

Sources: Stripe "Verify webhook signatures manually"; Standard Webhooks specification 1.0.0.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from bursar.money.gateways.fields import is_name
from bursar.money.gateways.port import SecretInvalid, SignatureInvalid

HEADER_LENGTH_MAX: Final = 8192
SIGNATURES_MAX: Final = 16

_DIGITS = re.compile("[0-9]{1,12}")
_PREFIX = "whsec_"
_WHERE = "Copy it from the endpoint's page; it begins with whsec_."


def refusal(reason: str, hint: str) -> SignatureInvalid:
    """Return the one refusal of an unverified delivery; reason counts in metrics, hint helps the operator."""
    return SignatureInvalid(
        "the delivery is not signed by an active secret of this account", hint=hint, context={"reason": reason}
    )


def check_stripe_secret(secret: str) -> None:
    """Raises SecretInvalid for a secret that anybody could guess."""
    if not secret.removeprefix(_PREFIX).strip():
        raise SecretInvalid("the signing secret is empty", hint=_WHERE)


def verify_stripe(
    *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance_s: int
) -> None:
    """Check `stripe-signature: t=…,v1=…`. Raises SignatureInvalid and nothing else."""
    header = _header(headers, "stripe-signature")
    pairs = [entry.partition("=") for entry in header.split(",")]
    times = [value for key, _, value in pairs if key == "t"]
    offered = [_bytes(value) for key, _, value in pairs if key == "v1"]
    if len(times) != 1 or not _DIGITS.fullmatch(times[0]) or not 0 < len(offered) <= SIGNATURES_MAX:
        raise _malformed("stripe-signature must be t=<seconds>,v1=<signature>.")
    signed = times[0].encode() + b"." + body
    expected = [
        hmac.digest(_bytes(secret), signed, "sha256").hex().encode()
        for secret in secrets
        if secret.removeprefix(_PREFIX).strip()
    ]
    _match(expected, offered)
    _judge_time(int(times[0]), now, tolerance_s)


def sign_stripe(*, body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """Return the header with which Stripe would deliver the body at `now`."""
    seconds = b"%d" % int(now.timestamp())
    digest = hmac.digest(_bytes(secret), seconds + b"." + body, "sha256").hex()
    return {"stripe-signature": f"t={seconds.decode()},v1={digest}"}


def check_standard_secret(secret: str) -> None:
    """Raises SecretInvalid unless the secret is base64, with or without `whsec_`."""
    if not _standard_key(secret):
        raise SecretInvalid("the signing secret is empty or not base64", hint=_WHERE)


def verify_standard(
    *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance_s: int
) -> None:
    """Check Standard Webhooks' `webhook-id`, `-timestamp`, `-signature`. Raises SignatureInvalid and nothing else."""
    name = _header(headers, "webhook-id")
    seconds = _header(headers, "webhook-timestamp")
    entries = [entry.partition(",") for entry in _header(headers, "webhook-signature").split(" ")]
    offered = [_bytes(value) for version, _, value in entries if version == "v1"]
    if not is_name(name) or not _DIGITS.fullmatch(seconds) or not 0 < len(offered) <= SIGNATURES_MAX:
        raise _malformed("webhook-signature must be v1,<base64> and webhook-timestamp whole seconds.")
    keys = [key for secret in secrets if (key := _standard_key(secret))]
    _match([_standard_signature(key, name, seconds, body) for key in keys], offered)
    _judge_time(int(seconds), now, tolerance_s)


def sign_standard(*, body: bytes, secret: str, now: datetime, event_id: str) -> dict[str, str]:
    """Return the headers with which a Standard Webhooks sender would deliver the body at `now`."""
    check_standard_secret(secret)
    seconds = str(int(now.timestamp()))
    signature = _standard_signature(_standard_key(secret), event_id, seconds, body).decode()
    return {"webhook-id": event_id, "webhook-timestamp": seconds, "webhook-signature": f"v1,{signature}"}


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise refusal("missing_header", f"The header {name} is missing.")
    if len(value) > HEADER_LENGTH_MAX:
        raise _malformed(f"The header {name} is longer than {HEADER_LENGTH_MAX} characters.")
    return value


def _malformed(hint: str) -> SignatureInvalid:
    return refusal("malformed_header", hint)


def _bytes(value: str) -> bytes:
    # Comparing text with non-ASCII characters raises; bytes of any text compare.
    return value.encode("utf-8", "replace")


def _standard_key(secret: str) -> bytes:
    """Return the key in a secret, padded or not; empty where it holds none."""
    encoded = secret.strip().removeprefix(_PREFIX).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return b""


def _standard_signature(key: bytes, name: str, seconds: str, body: bytes) -> bytes:
    signed = _bytes(f"{name}.{seconds}.") + body
    return base64.b64encode(hmac.digest(key, signed, "sha256"))


def _match(expected: list[bytes], offered: list[bytes]) -> None:
    matches = 0
    for ours in expected:
        for theirs in offered:
            matches += hmac.compare_digest(ours, theirs)
    if not matches:
        raise refusal("wrong_signature", "Check the endpoint's signing secret, and that no proxy rewrites the body.")


def _judge_time(seconds: int, now: datetime, tolerance_s: int) -> None:
    if abs(now.timestamp() - seconds) > tolerance_s:
        raise refusal("timestamp_outside_tolerance", f"Signed more than {tolerance_s} s from our clock; check it.")
