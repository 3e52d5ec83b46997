"""What a stranger's connection may cost: heads, silence, bodies and readers are all bounded, and others are served."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bursar.cli import server as server_module
from bursar.money.intake import endpoint
from bursar.web import connections, protocol
from bursar.web.pages import visits
from serving import Server, read_answer, serving, set_receiver
from stage import event, session

pytestmark = pytest.mark.anyio

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
FORM = (
    b"POST /sign-in HTTP/1.1\r\nhost: x\r\norigin: http://x\r\n"
    b"content-type: application/x-www-form-urlencoded\r\ncontent-length: 9000\r\n\r\n"
)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every patience be short. A server looks at its connections once a second."""
    for name in ("HEAD_S", "LINGER_S", "STALLED_S"):
        monkeypatch.setattr(protocol, name, 0.2)


@asynccontextmanager
async def connected(
    server: Server, begin: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(begin)
        yield reader, writer
    finally:
        writer.transport.abort()


async def seconds_until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, drip: bytes) -> float:
    """Send a byte again and again, throw away what is answered, and return how long the other end stood it."""
    began = time.monotonic()
    while not reader.at_eof() and time.monotonic() - began < 10:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(drip)
            await asyncio.wait_for(reader.read(65_536), 0.05)
        if writer.transport.is_closing():
            break
    return time.monotonic() - began


@pytest.mark.usefixtures("hasty")
async def test_a_head_that_comes_byte_by_byte_is_given_up_and_others_are_answered(database_url):
    async with serving(database_url) as server, contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(server, LIVE[:-2] + b"x-slow: ")) for _ in range(20)]
        other = await server.raw(LIVE)
        answers = await asyncio.wait_for(asyncio.gather(*(read_answer(reader) for reader, _ in slow)), 5)

    assert other.status == 200
    assert [answer.status for answer in answers] == [408] * 20


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("drip", [b"", b"\r\n"], ids=["silent", "blank lines"])
async def test_a_connection_that_asks_nothing_is_closed(database_url, drip):
    async with serving(database_url) as server, connected(server) as (reader, writer):
        assert await seconds_until_closed(reader, writer, drip=drip) < 5


@pytest.mark.usefixtures("hasty")
async def test_what_follows_an_answer_is_not_read_for_ever(database_url):
    refused = b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 60000000\r\n\r\n"

    async with serving(database_url) as server, connected(server, refused) as (reader, writer):
        answer = await read_answer(reader)
        stood_s = await seconds_until_closed(reader, writer, drip=b"a")

    assert answer.status == 404
    assert stood_s < 5


@pytest.mark.usefixtures("hasty")
async def test_an_answer_that_nobody_reads_is_thrown_away(database_url):
    page = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"

    async with serving(database_url) as server, connected(server, page * 300):
        while not server.connections:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(15):
            while server.connections:
                await asyncio.sleep(0.1)


async def test_a_form_that_does_not_arrive_is_given_up(database_url, monkeypatch):
    monkeypatch.setattr(visits, "FORM_TIMEOUT_S", 0.2)

    async with serving(database_url) as server, connected(server, FORM + b"api_key=") as (reader, _):
        answer = await asyncio.wait_for(read_answer(reader), 5)

    assert answer.status == 408


