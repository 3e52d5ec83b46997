"""ISO 8601 durations as grants use them: `P3M`, `P1Y`, `P30D`, `PT12H`. Calendar parts are added in UTC."""

import re
from datetime import datetime

from dateutil.relativedelta import relativedelta

_YEARS_MAX = 100
_FORM = re.compile(
    r"P(?=.)(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,4})W)?(?:([0-9]{1,5})D)?(?:T(?=.)(?:([0-9]{1,5})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,7})S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> relativedelta:
    """Return the duration. Raises ValueError when it is not ISO 8601, is zero, or is longer than a century."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as P3M or P30D")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if not any((years, months, weeks, days, hours, minutes, seconds)):
        raise ValueError(f"{text!r} is no time at all")
    if years + months // 12 + (weeks * 7 + days) // 365 + hours // 8760 > _YEARS_MAX:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return relativedelta(
        years=years, months=months, days=weeks * 7 + days, hours=hours, minutes=minutes, seconds=seconds
    )


def after(start: datetime, text: str | None) -> datetime | None:
    """Return the instant a duration after `start`; None for no duration."""
    return start + parse_duration(text) if text else None
