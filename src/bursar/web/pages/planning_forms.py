"""Forms of the schedule: what somebody typed, as the API would have been sent it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from bursar.kernel.errors import Invalid
from bursar.web.pages.texts import printable

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKDAYS: Final = {
    "MO": "Mon",
    "TU": "Tue",
    "WE": "Wed",
    "TH": "Thu",
    "FR": "Fri",
    "SA": "Sat",
    "SU": "Sun",
}
_DAY_FIELD: Final = "day "
_WHOLE: Final = frozenset(
    {"duration_min", "capacity", "credit_cost", "deposit_percent", "weeks_ahead", "tax_bp"}
    | {"before_min", "after_min", "slot_min", "lead_min", "horizon_days", "weekday"}
)
_CHOSEN: Final = frozenset({"room", "staff", "policy", "price", "deposit_percent", "ends_on", "rrule"})
"""Left empty they are nothing, instead of what they were."""
_EMPTIED: Final = frozenset({"about", "address", "category"})
"""Left empty they are empty texts."""
_ASKED: Final = "asks"
"""Stands in a form that says what is asked of who comes: what it leaves out is not asked any more."""
_DIGITS_MAX: Final = 9
_WEEKLY: Final = re.compile(
    r"FREQ=WEEKLY(?:;INTERVAL=(\d{1,2}))?;BYDAY=((?:MO|TU|WE|TH|FR|SA|SU)(?:,(?:MO|TU|WE|TH|FR|SA|SU))*)"
)

_WORDS: Final = {
    "venue": "Choose a venue.",
    "room": "Choose a room of the list, or none.",
    "staff": "Choose an instructor of the list, or none.",
    "policy": "Choose a policy of the list, or the default one.",
    "price": "Choose a price of the list, or none.",
    "user": "Choose a user of the list, or none.",
    "name": "The name has 1 to 120 characters.",
    "title": "The title has 1 to 120 characters.",
    "about": "The description has at most 2000 characters.",
    "address": "The address has at most 500 characters.",
    "category": "The category is one word of small letters, digits, - and _.",
    "duration_min": "A class lasts from 1 to 1440 minutes.",
    "tax_bp": "The tax is a whole number from 0 to 10000, in hundredths of a per cent.",
    "capacity": "The seats are a whole number from 1 to 100000.",
    "credit_cost": "The credits are a whole number from 0 to 1000.",
    "deposit_percent": "The deposit is a whole number from 1 to 99, or empty.",
    "teaches": "What somebody teaches are categories, such as yoga, with commas between them.",
    "pools": "There are at most 10 pools of credits, with commas between them.",
    "rrule": "The rule is written as in RFC 5545: FREQ=WEEKLY;BYDAY=MO,WE.",
    "starts_on": "The first day is a date.",
    "ends_on": "The last day is a date.",
    "age_min": "The ages are whole numbers from 0 to 150, or empty.",
    "age_max": "The ages are whole numbers from 0 to 150, or empty.",
    "levels": "The levels are words with commas between them, 20 at most.",
    "genders": "The genders are words with commas between them, 20 at most.",
    "membership": "The feature has at most 100 characters.",
    "from_day": "The day is a date.",
    "local_date": "The day is a date.",
    "local_start": "The time is written like 09:00.",
    "time_zone": "The zone is a name like Europe/Berlin.",
}

Wanted = TypeVar("Wanted", bound=BaseModel)


class ScheduleFormInvalid(Invalid):
    """The form does not describe what it is to add or change."""

    code = "schedule_form_invalid"


@dataclass(frozen=True, slots=True)
class Repeats:
    """How a rule is shown in a form: as days of the week every so many weeks, or else as it is written."""

    days: tuple[str, ...] = ()
    every: int = 1
    rule: str = ""


def repeats_of(rrule: str | None) -> Repeats:
    """Return a rule as a form shows it."""
    found = _WEEKLY.fullmatch(rrule or "")
    if not found:
        return Repeats(rule=rrule or "")
    return Repeats(tuple(found[2].split(",")), int(found[1] or 1))


def rule_in(fields: Mapping[str, str]) -> str:
    """Return the rule that a form states; nothing for a class that does not recur."""
    if written := printable(fields.get("rule", "")):
        return written
    days = [day for day in WEEKDAYS if f"{_DAY_FIELD}{day}" in fields]
    every = printable(fields.get("every", "")) or "1"
    interval = f";INTERVAL={every[:4]}" if every != "1" else ""
    return f"FREQ=WEEKLY{interval};BYDAY={','.join(days)}" if days else ""


def wanted(form: type[Wanted], fields: Mapping[str, str], *, words: Mapping[str, str] = _WORDS) -> Wanted:
    """Return what a form wants. Raises ScheduleFormInvalid, which names the first field that is wrong, in these words."""
    names = [field.alias or name for name, field in form.model_fields.items()]
    given = {name: _value(name, fields[name]) for name in names if name in fields}
    if "is_published" in form.model_fields:
        given["is_published"] = fields.get("is_published") == "on"
    if "tax_included" in form.model_fields:
        given["tax_included"] = fields.get("tax_on_top") != "on"
    if "allows_overbooked" in form.model_fields:
        given["allows_overbooked"] = fields.get("allows_overbooked") == "on"
    if "requirements" in form.model_fields and _ASKED in fields:
        given["requirements"] = _asked_of_people(fields)
    kept = {name: value for name, value in given.items() if value != "" or name in _CHOSEN | _EMPTIED}
    try:
        return form.model_validate(kept)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        field = str(place[1] if place[0] == "requirements" and len(place) > 1 else place[0])
        told = words.get(field, f"{field} is not as it should be.")
        raise ScheduleFormInvalid(told, hint="Go back and correct it.") from error


def _asked_of_people(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return what is asked of who comes; what is left empty is not asked."""
    typed = {
        name: printable(fields.get(name, "")) for name in ("age_min", "age_max", "levels", "genders", "membership")
    }
    asked: dict[str, Any] = {name: text for name, text in typed.items() if text}
    for name in ("age_min", "age_max"):
        text = typed[name]
        if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
            asked[name] = int(text)
    for name in ("levels", "genders"):
        if words := [word.strip() for word in typed[name].split(",") if word.strip()]:
            asked[name] = words
    return asked | {name: True for name in ("first_timer", "intro") if fields.get(name) == "on"}


def _value(name: str, text: str) -> Any:
    if name in ("about", "address"):
        return "".join(c for c in text.replace("\r\n", "\n") if c.isprintable() or c == "\n").strip()
    typed = printable(text)
    if name in _CHOSEN and not typed:
        return None
    if name in _WHOLE and typed.isascii() and typed.isdigit() and len(typed) <= _DIGITS_MAX:
        return int(typed)
    if name in ("pools", "teaches"):
        return [pool.strip() for pool in typed.split(",") if pool.strip()]
    return typed
