"""Deliveries through a real server: durable before acknowledged, refused in the right way, bounded whatever comes."""

import asyncio
import gzip
import json
import time

import asyncpg
import pytest

from bursar.kernel import ids
from bursar.money.intake.queries import event_story
from serving import read_answer, serving, set_receiver
from stage import charge, event, intent, session

pytestmark = pytest.mark.anyio

STORED = "select count(*) from gateway_event"


def body_of(**more) -> bytes:
    return json.dumps(event("checkout.session.completed", session(**more))).encode()


async def test_a_signed_delivery_is_stored_then_answered_and_a_repeat_names_the_same_event(db, database_url):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url) as server:
        first = await server.send(receiver.path, body, receiver.signed(body))
        again = await server.send(receiver.path, body, receiver.signed(body))

    assert first.status == again.status == 200
    assert first.json == {"received": True, "event": first.json["event"], "duplicate": False}
    assert again.json == {"received": True, "event": first.json["event"], "duplicate": True}
    assert await receiver.stage.value(STORED) == 1
    assert await receiver.stage.value("select body from gateway_event_body") == body


async def test_fifty_deliveries_of_one_event_at_once_store_it_once(db, database_url):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url) as server:
        answers = await asyncio.gather(*(server.send(receiver.path, body, receiver.signed(body)) for _ in range(50)))

    assert [a.status for a in answers] == [200] * 50
    assert sum(not a.json["duplicate"] for a in answers) == 1
    assert len({a.json["event"] for a in answers}) == 1
    assert await receiver.stage.value(STORED) == 1


async def test_a_repeat_with_another_content_changes_nothing_and_is_written_down(db, database_url):
    receiver = await set_receiver(db, database_url)
    told = event("customer.created", {"id": "cus_1", "object": "customer", "email": "first@example.org"})
    other = told | {"data": {"object": {"id": "cus_1", "object": "customer", "email": "second@example.org"}}}
    counted_down = told | {"pending_webhooks": 0}

    async with serving(database_url) as server:
        answers = []
        for said in (told | {"pending_webhooks": 1}, told | {"pending_webhooks": 1}, counted_down, other, other):
            body = json.dumps(said).encode()
            answers.append(await server.send(receiver.path, body, receiver.signed(body)))
    await receiver.stage.apply()

    assert [(a.status, a.json["duplicate"]) for a in answers] == [(200, False)] + [(200, True)] * 4
    assert await receiver.stage.value(STORED) == 1
    assert await receiver.stage.value("select email from customer") == "first@example.org"
    differing = await receiver.stage.row("select repeats, body from gateway_event_differing")
    assert (differing["repeats"], json.loads(differing["body"])) == (2, other)
    async with db.tenant(receiver.stage.tenant_id) as tx:
        event_id = ids.parse(ids.EVENT, answers[0].json["event"])
        story = await event_story(tx, tenant_id=receiver.stage.tenant_id, event_id=event_id)
    assert story.differing_repeats == 2


async def test_two_contents_under_one_id_at_once_leave_one_and_a_mark(db, database_url):
    receiver = await set_receiver(db, database_url)
    told = event("product.created", {"id": "prod_1", "object": "product"})
    bodies = [json.dumps(told | {"livemode": number % 2 == 0}).encode() for number in range(20)]

    async with serving(database_url) as server:
        answers = await asyncio.gather(*(server.send(receiver.path, b, receiver.signed(b)) for b in bodies))

    assert [a.status for a in answers] == [200] * 20
    assert sum(not a.json["duplicate"] for a in answers) == 1
    assert await receiver.stage.value(STORED) == 1
    assert 1 <= await receiver.stage.value("select repeats from gateway_event_differing") <= 10


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        "garbage",
        "t=1,v1=zz",
        "t=１２３,v1=aa",
        "t=1_7,v1=aa",
        "t=-5,v1=aa",
        "v1=" + "0" * 64,
        "t=99999999999999999999,v1=" + "0" * 64,
        "t=1,v0=" + "0" * 64,
        "t=1," + ",".join("v1=" + "0" * 64 for _ in range(100)),
        "x" * 60_000,
    ],
)
async def test_a_malformed_signature_is_refused_and_nothing_is_stored(db, database_url, header):
    receiver = await set_receiver(db, database_url)
    headers = {} if header is None else {"stripe-signature": header.encode("utf-8").decode("latin-1")}

    async with serving(database_url) as server:
        answer = await server.send(receiver.path, body_of(), headers)

    assert answer.status in (400, 431)
    if answer.status == 400 and answer.headers.get("content-type") == "application/problem+json":
        assert answer.json["code"] == "signature_invalid"
    assert await receiver.stage.value(STORED) == 0


