"""HTTP/1.1 as the API process speaks it: uvicorn's protocol with limits, and with each answer sent in one piece.

uvicorn bounds neither how long a request's head may take nor how large it may be, nor how long a reader may let an
answer lie. Here every connection has a moment at which it is cut off, unless it is being answered; `connections`
looks at those moments once a second, which is cheaper than a timer for each.
"""

import asyncio
import math
import re
import time
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bursar.web.connections import make_room

HEAD_S: Final = 10.0
"""How long the head of a request may take, from the first moment that it could be sent."""
HEAD_BYTES_MAX: Final = 32_768
HEADERS_MAX: Final = 100
LINGER_S: Final = 5.0
"""How long the rest of a body is still read, and thrown away, after its request has been answered."""
STALLED_S: Final = 30.0
"""How long a reader may let an answer lie."""
SILENT_BYTES_MAX: Final = 65_536
"""What may arrive of a body without a byte of content: extensions of chunks, and trailers."""

_HOST: Final = re.compile(rb"[A-Za-z0-9._-]*(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class Protocol(HttpToolsProtocol):
    """One connection. `cut_off_at`: when it ends, on the clock of time.monotonic; infinity while it is being answered."""

    def __init__(self, *arguments: Any, connections_max: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connections_max = connections_max
        self._refusal = HTTPStatus.BAD_REQUEST
        self._is_head_due = True
        self._has_progressed = False
        self._uncounted = 0
        self._unread = math.inf
        self.cut_off_at = math.inf
        self.since = time.monotonic()

    @property
    def is_waited_for(self) -> bool:
        """True while nothing whole has been asked: this connection may be dropped in favour of another one."""
        return self.cycle is None or self.cycle.more_body or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn writes the head of an answer and its body apart: two system calls here, two wake-ups at the other end.
        super().connection_made(_Joined(transport, self))  # type: ignore[arg-type]
        self.cut_off_at = self.since + HEAD_S
        if len(self.connections) > self._connections_max and not make_room(self.connections, newcomer=self):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._has_progressed = False
        super().data_received(data)
        if self._has_progressed:
            self._uncounted = 0
            return
        self._uncounted += len(data)
        if self._uncounted > (HEAD_BYTES_MAX if self._is_head_due else SILENT_BYTES_MAX):
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._has_progressed = True
        refusal = _refusal_of(self.url, self.headers, self.parser.get_http_version())
        if refusal:
            self._refusal = refusal
            raise ValueError(refusal.phrase)  # the parser stops, and uvicorn answers as for any unreadable request
        self._is_head_due = False
        self.cut_off_at = math.inf
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # we speak nothing else, and what follows is not HTTP any more

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_progressed = True
        super().on_message_complete()
        self._is_head_due = True

    def on_response_complete(self) -> None:
        answered = self.cycle
        super().on_response_complete()
        if answered.response_complete and not self.transport.is_closing():
            self.since = time.monotonic()
            self.cut_off_at = self.since + (LINGER_S if answered.more_body else self.timeout_keep_alive + HEAD_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.cut_off_at = time.monotonic() + STALLED_S

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self.cut_off_at = math.inf

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours say more
        self.refuse(self._refusal)

    def refuse(self, status: HTTPStatus) -> None:
        """Answer what is no request, or came at the wrong time, and close."""
        if not self.transport.is_closing():
            self.transport.write(_refused(status))
            self.transport.close()

    def cut_off(self) -> None:
        """End the connection, unless its reader still takes what was sent."""
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < self._unread:
            self._unread, self.cut_off_at = unread, time.monotonic() + STALLED_S
        elif self._is_head_due and self._uncounted and not unread:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.abort()


class _Joined:
    """A transport that sends what is written in one turn of the event loop together, at the turn's end."""

    def __init__(self, transport: asyncio.Transport, protocol: Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._call_soon = protocol.loop.call_soon
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._written:
            self._call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        # What the other end does not read would keep the connection for as long as the other end likes.
        self._protocol.cut_off_at = time.monotonic() + STALLED_S
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            if not self._transport.is_closing():  # the other end may have left within this turn
                self._transport.write(b"".join(self._written))
            self._written.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _refusal_of(url: bytes, headers: list[tuple[bytes, bytes]], version: str) -> HTTPStatus | None:
    """Tell why a head is no request that we answer; None where it is one."""
    size, hosts = len(url), []
    for name, value in headers:
        size += len(name) + len(value)
        if name == b"host":
            hosts.append(value)
    if len(headers) > HEADERS_MAX or size > HEAD_BYTES_MAX:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    # Addresses are made from the host, and a caller who may write anything there could move the rest of an address.
    if len(hosts) > 1 or (not hosts and version == "1.1") or not all(map(_HOST.fullmatch, hosts)):
        return HTTPStatus.BAD_REQUEST
    return None


def _refused(status: HTTPStatus) -> bytes:
    text = f"{status.phrase}\n".encode()
    again = b"retry-after: 5\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else b""
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n".encode()
    return head + again + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text) + text
