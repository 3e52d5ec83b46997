"""Show what a gateway sent: laid out as JSON where it is JSON, with every id a link. Pure.

Bodies are hostile, so nothing is parsed: the text is cut into words, which works on any text, keeps numbers and
repeated keys as they are, and costs no more than the text is long.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from bursar.web.pages.texts import exact, visible

SHOWN_BYTES = 65_536
_PIECES_MAX = 6_000
_SHOWN_CHARS_MAX = 200_000
_INDENT_MAX = 24

_WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"|[A-Za-z0-9_+.-]+|[{}\[\],:]|\s+|.', re.DOTALL)
_REFERENCE = re.compile(r"(?=.*[0-9A-Z])[a-z]{2,12}(?:_[A-Za-z0-9]{1,12}){0,2}_[A-Za-z0-9]{6,200}", re.ASCII)
_EPOCH_KEY = re.compile(
    r"created|canceled_at|.*_at|.*_on|.*_end|.*_start|start|end|date|due_by|timestamp|.*_date|.*anchor", re.ASCII
)
_EPOCH = re.compile(r"[12]\d{9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text. kind: key, text, number, word or plain. query: what the search page is asked for, percent-encoded."""

    kind: str
    text: str
    query: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body as shown. is_cut: only its beginning is here. size: of the whole, in bytes."""

    pieces: tuple[Piece, ...]
    raw: str
    size: int
    is_cut: bool


def shown(head: bytes, *, size: int) -> Body:
    """Return the view of a body. head: its first `SHOWN_BYTES`. size: how long it really is."""
    raw = visible(head[:SHOWN_BYTES].decode("utf-8", "replace"))
    pieces, is_whole = _laid_out(raw) if raw.lstrip()[:1] in ("{", "[") else ([Piece("plain", raw)], True)
    return Body(tuple(pieces), raw, size, size > SHOWN_BYTES or not is_whole)


def _laid_out(raw: str) -> tuple[list[Piece], bool]:
    words = [word for word in _WORD.findall(raw) if not word.isspace()]
    pieces: list[Piece] = []
    plain: list[str] = []
    depth, key, length = 0, "", 0
    for position, word in enumerate(words):
        length += len(word) + 2 * min(depth, _INDENT_MAX)
        following = words[position + 1] if position + 1 < len(words) else ""
        if word in ("{", "["):
            depth += 1
            plain.append(word if following in ("}", "]") else word + _line(depth))
        elif word in ("}", "]"):
            depth = max(depth - 1, 0)
            is_empty = position > 0 and words[position - 1] in ("{", "[")
            plain.append(word if is_empty else _line(depth) + word)
        elif word == ",":
            plain.append("," + _line(depth))
        elif word == ":":
            plain.append(": ")
        else:
            if plain:
                pieces.append(Piece("plain", "".join(plain)))
                plain = []
            if following == ":":
                key = word.strip('"')
                pieces.append(Piece("key", word))
            else:
                pieces.append(_value(word, key))
        if len(pieces) >= _PIECES_MAX or length > _SHOWN_CHARS_MAX:
            return pieces, False
    if plain:
        pieces.append(Piece("plain", "".join(plain)))
    return pieces, True


def _value(word: str, key: str) -> Piece:
    if word.startswith('"'):
        inner = word[1:-1]
        return Piece("text", word, query=quote(inner, safe="") if _REFERENCE.fullmatch(inner) else None)
    if word[0].isdigit() or word[0] == "-":
        is_instant = _EPOCH.fullmatch(word) and _EPOCH_KEY.fullmatch(key)
        return Piece("number", word, title=exact(datetime.fromtimestamp(int(word), UTC)) if is_instant else None)
    return Piece("word", word)


def _line(depth: int) -> str:
    return "\n" + "  " * min(depth, _INDENT_MAX)