@pytest.mark.parametrize(("skew", "status"), [(0, 200), (-290, 200), (290, 200), (-310, 400), (310, 400)])
async def test_a_signature_holds_for_five_minutes_either_way(db, database_url, skew, status):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url) as server:
        answer = await server.send(receiver.path, body, receiver.signed(body, at=int(time.time()) + skew))

    assert answer.status == status
    assert await receiver.stage.value(STORED) == int(status == 200)


async def test_every_secret_in_force_verifies_and_no_other(db, database_url):
    receiver = await set_receiver(db, database_url, secrets=("whsec_old", "whsec_new"))
    body = body_of()

    async with serving(database_url) as server:
        statuses = [
            (await server.send(receiver.path, body, receiver.signed(body, secret=secret))).status
            for secret in ("whsec_old", "whsec_new", "whsec_gone")
        ]

    assert statuses == [200, 200, 400]


async def test_a_re_encoded_body_is_refused(db, database_url):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url) as server:
        answer = await server.send(
            receiver.path, json.dumps(json.loads(body), indent=1).encode(), receiver.signed(body)
        )

    assert (answer.status, answer.json["code"]) == (400, "signature_invalid")
    assert await receiver.stage.value(STORED) == 0


@pytest.mark.parametrize(
    "path", ["gwa_00000000000000000000000000", "gwa_x", "nothing", "../x", "%00", "gwa_" + "z" * 5000, ""]
)
async def test_an_unknown_account_is_not_found(db, database_url, path):
    await set_receiver(db, database_url)

    async with serving(database_url) as server:
        answer = await server.send(f"/v1/webhooks/{path}", b"{}")

    assert answer.status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_only_post_delivers(db, database_url, method):
    receiver = await set_receiver(db, database_url)

    async with serving(database_url) as server:
        answer = await server.send(receiver.path, b"", method=method)

    assert answer.status == 405


UNREADABLE = [
    b"",
    b"[]",
    b"null",
    b"7",
    b'{"id": "evt_1"',
    b"\xff\xfe{\x00}\x00",
    b'\xef\xbb\xbf{"id":"evt_1","type":"a","created":1}',
    b'{"id":"\xff","type":"a","created":1}',
    b'{"id":"evt\\u0000","type":"a","created":1}',
    b'{"id":"","type":"a","created":1}',
    b'{"id":"' + b"x" * 300 + b'","type":"a","created":1}',
    b'{"type":"a","created":1}',
    b'{"id":"evt_1","type":"a","created":NaN}',
    b'{"id":"evt_1","type":"a","created":1e400}',
    b'{"id":"evt_1","type":"a","created":' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("number", range(len(UNREADABLE)))
async def test_a_signed_body_that_names_no_event_is_kept_acknowledged_and_dead(db, database_url, number):
    receiver = await set_receiver(db, database_url)
    body = UNREADABLE[number]

    async with serving(database_url) as server:
        answer = await server.send(receiver.path, body, receiver.signed(body))
        again = await server.send(receiver.path, body, receiver.signed(body))

    assert (answer.status, again.status) == (200, 200)
    assert again.json["duplicate"] is True
    assert await receiver.stage.value("select reason from gateway_event_dead") == "unparseable"
    assert await receiver.stage.value("select body from gateway_event_body") == body
    assert await receiver.stage.apply() == 0


HOSTILE = [
    event("payment_intent.succeeded", intent(amount=10**29, amount_received=10**29)),
    event("payment_intent.succeeded", intent(amount=-5, amount_received=-5)),
    event("payment_intent.succeeded", intent(amount=True, amount_received=1.5)),
    event("payment_intent.succeeded", intent(currency="e\u0000r")),
    event("charge.succeeded", charge(id="ch_" + "x" * 100_000)),
    event("charge.succeeded", charge(description="\u0000\ud800<script>", metadata={"bursar_price": "\u0000" * 50})),
    event("charge.succeeded", charge(metadata={"bursar_price": "pack-10", "bursar_quantity": "9" * 400})),
    event("checkout.session.completed", session("8", customer={"id": ["x"]}, metadata=[1, 2])),
    event("payment_intent.succeeded", {"id": None}),
    event("payment_intent.succeeded", intent(created=10**18)),
]


async def test_hostile_fields_fail_alone_and_never_stop_the_worker(db, database_url):
    receiver = await set_receiver(db, database_url)
    bodies = [json.dumps(each).encode() for each in HOSTILE]
    good = body_of()

    async with serving(database_url) as server:
        answers = [await server.send(receiver.path, body, receiver.signed(body)) for body in [*bodies, good]]
    await receiver.stage.apply()

    assert [a.status for a in answers] == [200] * len(answers)
    waiting = await receiver.stage.value(
        "select count(*) from gateway_event_queue where tries = 1 and error is not null"
    )
    outcomes = await receiver.stage.value("select count(*) from gateway_event_outcome")
    assert waiting + outcomes == len(answers)
    assert await receiver.stage.value("select count(*) from gateway_event_dead") == 0
    assert await receiver.stage.value("select count(*) from credit_lot") >= 1


async def test_a_told_length_over_the_limit_is_refused_before_the_body(db, database_url):
    receiver = await set_receiver(db, database_url)
    head = f"POST {receiver.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n".encode()

    async with serving(database_url) as server:
        answer = await server.raw(head)

    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


async def test_a_body_without_a_length_is_cut_at_the_limit(db, database_url):
    receiver = await set_receiver(db, database_url)
    head = f"POST {receiver.path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    async with serving(database_url) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head)
        sent = 0
        answer = asyncio.create_task(read_answer(reader))
        while not answer.done() and sent < 1600:
            writer.write(chunk)
            sent += 1
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)
        refused = await asyncio.wait_for(answer, 10)
        writer.close()

    assert refused.status == 413
    assert await receiver.stage.value(STORED) == 0


