"""Parse bodies: fast where they are plain, tolerant where the fast parser is stricter than JSON is.

The fast parser refuses an unpaired surrogate escape, even in a field nobody reads. Such a body is still the
gateway's, and names its event; the adapters strip what PostgreSQL cannot keep.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_ANY = msgspec.json.Decoder()


def parse(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the body as the decoder's type. Raises ValueError (and its kinds) or RecursionError, nothing else."""
    text = body.decode("utf-8")
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(text, parse_constant=_refuse), decoder.type)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the body as an object. Raises ValueError (and its kinds) or RecursionError, nothing else."""
    found = parse(body, _ANY)
    if not isinstance(found, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 - the type of what was sent, not of an argument
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
