"""Look-ups over HTTP at a filled business: one payment, a long history, the reports.

The density is that of ten million payments over three years, some ten thousand a day; one payment in ten is one
customer's, one in some thirty was returned.
"""

import asyncio
import http.client
import random
import time
from collections.abc import Sequence
from datetime import date, timedelta

from benchmarks.figures import Budget, Result, Scale, percentile
from benchmarks.ground import Ground, Process, ground
from bursar.kernel import ids
from bursar.kernel.listing import cursor
from bursar.money.reports import rebuild_tallies

PROMISE = "look-ups keep to a tenth of what is asked for, at p99: a payment 1 ms, a history 5 ms, the refunds of 30 days 10 ms"
BUDGETS = (
    Budget("sql_p99_ms", at_most=1.0),
    Budget("http_p99_ms", at_most=10.0),
    Budget("history_p99_ms", at_most=5.0),
    Budget("page_2000_ratio", at_most=1.2),
    Budget("refunds_30_days_p99_ms", at_most=10.0),
    Budget("daily_1_day_p99_ms", at_most=10.0),
)
NOTES = (
    "sql: the statement as psql's server executes it, planned anew; http: GET /v1/payments?gateway_ref=… on one connection",
    "history: GET /v1/customers/{customer}/payments of a customer who has a tenth of all payments; page_2000_ratio: medians, page 2,000 to page 1",
    "history_rare: the same with a state that he has never; refunds, daily: GET /v1/reports/…, ending with the last day that was filled",
    "read: the row of one payment by its id in a transaction of its own; version: nothing but the transaction: what a cache that asks first would cost",
)
LOOKUPS = 2000
REPORTS = 100
PER_DAY = 10_000
PAGE = 50

_LAST = date(2026, 11, 19)
_HEAVY = "md5('c0')::uuid"

# Rows as applying writes them: a purchase and a payment each; ids in the order of time, as ours are.
_FILL = """
set session_replication_role = replica;
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at)
  select '{tenant}', md5('c' || n)::uuid, '{account}', 'cus_' || n, now() from generate_series(0, 1000) n on conflict do nothing;
create temp table made as select n, md5('y' || n) as h, md5('p' || n)::uuid as purchase,
    md5('c' || case when n % 10 = 0 then 0 else n % 1000 + 1 end)::uuid as customer, 1000 + n % 9000 as minor,
    case when n % 7 = 0 then 'USD' else 'EUR' end as currency,
    case when n % 10 = 3 then 'failed' when n % 50 = 4 then 'canceled' else 'succeeded' end as status,
    (extract(epoch from timestamptz '2026-11-20') * 1000)::bigint - ({count} - n + 1) * 86400000::bigint / {per_day} as ms
  from generate_series({low}, {high}) n;
insert into purchase (tenant_id, id, gateway_account_id, customer_id, is_paid, paid_minor, currency, paid_at)
  select '{tenant}', purchase, '{account}', customer, true, minor, currency, to_timestamp(ms / 1000.0) from made;
insert into payment (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, customer_id, status, amount_minor, currency, created_at)
  select '{tenant}', (lpad(to_hex(ms), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid, '{account}',
    'pi_' || lpad(n::text, 12, '0'), purchase, customer, status, minor, currency, to_timestamp(ms / 1000.0) from made order by n;
insert into refund (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, payment_id, status, amount_minor, currency, reason, created_at)
  select '{tenant}', md5('r' || n)::uuid, '{account}', 're_' || n, purchase,
    (lpad(to_hex(ms), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid, 'succeeded', minor / 2, currency,
    (array['duplicate', 'fraudulent', 'requested_by_customer'])[n % 3 + 1], to_timestamp(ms / 1000.0)
  from made where n % 31 = 0 order by n;
"""
_PART = 500_000

_READ = "select id, status, amount_minor, currency, refunded_minor, updated_at from payment where tenant_id = $1 and id = $2"
_VERSION = "select 1"


