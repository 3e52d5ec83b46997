"""A live page, spoken to as a server speaks to the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from visitors import Site, Visitor

from bursar.web.pages.marks import MARK


class Stream:
    """One open live page, spoken to as a server speaks to the application."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.marks: list[float] = []
        self.is_over = asyncio.Event()
        self.left = asyncio.Event()
        self._came = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        for _ in range(message.get("body", b"").count(MARK)):
            self.marks.append(asyncio.get_running_loop().time())
            self._came.set()

    async def mark(self, number: int, *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while len(self.marks) < number:
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def watching(visitor: Visitor, site: Site) -> AsyncIterator[Stream]:
    stream = Stream()
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.http.cookies.jar)
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/live", "raw_path": b"/live", "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1), "server": ("bursar.test", 80),
        "headers": [(b"host", b"bursar.test"), (b"cookie", cookies.encode()), (b"accept", b"text/event-stream")],
    }  # fmt: skip

    async def run() -> None:
        await site.app(scope, stream.receive, stream.send)  # type: ignore[arg-type]
        stream.is_over.set()

    task = asyncio.create_task(run())
    try:
        yield stream
    finally:
        stream.left.set()
        async with asyncio.timeout(5):
            await task
