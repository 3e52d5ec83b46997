"""JSON bodies of our own API: bounded in bytes, depth and time, and read one way only.

What another parser might read differently is refused: equal keys, NaN, numbers beyond 2^53, lone surrogates,
NUL, a byte order mark. So a body that passes here cannot surprise a log, a database or a proxy further on.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bursar.kernel.amounts import MINOR_MAX
from bursar.kernel.errors import DomainError, FieldError, Invalid, LimitExceeded
from bursar.kernel.http.suspicion import Suspicion, suspicions_of_address, suspicions_of_json
from bursar.kernel.http.trees import levels

BODY_BYTES_MAX = 1_048_576
BODY_TIMEOUT_S = 10
DEPTH_MAX = 32
_DIGITS_MAX = 17


class BodyTooLarge(LimitExceeded):
    """The body is larger than this route accepts."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(LimitExceeded):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class BodyIncomplete(Invalid):
    """The caller left before the body was whole."""

    code = "body_incomplete"
    status = 400


class JsonInvalid(Invalid):
    """The body is not JSON that everybody reads alike."""

    code = "json_invalid"
    status = 400


class MediaTypeUnsupported(Invalid):
    """The body is not declared to be JSON."""

    code = "media_type_unsupported"
    status = 415


class StrictRequest(Request):
    """A request whose body is read by the rules above."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            declared = self.headers.get("content-length", "0")
            if declared.isascii() and declared.isdigit() and int(declared[:20]) > BODY_BYTES_MAX:
                raise _too_large()
            try:
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    self._body = await self._bounded()
            except TimeoutError as error:
                raise BodyTooSlow(f"the body did not arrive within {BODY_TIMEOUT_S} s") from error
            except ClientDisconnect as error:
                raise BodyIncomplete("the body did not arrive whole") from error
        return self._body

    async def _bounded(self) -> bytes:
        parts = bytearray()
        async for part in self.stream():
            parts += part
            if len(parts) > BODY_BYTES_MAX:
                raise _too_large()
        return bytes(parts)

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its body strictly and refuses query parameters that it does not have."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_query = any(d.query_params for d in _dependants(self.dependant))

        async def strict(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            try:
                await self.admit(request)
                await self._suspect(request, "address", suspicions_of_address(request.url.path, request.url.query))
                if request.url.query and not takes_query:
                    raise _takes_no_query(request)
                if self.takes_body and await request.body():
                    await self._suspect(request, "body", suspicions_of_json(await _read_json(request)))
                return await self.answer(request, handle)
            except DomainError as refusal:
                await self.refused(request, refusal)
                raise

        return strict

    async def admit(self, request: Request) -> None:
        """Refuse the request before its body is read. Routes that need to know the caller say who may pass."""

    async def refused(self, request: Request, refusal: DomainError) -> None:
        """Be told of a refusal on its way out. Routes that know the caller say what it tells of them."""

    async def answer(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer an admitted request whose body has been checked. Routes that remember answers put theirs around it."""
        return await handle(request)

    @property
    def takes_body(self) -> bool:
        return self.body_field is not None

    async def suspected(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        """Be told that the address or the body looks like an attack. Nothing is refused for that."""

    async def _suspect(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        if found:
            await self.suspected(request, where, found)


def _takes_no_query(request: Request) -> Invalid:
    names = [FieldError(name[:64], "unknown_field", "not known here") for name in request.query_params]
    return Invalid("this path takes no query parameters", fields=tuple(names))


async def _read_json(request: StrictRequest) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MediaTypeUnsupported("the body is not declared to be JSON", hint="Send Content-Type: application/json.")
    return await request.json()


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises JsonInvalid."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_float,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise JsonInvalid(f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "a number"
        raise JsonInvalid(f"the body is not JSON: {where}") from error
    _inspect(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JsonInvalid("an object has two equal keys", hint="Send each field once.")
    return value


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS_MAX or abs(int(digits)) > MINOR_MAX:
        raise JsonInvalid(f"a whole number is beyond ±{MINOR_MAX}", hint="Other parsers would read another number.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonInvalid("a number is too large")
    return value


def _constant(name: str) -> float:
    raise JsonInvalid(f"{name} is not JSON")


def _inspect(value: Any) -> None:
    """Refuse depth, NUL and lone surrogates, without recursion: level by level."""
    for depth, level in enumerate(levels(value), start=1):
        texts = [item for item in level if type(item) is str]
        texts += [key for item in level if type(item) is dict for key in item]
        if any("\x00" in text for text in texts):
            raise JsonInvalid("a text contains the character U+0000")
        try:
            "".join(texts).encode()
        except UnicodeEncodeError as error:
            raise JsonInvalid("a text contains half of a surrogate pair") from error
        if depth > DEPTH_MAX and any(type(item) in (dict, list) for item in level):
            raise _too_deep()


def _too_deep() -> JsonInvalid:
    return JsonInvalid(f"the body is nested more than {DEPTH_MAX} deep")


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {BODY_BYTES_MAX} bytes", context={"bytes_max": BODY_BYTES_MAX})


def _dependants(dependant: Any) -> list[Any]:
    return [dependant, *(inner for child in dependant.dependencies for inner in _dependants(child))]