def measure(scale: Scale) -> Result:
    """Fill the tables, then look up at random."""
    count = 10_000 if scale.quick else scale.payments
    lookups, reports = (100, 5) if scale.quick else (LOOKUPS, REPORTS)
    runs = []
    with ground() as here:
        fill(here, count)
        deep = _cursor_of_page(here, min(2000, count // 10 // PAGE - 1))
        with here.api() as api:
            for number in range(scale.runs):
                chosen = random.Random(number).sample(range(1, count + 1), lookups)
                figures = {"payments": float(count)}
                figures |= _both("http", _http(here, api, [f"/v1/payments?gateway_ref=pi_{n:012d}" for n in chosen]))
                figures |= _both("sql", _sql(here, chosen[:200]))
                figures |= _history(here, api, deep, lookups // 4)
                figures |= _reports(here, api, reports)
                figures |= asyncio.run(_transactions(here, chosen[: lookups // 2]))
                runs.append(figures)
    return Result("lookup", PROMISE, BUDGETS, tuple(runs), NOTES)


def fill(here: Ground, count: int) -> None:
    """Write so many payments and what belongs to them, as applying would have, and settle the server."""
    for low in range(1, count + 1, _PART):
        given = {"low": low, "high": min(low + _PART - 1, count), "count": count, "per_day": PER_DAY}
        here.admin(_FILL.format(tenant=here.tenant_id, account=here.account_id, **given))
    asyncio.run(_tallied(here))
    here.admin("vacuum analyze", "checkpoint")


async def _tallied(here: Ground) -> None:
    async with here.database() as db, db.tenant(here.tenant_id) as tx:
        await rebuild_tallies(tx, tenant_id=here.tenant_id, actor="benchmark")


def _cursor_of_page(here: Ground, number: int) -> str:
    after = here.ask(
        f"""select id from payment where tenant_id = $1 and customer_id = {_HEAVY}
        order by id desc offset {(number - 1) * PAGE - 1} limit 1""",
        here.tenant_id,
    )
    return cursor(after)


def _history(here: Ground, api: Process, deep: str, times: int) -> dict[str, float]:
    heavy = ids.show(ids.CUSTOMER, here.ask(f"select {_HEAVY} as id"))
    path = f"/v1/customers/{heavy}/payments?limit={PAGE}"
    # In turn, so that both meet the same machine.
    paths = [path, f"{path}&cursor={deep}"] * times
    took = _timed(here, api, paths)
    first, later = sorted(took[::2]), sorted(took[1::2])
    rare = _http(here, api, [f"{path}&status=processing"] * times)
    return {
        **_both("history", first),
        "page_2000_p99_ms": percentile(later, 99),
        "page_2000_ratio": percentile(later, 50) / percentile(first, 50),
        "history_rare_p99_ms": percentile(rare, 99),
    }


def _reports(here: Ground, api: Process, times: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, report, days in (
        ("daily_1_day", "daily-payments", 1),
        ("daily_30_days", "daily-payments", 30),
        ("refunds_30_days", "refunds", 30),
        ("refunds_366_days", "refunds", 366),
    ):
        path = f"/v1/reports/{report}?first_day={_LAST - timedelta(days=days - 1)}&last_day={_LAST}"
        figures |= _both(name, _http(here, api, [path] * times))
    return figures


async def _transactions(here: Ground, chosen: Sequence[int]) -> dict[str, float]:
    """Time a read by id, and an empty transaction, in turn, as a process does them."""
    refs = [f"pi_{number:012d}" for number in chosen]
    found = await here.rows("select id from payment where gateway_ref = any($1::text[])", refs)
    took: dict[str, list[float]] = {"read": [], "version": []}
    async with here.database() as db:
        for row in found:
            for name, statement, values in (("read", _READ, (here.tenant_id, row["id"])), ("version", _VERSION, ())):
                began = time.perf_counter()
                async with db.tenant(here.tenant_id) as tx:
                    await tx.fetch(statement, *values)
                took[name].append((time.perf_counter() - began) * 1000)
    return _both("read", sorted(took["read"])) | _both("version", sorted(took["version"]))


def _both(name: str, took: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p50_ms": percentile(took, 50), f"{name}_p99_ms": percentile(took, 99)}


def _http(here: Ground, api: Process, paths: Sequence[str]) -> list[float]:
    return sorted(_timed(here, api, paths))


def _timed(here: Ground, api: Process, paths: Sequence[str]) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
    headers = {"authorization": f"Bearer {here.api_key}"}
    took = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, body
        assert b'"data":[{' in body or "status=processing" in path, body
    return took


def _sql(here: Ground, chosen: list[int]) -> list[float]:
    refs = [f"pi_{number:012d}" for number in chosen]
    script = "".join(
        f"explain (analyze, timing off, summary on) select id from payment where tenant_id = '{here.tenant_id}' and gateway_ref = '{ref}';"
        for ref in refs
    )
    told = here.program("psql", "-qXtAc", script)
    took = [float(line.split(":")[1].split()[0]) for line in told.splitlines() if line.startswith("Execution Time")]
    assert len(took) == len(refs), told
    return sorted(took)
