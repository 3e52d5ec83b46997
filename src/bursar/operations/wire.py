"""HTTP as a gateway speaks it, with every way to speak it badly: a connection that can stop, wait or hang up anywhere."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

_ANSWER_BYTES_MAX = 1_048_576
_TIMEOUT_S = 15.0

# RuntimeError is how uvloop says that the other side closed the connection a moment ago.
_FAILURES = (
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
    ValueError,
    RuntimeError,
)


class NoAnswer(Exception):
    """The other side did not answer: refused, reset, hung up, or too slow."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP. body: parsed JSON, or None."""

    status: int
    body: Any


class Wire:
    """One connection to one server, opened when needed and kept alive until the block ends."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    async def post(
        self, path: str, *, headers: Mapping[str, str], body: bytes, pause_at: int | None = None, pause_s: float = 0.05
    ) -> Answer:
        """Send a request and return the answer. pause_at: how many bytes of the body come before a pause. Raises NoAnswer."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                writer = await self._open()
                split = len(body) if pause_at is None else pause_at
                writer.write(self._head(path, headers, len(body)) + body[:split])
                if split < len(body):
                    await writer.drain()
                    await asyncio.sleep(pause_s)
                    writer.write(body[split:])
                await writer.drain()
                return await self._answer()
        except _FAILURES as error:
            self.hang_up()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error

    async def send(self, path: str, *, headers: Mapping[str, str], body: bytes, cut_at: int | None = None) -> None:
        """Send a request, or the beginning of one, and hang up without reading. Never fails."""
        with suppress(*_FAILURES):
            async with asyncio.timeout(_TIMEOUT_S):
                writer = await self._open()
                writer.write(self._head(path, headers, len(body)) + body[:cut_at])
                await writer.drain()
        self.hang_up()

    def hang_up(self) -> None:
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None

    async def _open(self) -> asyncio.StreamWriter:
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self._writer

    def _head(self, path: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"POST {path} HTTP/1.1", f"host: {self._host}:{self._port}", f"content-length: {length}"]
        lines += ["content-type: application/json", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def _answer(self) -> Answer:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        told = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        length = int(told.get("content-length", "0"))
        if length > _ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
        text = await self._reader.readexactly(length)
        if told.get("connection") == "close" or "content-length" not in told:
            self.hang_up()
        with suppress(ValueError):
            return Answer(status, json.loads(text))
        return Answer(status, None)
