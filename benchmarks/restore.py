"""Restoring: everything is killed under load and its files are deleted; how long until it is back, and what of the last seconds is missing.

The clock runs from the command `bursar restore` to the restored instance's first `ready`: proving every object, unpacking, replaying the
log to the last mark, verifying, starting. Store and database are on one disk.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import lookup
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, environment_of, ground
from benchmarks.intake import deliver
from benchmarks.streaming import store_settings, streamed
from benchmarks.up import started

PROMISE = "killed and deleted under load, an instance is back within 10 s and 10 s for each GB, and at most its last 5 s are missing"
BUDGETS = (Budget("rto_ratio", at_most=1.0), Budget("rpo_s", at_most=5.0))
NOTES = (
    "rto_s: from `bursar restore` to `ready`; rto_ratio: to 10 s and 10 s for each GB of the databases",
    "rpo_s: from the last mark that came back to the kill; lost: events that were acknowledged and did not come back",
    "payments: rows of the filled tables, beside which events are taken in until the kill",
)
_RTO_S: Final = 10.0
_GB: Final = 1e9
_SIZE = "select sum(pg_database_size(oid)) from pg_database"
_EVENTS = "select count(*) from gateway_event"
_MARK = "select extract(epoch from at) from backup_canary"


def measure(scale: Scale) -> Result:
    """Fill, keep, load, kill, delete, restore; on new ground each time."""
    return Result("restore", PROMISE, BUDGETS, tuple(_once(scale) for _ in range(scale.runs)), NOTES)


def _once(scale: Scale) -> dict[str, float]:
    with ground() as here:
        lookup.fill(here, 10_000 if scale.quick else scale.payments)
        with streamed(here), here.api() as api:
            deliver(here, api, seconds=scale.seconds, series="r", events=scale.deliveries)
            size, events = (float(here.program("psql", "-qXtAc", query)) for query in (_SIZE, _EVENTS))
            killed_at = _destroy(here)
        began = time.monotonic()
        into = here.cluster.directory / "restored"
        _restore(here, into)
        restored_s = time.monotonic() - began
        with started(into, "--no-demo") as facts:
            rto_s = time.monotonic() - began
            mark, back = (float(_ask(here, facts["admin_url"], query)) for query in (_MARK, _EVENTS))
    return {
        "rto_ratio": rto_s / (_RTO_S + _RTO_S * size / _GB),
        "rto_s": rto_s,
        "restore_s": restored_s,
        "rpo_s": max(killed_at - mark, 0.0),
        "lost": events - back,
        "events": events,
        "gigabytes": size / _GB,
    }


def _destroy(here: Ground) -> float:
    """Kill all processes at once and delete the database's files; return when."""
    victims = [process.pid for process in here.processes] + [here.cluster.pid or 0]
    at = datetime.now(UTC).timestamp()
    for victim in filter(None, victims):
        os.kill(victim, signal.SIGKILL)
    shutil.rmtree(here.cluster.data)
    return at


def _restore(here: Ground, into: Path) -> None:
    command = [sys.executable, "-m", "bursar", "restore", "--to", "latest", "--into", str(into), "--take-over"]
    environment = environment_of(store_settings(here))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the restore failed: {done.stderr[-800:]}")


def _ask(here: Ground, url: str, query: str) -> str:
    return here.program("psql", "-qXtAc", query, url)
