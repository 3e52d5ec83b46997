"""Memory: what an API process and a worker hold while ten thousand events are applied under a thousand live pages."""

import asyncio
import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.events import paid_events
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, file_bodies, ground
from bursar.web.tickets import make_ticket

PROMISE = "API and worker together hold at most 400 MB at 10,000 queued events and 1,000 live pages"
BUDGETS = (Budget("together_mb", at_most=400.0),)
NOTES = (
    "largest resident size of each process, while every live page is told of the events that are applied",
    "marked: pages that were told that something changed",
)

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_MARK = b"event: "


def measure(scale: Scale) -> Result:
    """Open pages and queue events, then let one worker apply them beside one API process."""
    runs = []
    count, pages = (200, 20) if scale.quick else (10_000, 1_000)
    with ground() as here, here.api() as api:
        for number in range(scale.runs):
            with live_pages(here, api, pages) as opened:
                asyncio.run(file_bodies(here, list(paid_events(count, "abcdefghij"[number]))))
                with here.worker() as worker:
                    here.until_applied()
                    found = {"api_mb": _peak_mb(api), "worker_mb": _peak_mb(worker)}
                marked = sum(_MARK in _received(page) for page in opened)
            found |= {"together_mb": found["api_mb"] + found["worker_mb"]}
            runs.append(found | {"pages": float(pages), "marked": float(marked)})
    return Result("memory", PROMISE, BUDGETS, tuple(runs), NOTES)


@contextmanager
def live_pages(here: Ground, api: Process, count: int) -> Iterator[list[socket.socket]]:
    """Enter the business's pages once, and keep that many of their streams open."""
    cookie = _enter(here, api)
    request = f"GET /live HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookie}\r\naccept: text/event-stream\r\n\r\n".encode()
    with ExitStack() as stack:
        pages = []
        for _ in range(count):
            page = stack.enter_context(closing(socket.create_connection(("127.0.0.1", api.port), timeout=30)))
            page.sendall(request)
            answered = page.recv(4096)
            assert answered.startswith(b"HTTP/1.1 200"), answered
            page.setblocking(False)
            pages.append(page)
        yield pages


def _enter(here: Ground, api: Process) -> str:
    ticket = make_ticket(here.settings.secret_key, here.tenant_id, datetime.now(UTC))
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    with closing(connection):
        connection.request("GET", f"/enter?ticket={ticket}", headers={"sec-fetch-site": "none"})
        answer = connection.getresponse()
        answer.read()
    cookies = [value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    assert cookies, f"the door stayed closed: {answer.status}"
    return "; ".join(cookies)


def _received(page: socket.socket) -> bytes:
    try:
        return page.recv(65_536)
    except BlockingIOError:
        return b""


def _peak_mb(process: Process) -> float:
    found = _PEAK.search(Path(f"/proc/{process.pid}/status").read_text())
    assert found, "the process has gone"
    return int(found[1]) / 1024
