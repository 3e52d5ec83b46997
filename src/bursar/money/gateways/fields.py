"""Fields: take values out of JSON whose shape nobody promised us.

Two kinds of reader. What a decision needs is read strictly and raises FieldMissing with its path;
what a screen shows is read tolerantly and becomes None. Text is made fit to store: PostgreSQL refuses
NUL and lone surrogates, and nobody wants control characters or bidirectional overrides in a log.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

from bursar.kernel.amounts import MINOR_MAX
from bursar.money.gateways.facts import Claim
from bursar.money.gateways.port import ID_LENGTH_MAX, FieldMissing

Json = dict[str, Any]

TEXT_LENGTH_MAX: Final = 255
QUANTITY_MAX: Final = 2**31 - 1
INSTANT_END: Final = 253_402_300_800
"""First second after the year 9999: the end of what a datetime holds."""

_INSTANT_LENGTH_MAX: Final = 40

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]+")
_CURRENCY = re.compile("[A-Za-z]{3}")
_NOTHING: Final[Json] = {}
_NO_CLAIM: Final = Claim()


def is_name(value: object) -> bool:
    """Tell whether a value can name an event or an object: printable text of 1 to 255 characters."""
    return isinstance(value, str) and 0 < len(value) <= ID_LENGTH_MAX and value.isprintable()


def child(parent: Json, key: str) -> Json:
    """Return a nested object, or an empty one where there is none."""
    value = parent.get(key)
    return value if isinstance(value, dict) else _NOTHING


def children(parent: Json, key: str) -> list[Json]:
    """Return the objects of a list, bare or in a gateway's envelope `{"data": […]}`."""
    value = parent.get(key)
    if isinstance(value, dict):
        value = value.get("data")
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def is_cut(parent: Json, key: str) -> bool:
    """Tell whether a list envelope says that it holds only the first part."""
    return child(parent, key).get("has_more") is True


def ref_of(value: object) -> str | None:
    """Return the id that a reference names, given bare or as the whole object (expanded)."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and is_name(value) else None


def ref(parent: Json, key: str, at: str) -> str:
    """Return an id that must be there. Raises FieldMissing."""
    found = ref_of(parent.get(key))
    if found is None:
        raise FieldMissing(f"{at}.{key}", "an id of 1 to 255 printable characters")
    return found


def text(value: object) -> str | None:
    """Return text fit to store and show, cut at 255 characters; None where there is none."""
    if not isinstance(value, str):
        return None
    if not value.isprintable():
        value = _UNFIT.sub("", value)
    return value[:TEXT_LENGTH_MAX] or None


def word(parent: Json, key: str) -> str:
    """Return text to look up in a table of words; empty where there is none, so that a hostile value names nothing."""
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def email(value: object) -> str | None:
    """Return an address, or None: a cut address would be somebody else's."""
    return None if isinstance(value, str) and len(value) > TEXT_LENGTH_MAX else text(value)


def whole(parent: Json, key: str, at: str) -> int | None:
    """Return a whole number that survives every JSON parser, or None where it is absent. Raises FieldMissing."""
    value = parent.get(key)
    if value is None:
        return None
    if type(value) is not int or not -MINOR_MAX <= value <= MINOR_MAX:
        raise FieldMissing(f"{at}.{key}", "a whole number")
    return value


def amount(parent: Json, key: str, at: str) -> int:
    """Return ISO minor units that must be there and not negative. Raises FieldMissing."""
    value = whole(parent, key, at)
    if value is None or value < 0:
        raise FieldMissing(f"{at}.{key}", "a whole number of minor units, not negative")
    return value


def quantity(parent: Json, key: str, at: str) -> int:
    """Return how many; 1 where it is not said. Raises FieldMissing."""
    value = whole(parent, key, at)
    if value is None:
        return 1
    if not 0 <= value <= QUANTITY_MAX:
        raise FieldMissing(f"{at}.{key}", "a quantity")
    return value


def currency(parent: Json, key: str, at: str) -> str:
    """Return an upper-case ISO 4217 code. Raises FieldMissing."""
    value = parent.get(key)
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise FieldMissing(f"{at}.{key}", "a three-letter currency code")
    return value.upper()


def instant(value: object) -> datetime | None:
    """Return the instant of Unix seconds, or None where there is no such instant."""
    if type(value) is not int or not 0 <= value < INSTANT_END:
        return None
    return datetime.fromtimestamp(value, UTC)


def instant_of_text(value: object) -> datetime | None:
    """Return the instant of an ISO 8601 text (UTC where it names no zone), or None where there is no such instant."""
    if not isinstance(value, str) or len(value) > _INSTANT_LENGTH_MAX:
        return None
    try:
        told = datetime.fromisoformat(value)
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def period(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return both ends of a period, or neither: one that ends before it starts is no period."""
    return (start, end) if start is not None and end is not None and start <= end else (None, None)


def is_true(parent: Json, key: str) -> bool:
    return parent.get(key) is True


def said(params: Json) -> Json:
    """Return parameters without those that say nothing."""
    return {name: value for name, value in params.items() if value is not None}


def claim_of(metadata: object, *, reference: object = None) -> Claim:
    """Return what an object says was bought: `bursar_…` metadata, and a reference that is one of our order ids."""
    order = text(reference) if isinstance(reference, str) and reference.startswith("ord_") else None
    if not isinstance(metadata, dict) or not metadata:
        return Claim(order=order) if order else _NO_CLAIM
    order = order or _label(metadata.get("bursar_order"))
    price, count = _label(metadata.get("bursar_price")), _label(metadata.get("bursar_quantity"))
    return Claim(order=order, price=price, quantity=count) if order or price or count else _NO_CLAIM


def own_refund(metadata: object) -> str | None:
    """Return Bursar's id of a refund that its metadata names; None where it names none that could be one."""
    return _own(metadata, "bursar_refund", "re_")


def own_payment(metadata: object) -> str | None:
    """Return Bursar's id of a payment that its metadata names; None where it names none that could be one."""
    return _own(metadata, "bursar_payment", "pay_")


def _own(metadata: object, name: str, prefix: str) -> str | None:
    told = metadata.get(name) if isinstance(metadata, dict) else None
    return told if isinstance(told, str) and told.startswith(prefix) and is_name(told) else None


def _label(value: object) -> str | None:
    return str(value) if type(value) is int and abs(value) <= MINOR_MAX else text(value)
