"""What is on: the timetable of a business, and one of its classes. Nobody signs in to look."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import public
from bursar.kernel.errors import Invalid
from bursar.kernel.zones import local_day
from bursar.web.pages.booking.front import opened
from bursar.web.pages.reads.offerings import has_offerings
from bursar.web.pages.reads.timetable import Day, next_day, places, timetable
from bursar.web.pages.routing import PageRoute

DAYS_SHOWN: Final = 7
AHEAD_MAX: Final = timedelta(days=366)

router = APIRouter(route_class=PageRoute)


class DayUnknown(Invalid):
    """There is no such day in the timetable."""

    code = "day_unknown"
    status = 400


@dataclass(frozen=True, slots=True)
class DayMark:
    """A day of the strip. classes: how many."""

    date: date
    classes: int


@dataclass(frozen=True, slots=True)
class Week:
    """The days that are shown. earlier, later: where the others begin; None: there are none to go to."""

    first: date
    today: date
    days: tuple[DayMark, ...]

    @property
    def earlier(self) -> date | None:
        return max(self.first - timedelta(days=DAYS_SHOWN), self.today) if self.first > self.today else None

    @property
    def later(self) -> date | None:
        found = self.first + timedelta(days=DAYS_SHOWN)
        return found if found - self.today <= AHEAD_MAX else None

    def at(self, day: date, venue: str | None) -> str:
        """Return the query of the days that begin there."""
        given = {"from": day.isoformat() if day != self.today else None, "venue": venue}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"?{query}" if query else ""

    def link(self, venue: str | None) -> str:
        """Return the query of these days at another venue."""
        return self.at(self.first, venue)


@router.get("/b/{business}")
@public
async def schedule(request: Request, business: str, venue: str | None = None) -> Response:
    """Show the classes of a week, by day."""
    asked = request.query_params.get("from")
    venue_id = ids.parse(ids.VENUE, venue) if venue else None
    async with opened(request, business) as (front, tx):
        tenant_id, now = front.tenant_id, front.now
        today = local_day(now, front.shop.zone)
        first = _day(asked, today)
        days = await timetable(
            tx,
            tenant_id=tenant_id,
            since=first - timedelta(days=first == today),  # somewhere it may be yesterday still
            until=first + timedelta(days=DAYS_SHOWN),
            venue_id=venue_id,
            now=now,
        )
        after = None if days else await next_day(tx, tenant_id=tenant_id, after=now, venue_id=venue_id)
        return front.answer(
            "timetable.html",
            days=days,
            week=Week(first, today, _strip(first, days)),
            today=today,
            places=await places(tx, tenant_id=tenant_id),
            venue=venue,
            next=after,
            has_services=await has_offerings(tx, tenant_id=tenant_id),
        )


def _strip(first: date, days: tuple[Day, ...]) -> tuple[DayMark, ...]:
    counts = {day.date: len(day.classes) for day in days}
    dates = [first + timedelta(days=n) for n in range(DAYS_SHOWN)]
    return tuple(DayMark(day, counts.get(day, 0)) for day in sorted({*counts, *dates}))


def _day(text: str | None, today: date) -> date:
    """Return where the shown days begin: not before today, and within a year. Raises DayUnknown."""
    if text is None:
        return today
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-01-31") else None
    except ValueError:
        day = None
    if day is None or day - today > AHEAD_MAX:
        raise DayUnknown("There is no such day in the timetable.", hint="A day is written as 2026-01-31.")
    return max(day, today)
