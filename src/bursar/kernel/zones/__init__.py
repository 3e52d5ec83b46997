"""The zone of a business: in which zone its days begin, and which instants a day of it is.

What it is not: a clock. Everything is stored in UTC; a zone only says where a day is cut.

Invariants:
- a day is half-open, begins where its date begins in the zone, and is 23, 24 or 25 hours long, or whatever the zone made of it;
- days follow one another without a gap: each ends where the next begins;
- a zone that is changed changes no figure that was recorded, only how days are cut from then on, those before included.
"""

from bursar.kernel.zones.days import (
    DAYS_MAX,
    FIRST_DAY,
    Days,
    PeriodInvalid,
    day_end,
    days_of,
    earliest_of,
    latest_of,
    local_day,
    recent_days,
)
from bursar.kernel.zones.own import TimeZoneUnknown, set_time_zone, time_zone_of, zone_named, zone_names

__all__ = [
    "DAYS_MAX",
    "FIRST_DAY",
    "Days",
    "PeriodInvalid",
    "TimeZoneUnknown",
    "day_end",
    "days_of",
    "earliest_of",
    "latest_of",
    "local_day",
    "recent_days",
    "set_time_zone",
    "time_zone_of",
    "zone_named",
    "zone_names",
]
