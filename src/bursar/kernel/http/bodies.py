"""JSON bodies of our own API: bounded in bytes, depth and time, and read one way only.

What another parser might read differently is refused: equal keys, NaN, numbers beyond 2^53, lone surrogates,
NUL, a byte order mark. So a body that passes here cannot surprise a log, a database or a proxy further on.
"""

import asyncio
import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from bursar.kernel.amounts import MINOR_MAX
from bursar.kernel.errors import Invalid, LimitExceeded
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
    """A request whose body is read by the rules above. bytes_max: of its body; a larger one has longer to arrive."""

    bytes_max = BODY_BYTES_MAX

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            declared = self.headers.get("content-length", "0")
            if declared.isascii() and declared.isdigit() and int(declared[:20]) > self.bytes_max:
                raise _too_large(self.bytes_max)
            timeout_s = BODY_TIMEOUT_S * math.ceil(self.bytes_max / BODY_BYTES_MAX)
            try:
                async with asyncio.timeout(timeout_s):
                    self._body = await self._bounded()
            except TimeoutError as error:
                raise BodyTooSlow(f"the body did not arrive within {timeout_s} s") from error
            except ClientDisconnect as error:
                raise BodyIncomplete("the body did not arrive whole") from error
        return self._body

    async def _bounded(self) -> bytes:
        parts = bytearray()
        async for part in self.stream():
            parts += part
            if len(parts) > self.bytes_max:
                raise _too_large(self.bytes_max)
        return bytes(parts)

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


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
        raise JsonInvalid(f"the body is not UTF-8 (byte {error.start})", hint="Send JSON in UTF-8.") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "a number"
        raise JsonInvalid(f"the body is not JSON: {where}", hint="Correct it there, and send it again.") from error
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
        raise JsonInvalid("a number is too large", hint="Send a smaller one.")
    return value


def _constant(name: str) -> float:
    raise JsonInvalid(f"{name} is not JSON", hint="Send a number, or null.")


def _inspect(value: Any) -> None:
    """Refuse depth, NUL and lone surrogates, without recursion: level by level."""
    for depth, level in enumerate(levels(value), start=1):
        texts = [item for item in level if type(item) is str]
        texts += [key for item in level if type(item) is dict for key in item]
        if any("\x00" in text for text in texts):
            raise JsonInvalid("a text contains the character U+0000", hint="Send the text without it.")
        try:
            "".join(texts).encode()
        except UnicodeEncodeError as error:
            raise JsonInvalid("a text contains half of a surrogate pair", hint="Send whole characters.") from error
        if depth > DEPTH_MAX and any(type(item) in (dict, list) for item in level):
            raise _too_deep()


def _too_deep() -> JsonInvalid:
    return JsonInvalid(f"the body is nested more than {DEPTH_MAX} deep", hint="Send what is documented: see /docs.")


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {bytes_max} bytes", context={"bytes_max": bytes_max})
