"""What must never stand in a log line, a trace or an error report: secrets, and what names a person.

Two nets, one behind the other. A field whose *name* says that it holds a secret or a person's data loses its value; and
in every text, whatever has the *form* of a secret, a token, an e-mail address or a card number is replaced. Values that
PostgreSQL quotes in the details of an error go too, because they are rows.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

REDACTED: Final = "[redacted]"
TEXT_LENGTH_MAX: Final = 4_000
_DEPTH_MAX: Final = 12
_ITEMS_MAX: Final = 200

_NAMES = re.compile(
    r"authorization|cookie|secret|passw|token|api_?key|signature|credential|totp|recovery|ticket|private"
    r"|e_?mail|phone|address_line|card|iban|body|payload",
    re.IGNORECASE,
)
# Each form with a piece of text that it cannot lack, so that a line without it costs a look and no more.
_FORMS: Final = (
    ("bsk_", re.compile(r"\bbsk_[0-9A-Za-z_-]{20,}")),
    ("whsec_", re.compile(r"\bwhsec_[0-9A-Za-z+/=_-]{6,}")),
    ("k_", re.compile(r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{6,}")),
    ("eyJ", re.compile(r"\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*)?")),
    ("/checkouts/", re.compile(r"(?<=/checkouts/)[0-9a-z]{52}_[0-9A-Za-z_-]{6,}")),
    ("earer", re.compile(r"\b[Bb]earer\s+[^\s\"',]{8,}")),
    ("://", re.compile(r"(?<=://)[^\s/@:]{0,200}:[^\s/@]{1,200}(?=@)")),
    ("@", re.compile(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
)
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w.-])")
_DETAIL = re.compile(r"\n?(?:DETAIL|CONTEXT):.*", re.DOTALL)


def redacted(value: Any, *, name: str = "", depth: int = 0) -> Any:
    """Return the value without secrets and personal data, bounded in length, width and depth."""
    if name and _is_private(name) and not isinstance(value, bool | int | float | None):
        return REDACTED
    match value:
        case str():
            return text_redacted(value)
        case bytes() | bytearray() | memoryview():
            return REDACTED
        case Mapping() | list() | tuple() | set() | frozenset():
            return _contents(value, depth + 1)
        case _:
            return value


def _contents(value: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        items = islice(value.items(), _ITEMS_MAX)
        return {str(key): redacted(inner, name=str(key), depth=depth) for key, inner in items}
    return [redacted(inner, depth=depth) for inner in islice(value, _ITEMS_MAX)]


@lru_cache(maxsize=2_000)
def _is_private(name: str) -> bool:
    return bool(_NAMES.search(name))


def text_redacted(text: str) -> str:
    """Return the text with everything replaced that has the form of a secret or of a person's data."""
    if len(text) > TEXT_LENGTH_MAX:
        text = text[:TEXT_LENGTH_MAX] + "…"
    if "DETAIL:" in text or "CONTEXT:" in text:
        text = _DETAIL.sub(f" {REDACTED}", text)
    for piece, form in _FORMS:
        if piece in text:
            text = form.sub(REDACTED, text)
    return _CARD.sub(_card_redacted, text)


def _card_redacted(found: re.Match[str]) -> str:
    """Keep numbers that cannot be a card's: their last digit does not check (ISO/IEC 7812, Luhn)."""
    digits = [int(c) for c in reversed(found[0]) if c.isdigit()]
    doubled = [d if place % 2 == 0 else sum(divmod(d * 2, 10)) for place, d in enumerate(digits)]
    return found[0] if sum(doubled) % 10 else REDACTED
