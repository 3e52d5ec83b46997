"""Text from outside, made fit to be looked at: what cannot be seen is shown, what is too long is cut.

Escaping is the templates' business (autoescape); this is about text that deceives the eye instead of the browser.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bursar.kernel.errors import DomainError

CLIPPED_AT = 200

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_INVISIBLE = (0x00AD, 0x200B, 0x2060, 0x2028, 0x2029, 0xFEFF)
_SHOWN: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "�"),
    **dict.fromkeys(range(0xD800, 0xE000), "�"),
    **{code: f"‹U+{code:04X}›" for code in (*_BIDI, *_INVISIBLE)},
}

_MINUTE, _HOUR, _DAY, _MONTH = 60, 3_600, 86_400, 30 * 86_400
_NOW_S = 3


def visible(text: object) -> str:
    """Return text whose control characters and writing-direction overrides can be seen."""
    return str(text).translate(_SHOWN)


def printable(text: str) -> str:
    """Return what a person typed as it can be kept and looked for: without what cannot be seen, and trimmed."""
    return "".join(c for c in text if c.isprintable()).strip()


def sentences(refusal: DomainError) -> str:
    """Return a refusal as people read it: what happened, and what to do."""
    said = f"{refusal.message[:1].upper()}{refusal.message[1:]}."
    return f"{said} {refusal.hint}" if refusal.hint else said


def clipped(text: object, length: int = CLIPPED_AT) -> str:
    """Return at most `length` characters of a text, with an ellipsis where it was cut."""
    whole = str(text)
    return visible(whole if len(whole) <= length else whole[: length - 1] + "…")


def relative(at: datetime, now: datetime) -> str:
    """Return how long ago (or ahead) an instant is; static/pages.js says the same as time goes by."""
    seconds = (now - at).total_seconds()
    if abs(seconds) < _NOW_S:
        return "now"
    if abs(seconds) >= _MONTH:
        return f"{at.astimezone(UTC):%d %b %Y}".lstrip("0")
    amount = duration(timedelta(seconds=abs(seconds)))
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def duration(span: timedelta) -> str:
    """Return a length of time in its largest whole unit: `320 ms`, `32 s`, `4 min`, `3 h`, `2 d`."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < _NOW_S else f"{seconds:.0f} s"
    for unit, length in (("d", _DAY), ("h", _HOUR)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // _MINUTE)} min"


def local(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant to the minute in a zone, with the zone's own short name."""
    return f"{at.astimezone(zone):%d %b %Y, %H:%M %Z}".lstrip("0")


def exact(at: datetime) -> str:
    """Return an instant to the second, with its zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