async def test_a_compressed_body_is_refused(db, database_url):
    receiver = await set_receiver(db, database_url)
    bomb = gzip.compress(b"\x00" * 1_000_000)

    async with serving(database_url) as server:
        answer = await server.send(receiver.path, bomb, receiver.signed(bomb) | {"content-encoding": "gzip"})

    assert (answer.status, answer.json["code"]) == (415, "content_encoding_refused")


async def test_a_slow_body_is_given_up_and_a_truncated_one_is_not_stored(db, database_url):
    receiver = await set_receiver(db, database_url)
    body = body_of()
    signed = receiver.signed(body)["stripe-signature"]
    head = f"POST {receiver.path} HTTP/1.1\r\nhost: x\r\nstripe-signature: {signed}\r\ncontent-length: {len(body)}\r\n\r\n".encode()

    async with serving(database_url, body_timeout_s=0.5) as server:
        slow = await server.raw(head + body[:10], wait_s=5)
        cut = await server.raw(head + body[:-1], close=True, wait_s=5)

    assert slow.status == 408
    assert cut.status in (0, 400, 408)
    assert await receiver.stage.value(STORED) == 0


async def test_without_a_database_deliveries_are_asked_to_come_again(db, database_url, admin_url):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url) as server:
        await server.send(receiver.path, body, receiver.signed(body))
        admin = await asyncpg.connect(admin_url)
        await admin.execute("alter table gateway_event rename to gateway_event_away")
        other = json.dumps(event("charge.succeeded", charge())).encode()
        refused = await server.send(receiver.path, other, receiver.signed(other))
        await admin.execute("alter table gateway_event_away rename to gateway_event")
        taken = await server.send(receiver.path, other, receiver.signed(other))
        await admin.close()

    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert refused.json["code"] == "not_stored"
    assert taken.status == 200


async def test_in_production_the_sandbox_delivers_nothing(db, database_url):
    receiver = await set_receiver(db, database_url, gateway="sandbox")
    body = body_of()

    async with serving(database_url, production=True) as server:
        answer = await server.send(receiver.path, body, receiver.signed(body))

    assert (answer.status, answer.json["code"]) == (403, "sandbox_refused")
    assert ids.show(ids.GATEWAY_ACCOUNT, receiver.stage.account_id) in receiver.path


async def test_every_answer_to_a_delivery_carries_the_security_headers(db, database_url):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url, public_url="https://pay.example.test") as server:
        stored = await server.send(receiver.path, body, receiver.signed(body))
        refused = await server.send(receiver.path, body, receiver.signed(body, secret="whsec_other"))
        unknown = await server.send("/v1/webhooks/nobody", body)

    assert [a.status for a in (stored, refused, unknown)] == [200, 400, 404]
    for answer in (stored, refused, unknown):
        assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'self'" in answer.headers["content-security-policy"]


async def test_a_delivery_that_nobody_signed_is_logged_and_counted_with_its_address(db, database_url, capsys):
    receiver = await set_receiver(db, database_url)
    body = body_of()

    async with serving(database_url, trusted_proxies="127.0.0.0/8") as server:
        headers = {"x-forwarded-for": "203.0.113.9", **receiver.signed(body, secret="whsec_other")}
        refused = await server.send(receiver.path, body, headers)

    assert refused.status == 400
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"intake.refused"' in line]
    assert [(line["code"], line["address"]) for line in lines] == [("signature_invalid", "203.0.113.9")]
    seen = await receiver.stage.row("select kind, actor, address, count, detail from security_event")
    account = ids.show(ids.GATEWAY_ACCOUNT, receiver.stage.account_id)
    assert seen == {
        "kind": "signature_refused",
        "actor": "",
        "address": "203.0.113.9",
        "count": 1,
        "detail": f"{account}: signature_invalid",
    }
