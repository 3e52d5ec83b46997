"""Intake: signed events acknowledged durably per second over HTTP, against pgbench inserting the same rows.

The receiver is one `bursar serve`. The sender is a process of its own on the same machine, so it takes processor
time that a gateway far away would not. pgbench sends the same bytes and needs neither HTTP nor a signature; it
writes an event's three rows in one statement, which is one transaction, and waits for the commit.
"""

import json
import os
import subprocess
import sys

from benchmarks import cpu
from benchmarks.events import paid_event
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import SECRET, Ground, Process, ground
from benchmarks.yardstick import Measure, pgbench

CONNECTIONS = 64
EVENTS_A_SECOND_MAX = 12_000
BUDGETS = (Budget("ratio", at_least=1.0), Budget("p99_ms", at_most=25.0))
NOTES = ("…_us: processor time an event costs that process, all its threads and children",)
PROMISE = "signed 3 kB events acknowledged durably per second over HTTP, 64 connections, one API process"

_INSERT = r"""
\set number random(1, 1000000000000000)
with stored as (
  insert into gateway_event (tenant_id, id, gateway_account_id, gateway_event_id, type, origin, occurred_at, body_sha256)
  values (:tenant, uuidv7(), :account, 'evt_' || :number::text, 'invoice.paid', 'gateway', :at, :sha)
  on conflict (tenant_id, gateway_account_id, gateway_event_id) do nothing
  returning id, received_at
), raw as (
  insert into gateway_event_body (tenant_id, event_id, received_at, headers, body)
  select :tenant, id, received_at, :headers, :body from stored
)
insert into gateway_event_queue (tenant_id, event_id, gateway_account_id, bucket)
select :tenant, id, :account, :bucket from stored;
"""


def measure(scale: Scale) -> Result:
    """Alternate pgbench and deliveries on one server."""
    runs: list[dict[str, float]] = []
    with ground() as here, here.api() as api:
        if not scale.quick:
            deliver(here, api, seconds=2.0, series="w")
        runs += [_once(here, api, scale, series="abcdefghij"[number]) for number in range(scale.runs)]
    return Result("intake", PROMISE, BUDGETS, tuple(runs), NOTES)


def deliver(
    here: Ground,
    api: Process,
    *,
    seconds: float,
    series: str,
    events: int | None = None,
    connections: int = CONNECTIONS,
) -> dict[str, float]:
    """Send deliveries until the time or the events are used up; return what the sender saw."""
    arguments = {
        "port": api.port,
        "path": here.webhook_path,
        "secret": SECRET,
        "series": series,
        "connections": connections,
        "events": events or int(seconds * EVENTS_A_SECOND_MAX),
        "seconds": seconds,
    }
    before = _stored(here)
    sender = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", *(f"--{name}={value}" for name, value in arguments.items())],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert sender.stdout is not None
    began = _begin(sender, here, api)
    outcome: dict[str, float] = json.loads(sender.stdout.readline())
    used = cpu.shares(began, cpu.read(_groups(sender, here, api)))
    sender.wait()
    refused = outcome.pop("refused")
    if refused or _stored(here) - before < outcome["acknowledged"]:
        raise RuntimeError(
            f"refused {refused}; {outcome['acknowledged']} acknowledged, {_stored(here) - before} stored"
        )
    cost = {f"{name}_us": 1e6 * used[name] / outcome["per_second"] for name in ("api", "postgres", "sender")}
    return outcome | cost | {"foreign_cores": used["foreign"]}


def _once(here: Ground, api: Process, scale: Scale, *, series: str) -> dict[str, float]:
    here.admin("checkpoint")
    base = insert_rows(here, scale.seconds)
    here.admin("checkpoint")
    ours = deliver(here, api, seconds=scale.seconds, series=series, events=scale.deliveries)
    return {"ratio": ours["per_second"] / base.per_second, "pgbench_per_second": base.per_second, **ours}


def insert_rows(here: Ground, seconds: float) -> Measure:
    """Let pgbench insert an event's rows, one event a transaction."""
    body = paid_event(1).decode()
    variables: dict[str, str | int] = {
        "tenant": str(here.tenant_id),
        "account": str(here.account_id),
        "at": "2026-01-01 00:00:00+00",
        "sha": "\\x" + "ab" * 32,
        "headers": json.dumps(
            {"content-type": "application/json; charset=utf-8", "stripe-signature": "t=1,v1=" + "0" * 64}
        ),
        "body": body,
        "bucket": 3,
    }
    return pgbench(here, _INSERT, clients=CONNECTIONS, seconds=seconds, variables=variables)


def _groups(sender: "subprocess.Popen[bytes]", here: Ground, api: Process) -> dict[str, list[int]]:
    return {"api": [api.pid], "postgres": [here.cluster.pid or 0], "sender": [sender.pid]}


def _begin(sender: "subprocess.Popen[bytes]", here: Ground, api: Process) -> cpu.Reading:
    """Wait until the sender has signed everything and begins."""
    assert sender.stdout is not None
    sender.stdout.readline()
    return cpu.read(_groups(sender, here, api))


def _stored(here: Ground) -> int:
    return int(here.program("psql", "-qXtAc", "select count(*) from gateway_event"))
