"""The other side on a wire: lists as Stripe answers them, on loopback, to the official SDK."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.client import responses
from urllib.parse import parse_qs, urlsplit

from outside import Outside

from bursar.money.gateways.calls import Kind

PATHS = {
    "/v1/payment_intents": Kind.payment,
    "/v1/charges": Kind.charge,
    "/v1/refunds": Kind.refund,
    "/v1/disputes": Kind.dispute,
    "/v1/subscriptions": Kind.subscription,
    "/v1/balance_transactions": Kind.balance_transaction,
}


@contextmanager
def listening(outside: Outside) -> Iterator[str]:
    """Answer in a thread; yield the address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        serving.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(_answer(outside, head.split(" ", 2)[1]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def end() -> None:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _answer(outside: Outside, target: str) -> bytes:
    address = urlsplit(target)
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    kind = PATHS.get(address.path)
    if kind is None or (kind is Kind.subscription and asked.get("status") != "all"):
        return _http(404, {"error": {"type": "invalid_request_error", "message": "not listed here"}})
    shown, is_more = outside.page(
        kind,
        since=int(asked["created[gte]"]) if "created[gte]" in asked else None,
        until=int(asked["created[lt]"]) if "created[lt]" in asked else None,
        after=asked.get("starting_after"),
        limit=int(asked.get("limit", 10)),
    )
    return _http(200, {"object": "list", "url": address.path, "has_more": is_more, "data": shown})


def _http(status: int, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} {responses[status]}\r\ndate: {formatdate(usegmt=True)}\r\nrequest-id: req_1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
