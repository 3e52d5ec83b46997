"""A gateway on loopback that loses answers: it makes refunds as Stripe does, once for each idempotency key, and is seldom kind."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

LOST, FAILED, LATE = 0.10, 0.06, 0.06
"""Shares of the requests: applied and never answered, failed before anything was done, applied and answered after the lease."""


@dataclass
class HostileGateway:
    """effects: how often each refund of ours was made. by_key: what was answered to each key. calls: requests, all in all."""

    late_s: float
    seed: int
    url: str = ""
    calls: int = 0
    effects: Counter[str] = field(default_factory=Counter)
    by_key: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def answer(self, key: str, form: dict[str, list[str]], writer: asyncio.StreamWriter) -> bool:
        """Make a refund and answer, or not; return whether the connection goes on."""
        self.calls += 1
        luck = self._random.random()
        if luck < FAILED / 2:
            return await _say(writer, 503, {"error": {"type": "api_error", "message": "try again later"}})
        if luck < FAILED:
            return await _say(writer, 429, {"error": {"type": "rate_limit_error", "message": "too many requests"}})
        made = self._made(key, form)
        if luck < FAILED + LOST:
            writer.transport.abort()
            return False
        if luck < FAILED + LOST + LATE:
            await asyncio.sleep(self.late_s)
        return await _say(writer, 200, made)

    def _made(self, key: str, form: dict[str, list[str]]) -> dict[str, Any]:
        if key not in self.by_key:
            ours = form["metadata[bursar_refund]"][0]
            self.effects[ours] += 1
            self.by_key[key] = {
                "id": f"re_{len(self.by_key):08d}",
                "object": "refund",
                "status": "succeeded",
                "amount": int(form["amount"][0]),
                "currency": "eur",
                "payment_intent": form["payment_intent"][0],
                "metadata": {"bursar_refund": ours},
                "created": int(datetime.now(UTC).timestamp()),
            }
        return self.by_key[key]


async def _say(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> bool:
    content = json.dumps(body).encode()
    date = format_datetime(datetime.now(UTC), usegmt=True)
    head = f"HTTP/1.1 {status} X\r\ndate: {date}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    with suppress(ConnectionError):
        writer.write(head.encode() + content)
        await writer.drain()
    return not writer.is_closing()


@asynccontextmanager
async def hostile_gateway(*, late_s: float, seed: int) -> AsyncIterator[HostileGateway]:
    """Serve on a port of its own."""
    gateway = HostileGateway(late_s, seed)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        try:
            with suppress(asyncio.CancelledError):  # The gateway is closed, and its last late answers with it.
                await converse(reader, writer)
        finally:
            writer.transport.abort()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if not await gateway.answer(headers["idempotency-key"], parse_qs(body.decode()), writer):
                    break

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    gateway.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield gateway
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
