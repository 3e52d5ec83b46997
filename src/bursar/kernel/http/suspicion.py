"""What an attacker would write: found in texts that callers send, to be counted. Never the defence itself.

Nothing is refused for looking like this: a customer may be called `O'Reilly; select`. What keeps such texts harmless is
that they are bound parameters, escaped output and parsed ids everywhere.

Linear: plain searches first, each one pass over the text; where one of them hits, a pattern whose every repetition is
bounded decides. Source: the attack kinds of OWASP ASVS 5.0 V1.2 (injection) and V5.3 (paths).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

from bursar.kernel.http.trees import levels

Suspicion = Literal["command", "path", "script", "sql"]

_TEXTS_MAX: Final = 20_000
_DECODED_MAX: Final = 16_384
_LOOKED_AT_MAX: Final = 131_072
"""Characters: what comes after is not looked at, so that counting costs no request more than some milliseconds."""

_HARMLESS: Final = re.compile(r"[\w/?=&:,-]*(?:\.\w[\w/?=&:,-]*)*", re.ASCII)

_HINTS: Final[dict[Suspicion, tuple[str, ...]]] = {
    "script": (
        "<script",
        "<iframe",
        "<img",
        "<svg",
        "<object",
        "<embed",
        "javascript:",
        "vbscript:",
        "onerror",
        "onload",
    ),
    "sql": (
        "union",
        "select",
        "drop",
        "' or",
        "'or",
        '" or',
        "sleep(",
        "pg_sleep",
        "waitfor",
        "insert",
        "delete",
        "update",
    ),
    "path": ("../", "..\\", "/etc/passwd", "/etc/shadow", "/proc/self", "win.ini", "file://"),
    "command": ("$(", "`", "${jndi:", ";", "|", "&&"),
}
_PATTERNS: Final[dict[Suspicion, re.Pattern[str]]] = {
    "script": re.compile(
        r"<script\b|<iframe\b|<object\b|<embed\b|<(?:img|svg)\b[^<>]{0,100}\bon[a-z]{3,20}\s{0,4}=|(?:java|vb)script:"
        r"|\bon(?:error|load)\s{0,4}=",
        re.ASCII,
    ),
    "sql": re.compile(
        r"\bunion\s{1,4}(?:all\s{1,4})?select\b|['\"]\s{0,4}or\s{1,4}['\"]?\w{1,8}['\"]?\s{0,4}(?:=|like\b)"
        r"|;\s{0,4}(?:drop|delete|insert|update|alter|truncate)\s{1,4}(?:table|from|into|database|\w{1,40}\s{1,4}set)\b"
        r"|\b(?:pg_)?sleep\(\s{0,4}\d|\bwaitfor\s{1,4}delay\b|\bfrom\s{1,4}(?:information_schema|pg_catalog)\b",
        re.ASCII,
    ),
    "path": re.compile(
        r"\.\.[/\\]\.\.|(?:^|[/\\=\s])\.\.[/\\]|/etc/(?:passwd|shadow)\b|/proc/self\b|\bwin\.ini\b|\bfile://", re.ASCII
    ),
    "command": re.compile(
        r"\$\([a-z/]|\$\{jndi:|`[a-z/]{2,40}[ `]"
        r"|(?:;|\||&&)\s{0,4}(?:cat|ls|id|whoami|rm|wget|curl|nc|bash|sh|powershell|cmd|python3?|perl)(?:\s{1,4}[-/\w]|\s{0,4}$)",
        re.ASCII,
    ),
}


def suspicions(text: str) -> frozenset[Suspicion]:
    """Return the kinds of attack that a text looks like. Costs a few passes over its beginning."""
    lowered = text[:_LOOKED_AT_MAX].lower()
    return frozenset(
        kind
        for kind, hints in _HINTS.items()
        if any(hint in lowered for hint in hints) and _PATTERNS[kind].search(lowered)
    )


def suspicions_of_address(path: str, query: str) -> frozenset[Suspicion]:
    """Return the same for a path and a query string, decoded twice: once as we do, once as a careless proxy might."""
    asked = f"{path}?{query}"[:_DECODED_MAX]
    if _HARMLESS.fullmatch(asked):
        return frozenset()
    once = unquote_plus(asked)
    return suspicions(once if "%" not in once else f"{once}\n{unquote_plus(once)}")


def suspicions_of_json(value: Any) -> frozenset[Suspicion]:
    """Return the same for the texts and the names in a JSON value of bounded depth."""
    return suspicions("\n".join(_texts(value)))


def _texts(value: Any) -> Iterator[str]:
    for level in levels(value, items_max=_TEXTS_MAX):
        yield from (item for item in level if type(item) is str)
        yield from _names(level)


def _names(level: Iterable[Any]) -> Iterator[str]:
    return (name for item in level if type(item) is dict for name in item)
