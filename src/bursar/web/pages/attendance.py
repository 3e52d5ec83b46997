"""Reports of the studio: how full classes were and who came, and what is owed in credits."""

from datetime import date, timedelta
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.apps.booking import live
from bursar.apps.booking.live.api import SOON
from bursar.kernel.amounts import Money
from bursar.kernel.auth import needs
from bursar.web.pages.drawing import Bar, Chart, Part, bar_chart
from bursar.web.pages.reports import DayText, days_asked
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting

_WORDS: Final = {"day": "day", "title": "class", "staff": "instructor", "venue": "venue"}

_CHART_WIDTH: Final = 720
_CHART_HEIGHT: Final = 96

router = APIRouter(route_class=PageRoute)


@router.get("/reports/attendance")
@needs("bookings:read")
async def attendance_page(
    visit: Visiting, first_day: DayText = "", last_day: DayText = "", by: Annotated[live.Grouping, Query()] = "day"
) -> Response:
    """Show how full classes were, and who came."""
    async with visit.open() as page:
        days = await days_asked(page.tx, visit, first_day, last_day)
        found = await live.attendance(page.tx, tenant_id=visit.tenant_id, days=days, by=by, venue_id=None)
        return page.answer(
            "attendance.html",
            report=found,
            chart=_chart(found) if by == "day" else None,
            groupings=[(each, _WORDS[each]) for each in get_args(live.Grouping)],
            by=by,
            by_word=_WORDS[by],
            asked={"first_day": days.first.isoformat(), "last_day": days.last.isoformat()},
        )


@router.get("/reports/credits")
@needs("credits:read")
async def credits_page(visit: Visiting) -> Response:
    """Show what is owed in credits."""
    async with visit.open() as page:
        found = await live.credit_liability(page.tx, tenant_id=visit.tenant_id, at=visit.now, soon=visit.now + SOON)
        rows = [
            (row, None if row.value_minor is None or row.currency is None else Money(row.value_minor, row.currency))
            for row in found.rows
        ]
        return page.answer("credits_owed.html", rows=rows, soon_days=SOON.days, asked={})


def _chart(report: live.Attendance) -> Chart:
    """Return seats by day: who came, of whom it is not said, who missed."""
    found = {row.key: row for row in report.rows}
    days = [report.first + timedelta(days=n) for n in range((report.last - report.first).days + 1)]
    bars = [_bar(day, found.get(day.isoformat())) for day in days]
    label = f"Seats given out by day, {report.first} to {report.last}: {report.total.booked} in all"
    return bar_chart(bars, width=_CHART_WIDTH, height=_CHART_HEIGHT, label=label)


def _bar(day: date, row: live.AttendanceRow | None) -> Bar:
    if row is None:
        return Bar((), f"{day}: no class")
    parts = (Part(row.attended, "applied"), Part(row.open, "received"), Part(row.missed, "dead"))
    return Bar(parts, f"{day}: {row.booked} of {row.capacity} seats, {row.attended} came")
