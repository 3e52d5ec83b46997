"""A real server that takes notices, and says what it was sent."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bursar.kernel.postgres.ports import free_port


@dataclass
class Receiver:
    """port: where it listens, on the loopback address. status: what it answers. taken: heads and bodies that came."""

    port: int
    status: int = 200
    heads: list[str] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def told(self, what: str) -> list[dict[str, Any]]:
        return [body for body in self.taken if body.get("what") == what]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen until the end of this."""
    receiver = Receiver(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                (
                    int(line.partition(":")[2])
                    for line in head.split("\r\n")
                    if line.lower().startswith("content-length")
                ),
                0,
            )
            receiver.heads.append(head)
            body = await reader.readexactly(length)
            receiver.taken.append(json.loads(body) if body.startswith(b"{") else {"what": "", "form": body.decode()})
            writer.write(f"HTTP/1.1 {receiver.status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def dead_url() -> str:
    """Return an address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/hook"
