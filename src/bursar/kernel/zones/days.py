"""Days of a zone as instants. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from bursar.kernel.errors import FieldError, Invalid

DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 366
FIRST_DAY: Final = date(2000, 1, 1)
"""Since then every zone's day begins on a quarter of an hour of UTC, which sums by the quarter rely on."""

LAST_DAY: Final = date(2999, 12, 31)
_DAY: Final = timedelta(days=1)


class PeriodInvalid(Invalid):
    """The days asked for are none, too many, or of another age."""

    code = "period_invalid"


@dataclass(frozen=True, slots=True)
class Days:
    """Days that follow one another. bounds: where each begins, in UTC, and where the last one ends: one more than days."""

    zone: ZoneInfo
    days: tuple[date, ...]
    bounds: tuple[datetime, ...]

    @property
    def first(self) -> date:
        return self.days[0]

    @property
    def last(self) -> date:
        return self.days[-1]

    @property
    def starts_at(self) -> datetime:
        return self.bounds[0]

    @property
    def ends_at(self) -> datetime:
        return self.bounds[-1]


def days_of(zone: ZoneInfo, first: date, last: date) -> Days:
    """Return the days from the first to the last, both included. Raises PeriodInvalid."""
    count = (last - first).days + 1
    if count < 1:
        raise _invalid("first_day", "the first day is after the last one", "Give the earlier day first.")
    if count > DAYS_MAX:
        raise _invalid("last_day", f"these are {count} days", f"Ask for {DAYS_MAX} days at most.")
    if first < FIRST_DAY or last > LAST_DAY:
        raise _invalid("first_day", f"days lie between {FIRST_DAY} and {LAST_DAY}", "Ask for other days.")
    days = tuple(first + timedelta(days=n) for n in range(count))
    return Days(zone, days, tuple(_begin(day, zone) for day in (*days, last + timedelta(days=1))))


def recent_days(zone: ZoneInfo, *, first: date | None, last: date | None, now: datetime) -> Days:
    """Return the days asked for; without a last one up to today, without a first one thirty. Raises PeriodInvalid."""
    last = last or local_day(now, zone)
    return days_of(zone, first or date.fromordinal(max(last.toordinal() - DAYS_DEFAULT + 1, 1)), last)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """Return the date that an instant has in a zone."""
    return at.astimezone(zone).date()


def day_end(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the day of an instant ends in a zone: the first of the next one."""
    return _begin(local_day(at, zone) + timedelta(days=1), zone)


def earliest_of(day: date) -> datetime:
    """Return an instant before which this date has begun nowhere on earth: what bounds a search by local date in an index of instants."""
    return _midnight(max(day, date.min + _DAY)) - _DAY


def latest_of(day: date) -> datetime:
    """Return an instant by which this date is over everywhere on earth."""
    return _midnight(min(day, date.max - 2 * _DAY)) + 2 * _DAY


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a day.

    Where midnight comes twice it is the earlier one; where clocks jump over it, the jump, which a zone does at midnight.
    """
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _invalid(field: str, message: str, hint: str) -> PeriodInvalid:
    return PeriodInvalid(message, hint=hint, fields=(FieldError(field, "period_invalid", message),))
