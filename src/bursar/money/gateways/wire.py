"""The wire under both SDKs: one bounded HTTP client, and the one question that matters when it breaks: was it sent?

TLS is verified against the system's roots, redirects are not followed, proxies of the environment are not used,
an answer is at most ANSWER_BYTES_MAX, and every wait has an end: CONNECT_S, READ_S, and the caller's deadline
over all of it. `httpx` is imported with the first call, because only workers make calls.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from bursar.kernel.redaction import text_redacted
from bursar.money.gateways.calling import (
    ANSWER_BYTES_MAX,
    CONNECT_S,
    READ_S,
    CallFailed,
    Credentials,
    Json,
    NotSent,
    OutcomeUnknown,
)
from bursar.money.gateways.parsing import parse_object

if TYPE_CHECKING:
    import httpx

WAIT_S_MAX: Final = 3600.0
CONNECTIONS_MAX: Final = 50
CLIENTS_MAX: Final = 64

_MESSAGE_LENGTH_MAX: Final = 500
_TALKATIVE: Final = ("httpx", "httpcore", "stripe", "dodopayments")

Sdk = TypeVar("Sdk")


@dataclass(slots=True)
class Attempt:
    """What is known of one call while it is under way. started_at: by our clock. sent_s: monotonic."""

    started_at: datetime
    sent_s: float
    is_sent: bool = False
    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """The gateway's clock when it was asked: its answer's Date less the whole seconds that it took.

        Whatever the answer shows was so then or later. Without a Date (no gateway leaves it out) it is our clock.
        """
        try:
            told = parsedate_to_datetime(self.headers.get("date", "")).astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            return self.started_at.replace(microsecond=0)
        return told - timedelta(seconds=int(monotonic() - self.sent_s))


_attempt: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


@asynccontextmanager
async def attempting(deadline_s: float, *, now: Callable[[], datetime]) -> AsyncIterator[Attempt]:
    """Bound everything inside by one deadline. Raises NotSent or OutcomeUnknown when it passes."""
    attempt = Attempt(started_at=now(), sent_s=monotonic())
    token = _attempt.set(attempt)
    try:
        async with asyncio.timeout(deadline_s):
            yield attempt
    except TimeoutError:
        raise _lost(attempt, f"no answer within {deadline_s:g} s") from None
    finally:
        _attempt.reset(token)


def client() -> "httpx.AsyncClient":
    """Return a client for one event loop. Close it."""
    import httpx  # noqa: PLC0415 - see the module

    for name in _TALKATIVE:
        # They write addresses and, at their lowest level, whole requests.
        logging.getLogger(name).setLevel(logging.WARNING)
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=10, keepalive_expiry=30.0)
    return httpx.AsyncClient(
        transport=_bounded(httpx.AsyncHTTPTransport(verify=_trusted(), limits=limits, trust_env=False)),
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    )


class Clients(Generic[Sdk]):
    """An SDK's clients, one for each account, over one HTTP client and within one event loop. Close it.

    opened: makes a client. The one that was used least lately gives way: what it keeps is soon made again.
    """

    def __init__(self, opened: Callable[[Credentials, "httpx.AsyncClient"], Sdk]) -> None:
        self._open = opened
        self._http: httpx.AsyncClient | None = None
        self._kept: OrderedDict[Credentials, Sdk] = OrderedDict()

    def of(self, credentials: Credentials) -> Sdk:
        """Return the client of an account, which is opened when it is first asked for."""
        if self._http is None:
            self._http = client()
        if credentials not in self._kept:
            self._kept[credentials] = self._open(credentials, self._http)
            if len(self._kept) > CLIENTS_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(credentials)
        return self._kept[credentials]

    async def close(self) -> None:
        """Close the connections."""
        self._kept.clear()
        if self._http is not None:
            await self._http.aclose()
            self._http = None


def object_of(attempt: Attempt) -> Json:
    """Return the object that was answered. Raises OutcomeUnknown for what is not one."""
    try:
        found: Json = _fit(parse_object(attempt.body))
    except (ValueError, RecursionError):
        raise OutcomeUnknown("the answer is not a JSON object", status=attempt.status) from None
    return found


def object_or_none(attempt: Attempt) -> Json | None:
    """Return the object of an error; None where it holds none that can be read."""
    try:
        return object_of(attempt)
    except OutcomeUnknown:
        return None


def wait_of(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return what `Retry-After` says, in seconds or as a date; None where it says nothing that can be read."""
    told = headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return min(float(told[:9]), WAIT_S_MAX)
    try:
        until = parsedate_to_datetime(told)
    except (ValueError, TypeError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), WAIT_S_MAX)


def fit(message: object, credentials: Credentials) -> str:
    """Return a gateway's own words, fit to show and to log: bounded, on one line, without secrets and addresses."""
    told = str(message or "").replace(credentials.api_key, "[redacted]") if credentials.api_key else str(message or "")
    return text_redacted(" ".join(told.split()))[:_MESSAGE_LENGTH_MAX]


def word(value: object) -> str | None:
    """Return a code or a parameter's name as the gateway wrote it; None for anything that is not one."""
    return value[:200] if isinstance(value, str) and value.isprintable() and value else None


def _bounded(inner: "httpx.AsyncBaseTransport") -> "httpx.AsyncBaseTransport":
    import httpx  # noqa: PLC0415

    class Bounded(httpx.AsyncBaseTransport):
        """Reads an answer whole, within its limit, and says of every failure whether the request was sent."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            attempt = _attempt.get() or Attempt(datetime.now(UTC), monotonic())

            async def watch(event: str, _info: Mapping[str, Any]) -> None:
                if event.endswith("send_request_headers.started"):
                    attempt.is_sent, attempt.sent_s = True, monotonic()

            request.extensions = {**request.extensions, "trace": watch}
            request.headers["accept-encoding"] = "identity"
            try:
                answer = await inner.handle_async_request(request)
                try:
                    content = await _read(answer, attempt)
                finally:
                    await answer.aclose()
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ssl.SSLError) as error:
                raise _lost(attempt, f"no answer ({type(error).__name__})") from None
            attempt.status, attempt.headers, attempt.body = answer.status_code, answer.headers, content
            return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=content, request=request)

        async def aclose(self) -> None:
            await inner.aclose()

    return Bounded()


async def _read(answer: "httpx.Response", attempt: Attempt) -> bytes:
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise OutcomeUnknown(f"the answer is larger than {ANSWER_BYTES_MAX} bytes", status=attempt.status)
    return bytes(body)


def _plain(headers: "httpx.Headers") -> list[tuple[str, str]]:
    # The body is here, whole; what described its way is not true of it any more.
    return [(k, v) for k, v in headers.items() if k not in ("content-encoding", "transfer-encoding", "content-length")]


def _lost(attempt: Attempt, why: str) -> CallFailed:
    return OutcomeUnknown(why, status=attempt.status) if attempt.is_sent else NotSent(why)


def _fit(value: Any) -> Any:
    """Return JSON that can be written again: a lone surrogate is no text, and the database refuses it."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case dict():
            return {_fit(key): _fit(inner) for key, inner in value.items()}
        case list():
            return [_fit(inner) for inner in value]
        case _:
            return value


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()
