"""On which days a rule falls. RFC 5545 by dateutil, of local days alone, and never endless. Pure.

A rule names days; the time of day is the template's. So nothing recurs more often than daily, and parts that name hours,
minutes or seconds are refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import takewhile
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from dateutil import rrule

from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.zones import local_day

TEXT_MAX: Final = 500
COUNT_MAX: Final = 1000
_INTERVAL_MAX: Final = 366
_VALUES_MAX: Final = 31

# The calendar repeats itself every 400 years, to the weekday. dateutil walks to the year 9999 in search of a day that
# never comes (30 February), for many seconds; begun so much nearer to that end, it gives up in a tenth of one.
_CYCLE_YEARS: Final = 400
_LAST_YEAR: Final = 9999

_FREQUENCIES: Final[dict[str, Literal[0, 1, 2, 3]]] = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
    "YEARLY": rrule.YEARLY,
}
_DAYS: Final = {
    "MO": rrule.MO,
    "TU": rrule.TU,
    "WE": rrule.WE,
    "TH": rrule.TH,
    "FR": rrule.FR,
    "SA": rrule.SA,
    "SU": rrule.SU,
}
# RFC 5545, section 3.3.10: which parts a frequency takes.
_PARTS: Final = {
    "DAILY": {"BYMONTH", "BYDAY"},
    "WEEKLY": {"BYMONTH", "BYDAY"},
    "MONTHLY": {"BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS"},
    "YEARLY": {"BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "BYWEEKNO", "BYYEARDAY"},
}
_NUMBERS: Final = {
    "BYMONTH": ("bymonth", 1, 12),
    "BYMONTHDAY": ("bymonthday", -31, 31),
    "BYSETPOS": ("bysetpos", -366, 366),
    "BYWEEKNO": ("byweekno", -53, 53),
    "BYYEARDAY": ("byyearday", -366, 366),
}
_ORDINAL_MAX: Final = {"MONTHLY": 5, "YEARLY": 53}


class RecurrenceInvalid(Invalid):
    """The rule is not one of RFC 5545 that classes can follow."""

    code = "recurrence_invalid"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read. count: how many days at most; until: the last one, both None without an end."""

    text: str
    parts: tuple[tuple[str, str], ...]
    frequency: str
    count: int | None
    until: date | None
    given: tuple[tuple[str, Any], ...]

    def days(self, first: date, last: date) -> Iterator[date]:
        """Return the days on which it falls from the first, where it begins, to the last, both included."""
        if self.until:
            last = min(last, self.until)
        if last < first:
            return iter(())
        years = (_LAST_YEAR - last.year) // _CYCLE_YEARS * _CYCLE_YEARS
        begin, end = (datetime.combine(_moved(day, years), time()) for day in (first, last))
        walked = rrule.rrule(
            _FREQUENCIES[self.frequency], dtstart=begin, count=self.count, cache=False, **dict(self.given)
        )
        return (_moved(at.date(), -years) for at in takewhile(lambda at: at <= end, walked))

    def text_with(self, count: int) -> str:
        """Return the rule with another count."""
        return ";".join(f"{name}={count if name == 'COUNT' else value}" for name, value in self.parts)


def rule_of(text: str, zone: ZoneInfo) -> Rule:
    """Return the rule that a text states. zone: in which an UNTIL that is an instant is a day. Raises RecurrenceInvalid."""
    parts = _split(text)
    frequency = parts.get("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise _invalid(f"FREQ is one of {', '.join(_FREQUENCIES)}", "A class takes place once a day at most.")
    if strange := parts.keys() - {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"} - _PARTS[frequency]:
        raise _invalid(
            f"a rule that is {frequency} takes no {min(strange)[:20]}",
            f"It takes {', '.join(sorted(_PARTS[frequency]))}. The time of day is `local_start`.",
        )
    if "COUNT" in parts and "UNTIL" in parts:
        raise _invalid("COUNT and UNTIL exclude one another", "Leave one of them out.")
    given: dict[str, Any] = (
        {"interval": _whole("INTERVAL", parts["INTERVAL"], 1, _INTERVAL_MAX)} if "INTERVAL" in parts else {}
    )
    if "WKST" in parts:
        given["wkst"] = _weekday(parts["WKST"], ordinal_max=0)
    if "BYDAY" in parts:
        given["byweekday"] = _each(
            "BYDAY", parts["BYDAY"], lambda v: _weekday(v, ordinal_max=_ORDINAL_MAX.get(frequency, 0))
        )
    for name in parts.keys() & _NUMBERS.keys():
        keyword, least, most = _NUMBERS[name]
        given[keyword] = _each(name, parts[name], _number_of(name, least, most))
    count = _whole("COUNT", parts["COUNT"], 1, COUNT_MAX) if "COUNT" in parts else None
    until = _until(parts["UNTIL"], zone) if "UNTIL" in parts else None
    return Rule(text, tuple(parts.items()), frequency, count, until, tuple(sorted(given.items())))


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    if len(text) > TEXT_MAX or not text.isascii():
        raise _invalid(
            f"a rule has at most {TEXT_MAX} characters of ASCII", "Write it as RFC 5545 does: FREQ=WEEKLY;BYDAY=MO,WE."
        )
    for part in text.upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts:
            raise _invalid(
                "a rule is NAME=VALUE;NAME=VALUE, each name once", "Write it as RFC 5545 does: FREQ=WEEKLY;BYDAY=MO,WE."
            )
        parts[name] = value
    return parts


def _each(name: str, text: str, read: Callable[[str], Any]) -> tuple[Any, ...]:
    values = text.split(",")
    if len(values) > _VALUES_MAX:
        raise _invalid(f"{name} has {len(values)} values", f"It may have {_VALUES_MAX}.")
    return tuple(read(value) for value in values)


def _number_of(name: str, least: int, most: int) -> Callable[[str], int]:
    return lambda text: _whole(name, text, least, most)


def _whole(name: str, text: str, least: int, most: int) -> int:
    digits = text.removeprefix("-").removeprefix("+")
    # At most four digits: int() of a long text takes its time.
    number = int(text) if digits.isdigit() and len(digits) <= 4 and len(text) - len(digits) <= 1 else None  # noqa: PLR2004
    if number is None or not least <= number <= most or (number == 0 and least < 0):
        raise _invalid(f"{name} lies between {least} and {most}", "Correct the number.")
    return number


def _weekday(text: str, *, ordinal_max: int) -> Any:
    day, ordinal = _DAYS.get(text[-2:]), text[:-2]
    if day is None or (ordinal and not ordinal_max):
        raise _invalid(
            f"{text[:10]} is no day here",
            "Days are MO, TU, WE, TH, FR, SA, SU; 1MO or -1FR only in MONTHLY and YEARLY rules.",
        )
    return day(_whole("BYDAY", ordinal, -ordinal_max, ordinal_max)) if ordinal else day


def _until(text: str, zone: ZoneInfo) -> date:
    for form in ("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ"):
        try:
            at = datetime.strptime(text, form)  # noqa: DTZ007 - given its zone below, or it is a day
            return local_day(at.replace(tzinfo=UTC), zone) if form.endswith("Z") else at.date()
        except (ValueError, OverflowError):
            continue
    raise _invalid("UNTIL is a day", "Write it so: UNTIL=20261231.")


def _moved(day: date, years: int) -> date:
    return day.replace(year=day.year + years)


def _invalid(message: str, hint: str) -> RecurrenceInvalid:
    return RecurrenceInvalid(message, hint=hint, fields=(FieldError("rrule", "recurrence_invalid", message),))
