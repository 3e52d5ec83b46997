"""Apply: paid events turned into payment, invoice, ledger, credits, audit and outbox by one worker, against pgbench.

The events are a membership's paid invoices, four for each customer. They are stored and queued in one transaction;
the clock runs from its commit until the last outcome is written. pgbench runs eight clients, each a business of its
own, with one hand-written transaction for each event: it reads no event, decides nothing, and writes the same rows.
PostgreSQL counts the rows that either of them writes.
"""

import asyncio
import json
from pathlib import Path

from benchmarks import cpu, rows
from benchmarks.events import paid_event
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, file_bodies, ground
from benchmarks.yardstick import Measure, pgbench

CLIENTS = 8
EVENTS = 15_000
BUDGETS = (Budget("ratio", at_least=1.0),)
PROMISE = "paid events turned into payment, invoice, ledger, credits, audit and outbox per second, one worker"
NOTES = (
    "rows, rows_pgbench: rows written for each event, as PostgreSQL counts them",
    "…_us: processor time an event costs that process",
)
_SCRIPT = Path(__file__).with_name("apply.sql")
_STATE_BYTES, _AUDIT_BYTES, _OUTBOX_BYTES, _LINES_BYTES = 690, 760, 140, 260
_SPAN = """
select extract(epoch from max(at))::float8 - $1 as seconds from gateway_event_outcome
where at >= to_timestamp($1)
"""
_NOW = "select extract(epoch from clock_timestamp())::float8 as now"

_CLIENTS_OF_PGBENCH = f"""
create table if not exists bench_client (client integer primary key, tenant uuid, account uuid, price uuid, customer uuid);
truncate bench_client;
insert into bench_client select c, uuidv7(), uuidv7(), uuidv7(), uuidv7() from generate_series(0, {CLIENTS - 1}) c;
insert into tenant (tenant_id, name) select tenant, 'client ' || client from bench_client;
insert into gateway_account (tenant_id, id, gateway, name, signing_secrets) select tenant, account, 'stripe', 'bench', '{{}}' from bench_client;
insert into product (tenant_id, id, name) select tenant, price, 'bench' from bench_client;
insert into price (tenant_id, id, product_id, lookup_key, amount_minor, currency) select tenant, price, price, 'bench', 2000, 'EUR' from bench_client;
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at) select tenant, customer, account, 'cus', now() from bench_client;
with made as (
  select c.tenant, c.account, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id, n
  from bench_client c, generate_series(1, %d) n
), event as (
  insert into gateway_event (tenant_id, id, gateway_account_id, gateway_event_id, type, occurred_at, body_sha256)
  select tenant, id, account, 'evt_' || n, 'invoice.paid', now(), '\\x00' from made
)
insert into gateway_event_queue (tenant_id, event_id, gateway_account_id, bucket, run_at) select tenant, id, account, 0, 'infinity' from made;
"""


def measure(scale: Scale) -> Result:
    """Alternate pgbench and the worker on one server."""
    runs: list[dict[str, float]] = []
    events = 200 if scale.quick else EVENTS
    with ground() as here, here.worker() as worker:
        apply_all(here, worker, events=min(events, 1000), series="w")
        runs += [
            _once(here, worker, events, scale.seconds, series="abcdefghij"[number]) for number in range(scale.runs)
        ]
    return Result("apply", PROMISE, BUDGETS, tuple(runs), NOTES)


def apply_all(here: Ground, worker: Process, *, events: int, series: str) -> dict[str, float]:
    """Queue paid events at once, and wait until the worker has applied them all."""
    groups = {"worker": [worker.pid], "postgres": [here.cluster.pid or 0]}
    asyncio.run(file_bodies(here, [paid_event(number, series) for number in range(events)]))
    began, before = here.ask(_NOW), cpu.read(groups)
    here.until_applied()
    after = cpu.read(groups)
    used, passed = cpu.shares(before, after), after.at - before.at
    seconds = asyncio.run(here.rows(_SPAN, began))[0]["seconds"]
    cost = {f"{name}_us": 1e6 * used[name] * passed / events for name in groups}
    return {
        "events": events,
        "seconds": seconds,
        "per_second": events / seconds,
        **cost,
        "foreign_cores": used["foreign"],
    }


def write_rows(here: Ground, seconds: float) -> tuple[Measure, float]:
    """Let pgbench write an event's rows, one event a transaction; return the rows of one too."""
    here.admin(*(s for s in (_CLIENTS_OF_PGBENCH % (300 + round(seconds * 1000))).split(";\n") if s.strip()))
    before = rows.written(here)
    done = pgbench(here, _SCRIPT.read_text(), clients=CLIENTS, seconds=seconds, variables=_variables())
    each = rows.between(before, rows.written(here), events=done.transactions)
    here.admin("delete from gateway_event_queue where run_at = 'infinity'", "vacuum gateway_event_queue")
    return done, sum(each.values())


def _once(here: Ground, worker: Process, events: int, seconds: float, *, series: str) -> dict[str, float]:
    here.admin("checkpoint")
    base, rows_pgbench = write_rows(here, seconds)
    here.admin("checkpoint")
    before = rows.written(here)
    ours = apply_all(here, worker, events=events, series=series)
    each = sum(rows.between(before, rows.written(here), events=events).values()) - _FILED_ROWS
    return {
        "ratio": ours["per_second"] / base.per_second,
        "pgbench_per_second": base.per_second,
        **ours,
        "rows": each,
        "rows_pgbench": rows_pgbench,
    }


_FILED_ROWS = 3
"""Event, body and queue row: written when an event is filed, before the clock starts."""


def _variables() -> dict[str, str | int]:
    def text(size: int) -> str:
        return json.dumps({"text": "x" * (size - 12)})

    return {
        "n": 0,
        "at": "2026-01-01 00:00:00+00",
        "state": text(_STATE_BYTES),
        "changes": text(_AUDIT_BYTES),
        "payload": text(_OUTBOX_BYTES),
        "lines": json.dumps([{"text": "x" * (_LINES_BYTES - 14)}]),
        "spec": '{"kind": "credits", "amount": 8, "pool": "classes"}',
    }
