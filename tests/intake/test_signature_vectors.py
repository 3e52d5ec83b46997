"""Signatures over HTTP: every way to get one wrong has one answer and stores nothing; every way to get it right counts."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from serving import Receiver, Server, serving, set_receiver
from stage import event, session

pytestmark = pytest.mark.anyio

STORED = "select count(*) from gateway_event"
OLD, NEW, GONE = "whsec_b2xkIG9sZCBvbGQgb2xk", "whsec_bmV3IG5ldyBuZXcgbmV3", "whsec_Z29uZSBnb25lIGdvbmUh"
ZEROS = "0" * 64
BODY = json.dumps(event("checkout.session.completed", session())).encode()
DODO_BODY = b'{"type":"payment.succeeded","business_id":"b","timestamp":"2026-05-01T12:00:00Z","data":{}}'


def stripe(at: int | str, *, body: bytes = BODY, secret: str = NEW) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def standard(at: int | str, *, name: str = "msg_1", body: bytes = DODO_BODY, secret: str = NEW) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()).decode()


def standard_headers(at: int | str, signature: str, *, name: str = "msg_1") -> dict[str, str]:
    return {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signature}


async def refused(server: Server, receiver: Receiver, body: bytes, vectors: dict[str, dict[str, str]]) -> None:
    """Deliver what must not be taken; compare all answers at once, so that a failure names every vector."""
    answers = {name: await server.send(receiver.path, body, headers) for name, headers in vectors.items()}
    told = {name: (answer.status, answer.json.get("code")) for name, answer in answers.items()}
    assert told == dict.fromkeys(vectors, (400, "signature_invalid"))
    assert await receiver.stage.value(STORED) == 0


async def taken(server: Server, receiver: Receiver, body: bytes, vectors: dict[str, dict[str, str]]) -> None:
    answers = {name: await server.send(receiver.path, body, headers) for name, headers in vectors.items()}
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(vectors, 200)
    assert await receiver.stage.value(STORED) == 1


async def test_stripe_signatures_that_are_wrong_are_refused_alike(db, database_url):
    receiver = await set_receiver(db, database_url, secrets=(OLD, NEW))
    now = int(time.time())
    good = stripe(now)
    headers = {
        "t missing": f"v1={good}",
        "t empty": f"t=,v1={good}",
        "v1 missing": f"t={now}",
        "v1 empty": f"t={now},v1=",
        "v0 only": f"t={now},v0={good}",
        "name in capitals": f"T={now},V1={good}",
        "digest in capitals": f"t={now},v1={good.upper()}",
        "digest cut": f"t={now},v1={good[:-1]}",
        "digest longer": f"t={now},v1={good}0",
        "digest in quotes": f't={now},v1="{good}"',
        "digest in base64": f"t={now},v1={base64.b64encode(bytes.fromhex(good)).decode()}",
        "space before v1": f"t={now}, v1={good}",
        "space before the digest": f"t={now},v1= {good}",
        "semicolon": f"t={now};v1={good}",
        "t twice": f"t={now},t={now},v1={good}",
        "t twice, one wrong": f"t=1,t={now},v1={good}",
        "t negative": f"t=-{now},v1={stripe(f'-{now}')}",
        "t with a fraction": f"t={now}.0,v1={stripe(f'{now}.0')}",
        "t with an exponent": f"t=1e9,v1={stripe('1e9')}",
        "t huge": f"t={'9' * 40},v1={stripe('9' * 40)}",
        "t of twelve digits": f"t={'9' * 12},v1={stripe('9' * 12)}",
        "t zero": f"t=0,v1={stripe(0)}",
        "t in milliseconds": f"t={now}000,v1={stripe(f'{now}000')}",
        "t with zeros before": f"t=0{now},v1={good}",
        "t of another signature": f"t={now - 1},v1={good}",
        "t too old": f"t={now - 310},v1={stripe(now - 310)}",
        "t too new": f"t={now + 310},v1={stripe(now + 310)}",
        "secret gone": f"t={now},v1={stripe(now, secret=GONE)}",
        "secret without its prefix": f"t={now},v1={stripe(now, secret=NEW.removeprefix('whsec_'))}",
        "secret empty": f"t={now},v1={stripe(now, secret='')}",
        "body alone signed": f"t={now},v1={hmac.new(NEW.encode(), BODY, hashlib.sha256).hexdigest()}",
        "seventeen": f"t={now},v1={good}" + f",v1={ZEROS}" * 16,
        "long": f"t={now},v1={good}" + ",x=" + "y" * 9_000,
        "bytes beyond ASCII": f"t={now},v1=\xff\xfe{good[2:]}",
        "of another scheme": f"v1,{good}",
    }

    async with serving(database_url) as server:
        await refused(server, receiver, BODY, {name: {"stripe-signature": value} for name, value in headers.items()})


async def test_stripe_signatures_that_are_right_are_taken_however_they_are_arranged(db, database_url):
    receiver = await set_receiver(db, database_url, secrets=(OLD, NEW))
    now = int(time.time())
    good, old = stripe(now), stripe(now, secret=OLD)
    headers = {
        "plain": f"t={now},v1={good}",
        "v1 first": f"v1={good},t={now}",
        "secret before": f"t={now},v1={old}",
        "both secrets": f"t={now},v1={old},v1={good}",
        "one of several": f"t={now},v1={ZEROS},v1=,v1={good},v1=zz",
        "v0 beside": f"t={now},v1={good},v0={ZEROS}",
        "unknown beside": f"t={now},x=1,v1={good},,=,v2",
        "almost too old": f"t={now - 290},v1={stripe(now - 290)}",
        "almost too new": f"t={now + 290},v1={stripe(now + 290)}",
    }

    async with serving(database_url) as server:
        await taken(server, receiver, BODY, {name: {"Stripe-SIGNATURE": value} for name, value in headers.items()})


async def test_a_body_written_otherwise_is_not_what_was_signed(db, database_url):
    receiver = await set_receiver(db, database_url, secrets=(NEW,))
    value = json.loads(BODY)
    others = {
        "keys in order": json.dumps(value, sort_keys=True).encode(),
        "narrow": json.dumps(value, separators=(",", ":")).encode(),
        "escapes": BODY.replace(b"checkout", b"\\u0063heckout"),
        "line feed behind": BODY + b"\n",
        "space before": b" " + BODY,
        "byte order mark": b"\xef\xbb\xbf" + BODY,
        "two bytes a letter": BODY.decode().encode("utf-16"),
        "nothing": b"",
        "cut": BODY[:-1],
    }
    headers = {"stripe-signature": f"t={int(time.time())},v1={stripe(int(time.time()))}"}

    async with serving(database_url) as server:
        for body in others.values():
            await refused(server, receiver, body, {"the signature of the body as it was": headers})

    assert BODY not in others.values()


async def test_standard_signatures_that_are_wrong_are_refused_alike(db, database_url):
    receiver = await set_receiver(db, database_url, gateway="dodo", secrets=(OLD, NEW))
    now = int(time.time())
    good = standard(now)
    whole = standard_headers(now, f"v1,{good}")
    signatures = {
        "empty": "",
        "version alone": "v1,",
        "no version": good,
        "v1a": f"v1a,{good}",
        "v2": f"v2,{good}",
        "equals sign": f"v1={good}",
        "comma between": f"v1,{ZEROS},v1,{good}",
        "not base64": "v1,!!!",
        "padding gone": f"v1,{good.rstrip('=')}",
        "in hexadecimal": f"v1,{base64.b64decode(good).hex()}",
        "secret gone": f"v1,{standard(now, secret=GONE)}",
        "id changed": f"v1,{standard(now, name='msg_2')}",
        "time changed": f"v1,{standard(now - 1)}",
        "seventeen": " ".join([f"v1,{ZEROS}"] * 16 + [f"v1,{good}"]),
        "bytes beyond ASCII": f"v1,\xff{good[1:]}",
    }
    vectors = {name: standard_headers(now, value) for name, value in signatures.items()}
    vectors |= {f"{name} missing": {k: v for k, v in whole.items() if k != name} for name in whole}
    vectors |= {f"{name} empty": whole | {name: ""} for name in whole}
    for at in (now - 310, now + 310, f"-{now}", f"{now}.0", f"{now}000", "9" * 30, "1e9", "0"):
        vectors[f"signed at {at}"] = standard_headers(at, f"v1,{standard(at)}")
    vectors["id with another case"] = standard_headers(now, f"v1,{good}", name="MSG_1")
    vectors["id with a full stop"] = standard_headers(f"{now}", f"v1,{standard(now, name='msg_1.1')}")
    vectors["stripe's scheme"] = {"stripe-signature": f"t={now},v1={stripe(now, body=DODO_BODY)}"}

    async with serving(database_url) as server:
        await refused(server, receiver, DODO_BODY, vectors)


async def test_standard_signatures_that_are_right_are_taken_however_they_are_arranged(db, database_url):
    receiver = await set_receiver(db, database_url, gateway="dodo", secrets=(OLD, NEW.removeprefix("whsec_")))
    now = int(time.time())
    good, old = standard(now), standard(now, secret=OLD)
    vectors = {
        "plain, by a secret kept without its prefix": standard_headers(now, f"v1,{good}"),
        "secret before": standard_headers(now, f"v1,{old}"),
        "one of several": standard_headers(now, f"v1,{ZEROS} v1a,x v1,{good} v1,"),
        "two spaces": standard_headers(now, f"v1,{old}  v1,{good}"),
        "almost too old": standard_headers(now - 290, f"v1,{standard(now - 290)}"),
        "almost too new": standard_headers(now + 290, f"v1,{standard(now + 290)}"),
    }
    vectors["names in capitals"] = {name.upper(): value for name, value in vectors["two spaces"].items()}

    async with serving(database_url) as server:
        await taken(server, receiver, DODO_BODY, vectors)


@pytest.mark.parametrize("letters", ["-_", "+/"])
async def test_standard_signatures_use_the_letters_of_plain_base64(db, database_url, letters):
    receiver = await set_receiver(db, database_url, gateway="dodo", secrets=(NEW,))
    now = int(time.time())
    name = next(n for n in (f"msg_{i}" for i in range(100)) if {"+", "/"} & {*standard(now, name=n)})
    signature = standard(now, name=name).translate(str.maketrans("+/", letters))

    async with serving(database_url) as server:
        answer = await server.send(receiver.path, DODO_BODY, standard_headers(now, f"v1,{signature}", name=name))

    assert answer.status == (200 if letters == "+/" else 400)
    assert await receiver.stage.value(STORED) == (letters == "+/")
