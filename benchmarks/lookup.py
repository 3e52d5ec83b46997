"""Look-ups: one payment by its gateway id, among millions, over HTTP."""

import http.client
import random
import time

from benchmarks.figures import Budget, Result, Scale, percentile
from benchmarks.ground import Ground, Process, ground

PROMISE = "a payment is found by its gateway id within 1 ms at p99, at ten million payments"
BUDGETS = (Budget("sql_p99_ms", at_most=1.0), Budget("http_p99_ms", at_most=10.0))
NOTES = (
    "sql: the statement as psql's server executes it, planned anew; http: GET /v1/payments?gateway_ref=… on one connection",
)
LOOKUPS = 2000

# Rows as applying writes them: a purchase and a payment each, of a thousand customers.
_FILL = """
set session_replication_role = replica;
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at)
  select '{tenant}', md5('c' || n)::uuid, '{account}', 'cus_' || n, now() from generate_series(1, 1000) n on conflict do nothing;
insert into purchase (tenant_id, id, gateway_account_id, customer_id, is_paid, paid_minor, currency, paid_at)
  select '{tenant}', md5('p' || n)::uuid, '{account}', md5('c' || (n % 1000 + 1))::uuid, true, 5000, 'EUR', now() from generate_series({low}, {high}) n;
insert into payment (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, customer_id, status, amount_minor, currency, created_at)
  select '{tenant}', md5('y' || n)::uuid, '{account}', 'pi_' || lpad(n::text, 12, '0'), md5('p' || n)::uuid, md5('c' || (n % 1000 + 1))::uuid,
    'succeeded', 5000, 'EUR', now() from generate_series({low}, {high}) n;
"""
_PART = 500_000


def measure(scale: Scale) -> Result:
    """Fill the tables, then look up payments at random."""
    count = 10_000 if scale.quick else scale.payments
    lookups = 100 if scale.quick else LOOKUPS
    runs = []
    with ground() as here:
        for low in range(1, count + 1, _PART):
            high = min(low + _PART - 1, count)
            here.admin(_FILL.format(tenant=here.tenant_id, account=here.account_id, low=low, high=high))
        here.admin("vacuum analyze payment", "checkpoint")
        with here.api() as api:
            for number in range(scale.runs):
                chosen = random.Random(number).sample(range(1, count + 1), lookups)
                over_http, over_sql = _http(here, api, chosen), _sql(here, chosen[:200])
                runs.append(
                    {
                        "payments": float(count),
                        "http_p50_ms": percentile(over_http, 50),
                        "http_p99_ms": percentile(over_http, 99),
                        "sql_p50_ms": percentile(over_sql, 50),
                        "sql_p99_ms": percentile(over_sql, 99),
                    }
                )
    return Result("lookup", PROMISE, BUDGETS, tuple(runs), NOTES)


def _http(here: Ground, api: Process, chosen: list[int]) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    headers = {"authorization": f"Bearer {here.api_key}"}
    took = []
    for number in chosen:
        ref = f"pi_{number:012d}"
        began = time.perf_counter()
        connection.request("GET", f"/v1/payments?gateway_ref={ref}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, body
        assert ref.encode() in body, body
    return sorted(took)


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
