"""What a refusal says, in words for the customer whom it is about: pages and letters speak to him, the API of him. Pure."""

import re
from datetime import datetime
from typing import Final

from bursar.apps.booking.schedule import times

_YOURS: Final = (
    ("the customer's", "your"),
    ("of the customer", "of yours"),
    ("the customer has", "you have"),
    ("the customer will", "you will"),
    ("the customer is", "you are"),
    ("the customer", "you"),
    ("the account", "your account"),
)
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?[+-]\d\d:\d\d)\[([A-Za-z0-9_+/-]{1,64})\]")
_FOR_PROGRAMS: Final = re.compile(r"/v1/|`|GET |POST ")


def for_customer(message: str, hint: str) -> tuple[str, str]:
    """Return what happened and what to do, in whole sentences. What to do is empty where it is for programs."""
    return _said(message), "" if not hint or _FOR_PROGRAMS.search(hint) else _said(hint)


def _said(text: str) -> str:
    for theirs, yours in _YOURS:
        text = text.replace(theirs, yours)
    text = _INSTANT.sub(lambda found: times.told(datetime.fromisoformat(found[1]), found[2]), text).strip()
    whole = text[:1].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."
