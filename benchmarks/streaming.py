"""Streaming: what keeping the log beside it costs the worker that applies events. The same load without and with, in turn.

The store is a directory on the same disk and the same two cores, which is dearer than another machine's: compressing
and sealing the log take their part of the processors that the worker and the server share.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.apply import EVENTS, apply_all
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, ground
from bursar.backups.keys import add_key

BUDGETS = (Budget("ratio", at_least=0.9),)
PROMISE = "paid events applied per second while the log is streamed, compressed and sealed, against the same without"
NOTES = (
    "ratio: with the log streamed, divided by without, alternating in one run",
    "log_age_s: how old the newest mark in the store was when the last event was applied",
)
_LOG_AGE = "select extract(epoch from clock_timestamp() - log_kept_at)::float8 from backup_standing"
_READY_S = 120.0


def measure(scale: Scale) -> Result:
    """Alternate applying without and with the log streamed, on one server."""
    events = 200 if scale.quick else EVENTS
    runs: list[dict[str, float]] = []
    with ground() as here, here.worker() as worker:
        apply_all(here, worker, events=min(events, 1000), series="w")
        for number in range(scale.runs):
            here.admin("checkpoint")
            without = apply_all(here, worker, events=events, series=f"n{number}")
            with streamed(here) as log_age:
                here.admin("checkpoint")
                beside = apply_all(here, worker, events=events, series=f"s{number}")
                age = log_age()
            runs.append(
                {
                    "ratio": beside["per_second"] / without["per_second"],
                    "without_per_second": without["per_second"],
                    "with_per_second": beside["per_second"],
                    "log_age_s": age,
                    "foreign_cores": max(without["foreign_cores"], beside["foreign_cores"]),
                }
            )
    return Result("streaming", PROMISE, BUDGETS, tuple(runs), NOTES)


def store_settings(here: Ground) -> dict[str, str]:
    """Return where the backups and their key are: below the directory of the server."""
    directory = here.cluster.directory
    return {
        "BURSAR_BACKUP_STORE": str(directory / "bench-store"),
        "BURSAR_BACKUP_KEY_FILE": str(directory / "bench.keys"),
    }


@contextmanager
def streamed(here: Ground) -> Iterator[Callable[[], float]]:
    """Keep the log, once the first backup is taken and proven: that is another load, and not every second's.

    Give what tells how many seconds old the newest mark in the store is.
    """
    store = store_settings(here)
    key = Path(store["BURSAR_BACKUP_KEY_FILE"])
    if not key.exists():
        add_key(key, rotate=False)
    more = store | {
        "BURSAR_DATABASE_ADMIN_URL": here.settings.database_admin_url,
        "BURSAR_BACKUP_INCREMENTAL_MINUTES": "0",
        "BURSAR_DRILL_HOURS": "0",
    }
    here.admin("update backup_standing set log_kept_at = null, log_proven_at = null")
    with here.running("backup", "run", **more) as process:
        deadline = time.monotonic() + _READY_S
        while here.program("psql", "-qXtAc", "select log_proven_at is not null from backup_standing").strip() != "t":
            if process.popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the log is not kept: {process.log.read_text()[-800:]}")
            time.sleep(0.2)
        yield lambda: float(here.program("psql", "-qXtAc", _LOG_AGE))
