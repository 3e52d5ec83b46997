"""A load generator in a process of its own: signed deliveries over a bounded number of connections to this machine.

Deliveries are made and signed before the clock starts, so that the time measured is the receiver's. Each
connection sends its next delivery when the last one was answered.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import uvloop

from benchmarks.events import paid_event
from benchmarks.figures import percentile
from bursar.money.gateways import gateway

CONNECTIONS_MAX = 256
EVENTS_MAX = 200_000
_HEAD_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's, which is no asyncio.Transport

    def send_next(self) -> None:
        request = self._load.next()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_HEAD_END)
        if end < 0 or len(received) < end + 4 + _length(received[:end]):
            self._received = received
            return
        self._received = b""
        self._load.answered(received, time.perf_counter() - self._sent_at)
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(error)


class Load:
    """What is to be sent, until the deliveries or the time are used up, and what came of it. done: the status that counts."""

    def __init__(self, requests: Iterator[bytes], seconds: float, *, done: bytes = b"200") -> None:
        self._requests = requests
        self._seconds = seconds
        self._done = b"HTTP/1.1 " + done
        self._began = 0.0
        self.latencies: list[float] = []
        self.refused: dict[str, int] = {}

    def begin(self) -> None:
        self._began = time.perf_counter()

    def next(self) -> bytes | None:
        return None if time.perf_counter() - self._began > self._seconds else next(self._requests, None)

    def answered(self, answer: bytes, seconds: float) -> None:
        if answer.startswith(self._done):
            self.latencies.append(seconds)
        else:
            status = answer[9:12].decode("latin-1")
            self.refused[status] = self.refused.get(status, 0) + 1

    def outcome(self) -> dict[str, float | dict[str, int]]:
        seconds = time.perf_counter() - self._began
        milliseconds = sorted(1000 * latency for latency in self.latencies)
        return {
            "acknowledged": len(milliseconds),
            "seconds": seconds,
            "per_second": len(milliseconds) / seconds,
            "p50_ms": percentile(milliseconds, 50),
            "p99_ms": percentile(milliseconds, 99),
            "max_ms": percentile(milliseconds, 100),
            "refused": self.refused,
        }


async def run(port: int, connections: int, load: Load) -> None:
    """Send everything over that many connections."""
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: Connection(load), "127.0.0.1", port) for _ in range(connections)]
    load.begin()
    for _, connection in opened:
        connection.send_next()
    await asyncio.gather(*(connection.closed for _, connection in opened))


def signed(body: bytes, *, path: str, secret: str, now: datetime) -> bytes:
    """Return the whole request that delivers a body."""
    headers = {
        "host": "127.0.0.1",
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "accept": "*/*",
        "cache-control": "no-cache",
        "content-length": str(len(body)),
        **gateway("stripe").sign(body=body, secret=secret, now=now, event_id=""),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--series", required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    now = datetime.now(UTC)
    requests = [
        signed(paid_event(number, given.series), path=given.path, secret=given.secret, now=now)
        for number in range(min(given.events, EVENTS_MAX))
    ]
    load = Load(iter(requests), given.seconds)
    print("ready", flush=True)
    uvloop.run(run(given.port, min(given.connections, CONNECTIONS_MAX), load))
    print(json.dumps(load.outcome()))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    main()
