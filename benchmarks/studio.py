"""A studio's lists over HTTP among two million bookings, a hundred thousand of them its own: as the desk, the customer and the owner ask."""

import asyncio
import http.client
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from benchmarks.figures import Budget, Result, Scale, percentile
from benchmarks.ground import Ground, Process, ground
from benchmarks.studio_rows import LAY_ASIDE, TAKE_UP, statements
from bursar.kernel import ids, tenancy
from bursar.kernel.listing import cursor

PROMISE = "lists of a business with 100,000 bookings keep to a tenth of what is asked for, at p99, and no page costs more than the first"
BUDGETS = (
    Budget("newest_p99_ms", at_most=20.0),
    Budget("customer_p99_ms", at_most=20.0),
    Budget("status_of_a_day_p99_ms", at_most=20.0),
    Budget("day_p99_ms", at_most=25.0),
    Budget("attendance_month_p99_ms", at_most=50.0),
    Budget("page_2000_ratio", at_most=1.2),
)
NOTES = (
    "GET /v1/bookings?limit=50 …, /v1/day, /v1/classes, /v1/booking-reports/attendance on one connection, in turn",
    "page_2000_ratio: medians, page 2,000 to page 1 of all bookings of the business, asked in turn",
    "bookings: in the whole table; the business that is asked has 102,200 of them",
)
BUSINESSES: Final = 20
TIMES: Final = 300
PAGE: Final = 50
DAY: Final = "2026-10-14"
MONTH: Final = ("2026-09-15", "2026-10-14")


def measure(scale: Scale) -> Result:
    """Fill the tables, then ask."""
    times, others, classes = (10, 1, 300) if scale.quick else (TIMES, BUSINESSES - 1, 7_300)
    runs = []
    with ground() as here:
        size = {"classes": classes, "first": "2026-09-20" if scale.quick else "2025-01-01"}
        here.admin(LAY_ASIDE)
        for tenant_id in (here.tenant_id, *asyncio.run(_neighbours(here, others))):
            here.admin(statements(tenant_id=tenant_id, account_id=here.account_id, **size))  # type: ignore[arg-type]
        here.admin(TAKE_UP, "vacuum analyze", "checkpoint")
        total = float(here.program("psql", "-qXtAc", "select count(*) from booking"))
        with here.api(BURSAR_RATE_KEY_GENERAL="10000000") as api:
            _timed(here, api, ["/v1/bookings?limit=50"] * 20)
            runs = [_once(here, api, times) | {"bookings": total} for _ in range(scale.runs)]
    return Result("studio", PROMISE, BUDGETS, tuple(runs), NOTES)


async def _neighbours(here: Ground, count: int) -> list[UUID]:
    async with here.database() as db:
        return [(await tenancy.create_tenant(db, name=f"Neighbour {n}"))[0] for n in range(count)]


def _once(here: Ground, api: Process, times: int) -> dict[str, float]:
    busy = here.ask("select customer_id from booking group by customer_id order by count(*) desc, customer_id limit 1")
    customer = ids.show(ids.CUSTOMER, busy)
    whole = int(here.ask("select count(*) from booking"))
    at = min(2000, whole // PAGE - 1)
    after = here.ask(f"select id from booking order by id desc offset {(at - 1) * PAGE - 1} limit 1")
    figures: dict[str, float] = {}
    for name, path in {
        "newest": f"/v1/bookings?limit={PAGE}",
        "customer": f"/v1/bookings?limit={PAGE}&customer={customer}",
        "customer_status": f"/v1/bookings?limit={PAGE}&customer={customer}&status=attended",
        "status_of_a_day": f"/v1/bookings?limit={PAGE}&status=attended&since={DAY}&until=2026-10-15",
        "rare_status": f"/v1/bookings?limit={PAGE}&status=requested",
        "classes": f"/v1/classes?limit={PAGE}&since={DAY}",
        "day": f"/v1/day?date={DAY}",
        "attendance_month": f"/v1/booking-reports/attendance?first_day={MONTH[0]}&last_day={MONTH[1]}",
        "attendance_year": "/v1/booking-reports/attendance?first_day=2025-10-15&last_day=2026-10-14&by=title",
    }.items():
        took = sorted(_timed(here, api, [path] * (times // 10 if name == "attendance_year" else times)))
        figures |= {f"{name}_p50_ms": percentile(took, 50), f"{name}_p99_ms": percentile(took, 99)}
    first = f"/v1/bookings?limit={PAGE}"
    took = _timed(here, api, [first, f"{first}&cursor={cursor(after)}"] * times)
    return figures | {"page_2000_ratio": percentile(sorted(took[1::2]), 50) / percentile(sorted(took[::2]), 50)}


def _timed(here: Ground, api: Process, paths: Sequence[str]) -> list[float]:
    """Return how long each answer took, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
    took = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path, headers={"authorization": f"Bearer {here.api_key}"})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, body
    return took
