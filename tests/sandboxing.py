"""A sandbox of its own for a test: served on a loopback port, with a clock that the test may move."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from bursar.cli.sandbox import server_of
from bursar.sandbox import Application

TOKEN = "sandbox-token-of-the-tests"
KEY = "sk_test_of_the_first_business"
SECRET = "whsec_of_the_first_business"


@dataclass
class Sandbox:
    """url: what an SDK gets as its base address."""

    url: str
    app: Application
    http: httpx2.AsyncClient
    key: str = KEY

    async def ask(
        self,
        method: str,
        path: str,
        form: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        **headers: str,
    ) -> httpx2.Response:
        """Call the API as a client without an SDK would; the form is nested with brackets."""
        told = {"authorization": f"Bearer {key or self.key}", **headers}
        if idempotency_key:
            told["idempotency-key"] = idempotency_key
        pairs = dict(brackets(form or {}))
        if method == "GET":
            return await self.http.get(path, params=pairs, headers=told)
        return await self.http.request(method, path, data=pairs, headers=told)

    async def done(self, method: str, path: str, form: dict[str, Any] | None = None, **more: Any) -> Any:
        """Call the API, and expect that it is done."""
        answer = await self.ask(method, path, form, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def control(self, name: str, asked: dict[str, Any] | None = None) -> Any:
        """Tell the sandbox something; without anything to tell, ask."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        if asked is None:
            answer = await self.http.get(f"/_sandbox/{name}", headers=headers)
        else:
            answer = await self.http.post(f"/_sandbox/{name}", content=json.dumps(asked), headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def advance(self, seconds: int) -> None:
        """Move the clock, and wait until it has arrived."""
        await self.control("advance", {"seconds": seconds})
        while (await self.control("", None))["advancing_to"] is not None:
            await asyncio.sleep(0.02)

    async def until_attempted(self, count: int, *, within_s: float = 10) -> list[dict[str, Any]]:
        """Wait until so many attempts at deliveries are written down; return the deliveries, newest first."""
        end = time.monotonic() + within_s
        while True:
            found: list[dict[str, Any]] = (await self.control("deliveries"))["data"]
            if sum(len(one["log"]) for one in found) >= count:
                return found
            assert time.monotonic() < end, found
            await asyncio.sleep(0.02)

    async def told(self, *, limit: int = 100) -> list[str]:
        """Return the types of the account's events, oldest first."""
        page = await self.done("GET", "/v1/events", {"limit": limit})
        return [event["type"] for event in reversed(page["data"])]


def brackets(value: Any, at: str = "") -> list[tuple[str, str]]:
    """Return nested values as Stripe's SDKs write them."""
    if isinstance(value, dict):
        return [pair for name, inner in value.items() for pair in brackets(inner, f"{at}[{name}]" if at else name)]
    if isinstance(value, list):
        return [pair for index, inner in enumerate(value) for pair in brackets(inner, f"{at}[{index}]")]
    text = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return [(at, text)]


@asynccontextmanager
async def sandbox_at(directory: Path, *, is_open: bool = True, base: str = "") -> AsyncIterator[Sandbox]:
    """Serve a sandbox whose file is in a directory."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = Application(directory, token=TOKEN, url=url, public_url=base, is_open=is_open)
    server = server_of(app)
    server.config.timeout_graceful_shutdown = 1
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
            yield Sandbox(url, app, http)
    finally:
        server.should_exit = True
        await task
        listening.close()


@dataclass
class Inbox:
    """An address that webhooks are sent to. answers: the statuses that it gives, in turn; then 200."""

    url: str
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    async def until(self, count: int, *, within_s: float = 5) -> list[dict[str, Any]]:
        """Wait for so many deliveries."""
        end = time.monotonic() + within_s
        while len(self.received) < count:
            assert time.monotonic() < end, f"{len(self.received)} of {count} deliveries: {self.events()}"
            await asyncio.sleep(0.01)
        return self.events()


@asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    """Listen for webhooks."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value.strip() for name, _, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                opened.received.append((headers, body))
                status = opened.answers.pop(0) if opened.answers else 200
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    opened = Inbox(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks")
    try:
        yield opened
    finally:
        server.close()