@pytest.mark.parametrize(
    "start",
    [FORM, b"POST /v1/webhooks/gwa_x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"],
    ids=["form", "delivery"],
)
async def test_a_caller_who_leaves_in_the_middle_is_no_error_of_ours(database_url, caplog, start):
    async with serving(database_url) as server:
        async with connected(server, start) as (_, writer):
            await writer.drain()
            await asyncio.sleep(0.05)
        figures = (await server.send("/metrics", method="GET")).body.decode()

    assert 'status="500"' not in figures
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 32_000 + b"\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 33_000 + b"\r\n\r\n", 431),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 3_000_000, 431),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (b"GET /" + b"a" * 3_000_000, 431),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\n" + b"x: a\r\n" * 99 + b"\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\n" + b"x: a\r\n" * 10_000 + b"\r\n", 431),
        (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nhost: x/y?z\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nhost: [\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nhost: user@x\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nhost: pay.example.com:8443\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", 200),
        (b"POST /v1/prices HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
        (b"POST /v1/prices HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    ],
)  # fmt: skip
async def test_a_head_is_bounded_and_names_one_host(database_url, head, status):
    async with serving(database_url) as server:
        assert (await server.raw(head)).status == status
        assert (await server.raw(LIVE)).status == 200


@pytest.mark.parametrize(
    "silence",
    [b"1;" + b"a" * 400_000, b"0\r\n" + b"x: y\r\n" * 70_000],
    ids=["extension of a chunk", "trailers"],
)
async def test_a_body_may_not_go_on_without_content(db, database_url, silence):
    receiver = await set_receiver(db, database_url)
    head = f"POST {receiver.path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()

    async with serving(database_url) as server:
        answer = await server.raw(head + silence)

    assert answer.status == 431
    assert await receiver.stage.value("select count(*) from gateway_event") == 0


async def test_whoever_only_holds_connections_makes_room_for_whoever_asks(database_url, monkeypatch):
    monkeypatch.setattr(server_module, "connections_max", lambda **_: 16)

    async with serving(database_url) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(60):
            await stack.enter_async_context(connected(server, LIVE[:-2]))
        answers = [await server.raw(LIVE) for _ in range(5)]

        assert [answer.status for answer in answers] == [200] * 5
        assert len(server.connections) <= 16


async def test_where_everybody_is_being_answered_the_next_one_is_asked_to_come_again(database_url, monkeypatch):
    monkeypatch.setattr(server_module, "connections_max", lambda **_: 0)
    monkeypatch.setattr(protocol, "make_room", lambda *_, **__: 0)

    async with serving(database_url) as server:
        answer = await server.raw(LIVE)

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_room_is_made_by_those_who_waited_longest_and_never_by_those_being_answered():
    ended: list[str] = []

    class Held:
        def __init__(self, name: str, since: float, *, is_waited_for: bool) -> None:
            self.name, self.since, self.is_waited_for, self.transport = name, since, is_waited_for, self

        def abort(self) -> None:
            ended.append(self.name)

    newcomer = Held("newcomer", 9.0, is_waited_for=True)
    oldest, later = Held("oldest", 1.0, is_waited_for=True), Held("later", 2.0, is_waited_for=True)
    answered = Held("answered", 0.0, is_waited_for=False)
    held = {newcomer, oldest, later, answered}

    assert connections.make_room(held, newcomer=newcomer) == 1
    assert ended == ["oldest"]
    assert held == {newcomer, later, answered}


async def test_large_deliveries_share_one_room_and_small_ones_pass(db, database_url, monkeypatch):
    monkeypatch.setattr(endpoint, "ROOM_BYTES", 150_000)
    receiver = await set_receiver(db, database_url)
    body = json.dumps(event("checkout.session.completed", session())).encode()
    large = json.dumps(event("checkout.session.completed", session(padding="x" * 140_000))).encode()
    slow = f"POST {receiver.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n".encode() + b"a" * 100_000

    async with serving(database_url) as server:
        async with connected(server, slow), connected(server, slow) as (reader, _):
            refused = await asyncio.wait_for(read_answer(reader), 5)
            small = await server.send(receiver.path, body, receiver.signed(body))
        await asyncio.sleep(0.05)
        after = await server.send(receiver.path, large, receiver.signed(large))

    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "intake_overloaded", "5")
    assert small.status == 200
    assert after.status == 200


async def test_a_slow_large_delivery_gives_way_to_one_that_is_sent_at_once(db, database_url, monkeypatch):
    monkeypatch.setattr(endpoint, "ROOM_BYTES", 250_000)
    monkeypatch.setattr(endpoint, "AT_ONCE_S", 0.2)
    receiver = await set_receiver(db, database_url)
    large = json.dumps(event("checkout.session.completed", session(padding="x" * 140_000))).encode()
    slow = f"POST {receiver.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n".encode() + b"a" * 100_000

    async with (
        serving(database_url) as server,
        connected(server, slow) as (first, _),
        connected(server, slow) as (_, second),
    ):
        await asyncio.sleep(0.4)
        taken = await server.send(receiver.path, large, receiver.signed(large))
        given_way = await asyncio.wait_for(read_answer(first), 5)
        second.write(b"a" * 100_000)
        again = await server.send(receiver.path, large, receiver.signed(large))

    assert (taken.status, again.status) == (200, 200)
    assert again.json["duplicate"]
    assert (given_way.status, given_way.json["code"]) == (503, "intake_overloaded")
