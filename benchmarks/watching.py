"""What being watched over costs: intake and apply with it and without, in turn, on one server.

Watched over: as it is installed, with its logs, scraped once a second, which is fifteen times as often as Prometheus does by default,
and with the log of the database streamed, compressed, sealed and kept beside it.
Not watched over: the same processes, in which requests are not counted or timed, statements are not looked at, nothing is logged,
nobody scrapes, and no log of the database is kept.

The store is a directory on the same disk, and the keeper shares the two cores with all others: dearer than another machine's.
"""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.apply import apply_all
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, ground, python_path
from benchmarks.intake import deliver
from benchmarks.streaming import streamed

EVENTS = 8_000
BUDGETS = (Budget("intake_ratio", at_least=0.9), Budget("apply_ratio", at_least=0.9))
PROMISE = "metrics, logs, a scrape a second and the database's log streamed, together: less than a tenth of intake and of apply"
NOTES = (
    "ratio: events a second with all of it, to those without any, one after the other in one run",
    "api_cpu_ratio, worker_cpu_ratio: processor time of the process for an event, without it to with it",
    "log_age_s: how old the newest mark in the store was after intake and apply",
)
_UNWATCHED = Path(__file__).with_name("unwatched")
_SCRAPE_S = 1.0


def measure(scale: Scale) -> Result:
    """Alternate watched and unwatched processes."""
    with ground() as here:
        _warm(here, scale)
        # Each goes first in turn: the second finds a server that is warm and larger tables.
        runs = [_once(here, scale, "abcdefghij"[n], is_watched_first=n % 2 == 1) for n in range(scale.runs)]
    return Result("watching", PROMISE, BUDGETS, tuple(runs), NOTES)


def _warm(here: Ground, scale: Scale) -> None:
    with here.api() as api:
        deliver(here, api, seconds=scale.seconds / 2, series="w", events=scale.deliveries)


def _once(here: Ground, scale: Scale, series: str, *, is_watched_first: bool) -> dict[str, float]:
    order = (_watched, _without) if is_watched_first else (_without, _watched)
    figures = {load: load(here, scale, series) for load in order}
    watched, without = figures[_watched], figures[_without]
    return {
        "intake_ratio": watched["intake_per_second"] / without["intake_per_second"],
        "apply_ratio": watched["apply_per_second"] / without["apply_per_second"],
        "api_cpu_ratio": without["api_us"] / watched["api_us"],
        "worker_cpu_ratio": without["worker_us"] / watched["worker_us"],
        **{name: watched[name] for name in ("intake_per_second", "apply_per_second")},
        "log_age_s": watched["log_age_s"],
        "foreign_cores": max(without["foreign_cores"], watched["foreign_cores"]),
    }


def _without(here: Ground, scale: Scale, series: str) -> dict[str, float]:
    return _load(here, scale, f"u{series}", {"PYTHONPATH": f"{_UNWATCHED}:{python_path()}"})


def _watched(here: Ground, scale: Scale, series: str) -> dict[str, float]:
    with streamed(here) as log_age:
        figures = _load(here, scale, f"s{series}", {}, is_scraped=True)
        return figures | {"log_age_s": log_age()}


def _load(
    here: Ground, scale: Scale, series: str, manner: dict[str, str], *, is_scraped: bool = False
) -> dict[str, float]:
    """Take in and apply, each by one process. manner: its environment."""
    here.admin("truncate gateway_event_queue", "checkpoint")
    with here.api(**manner) as api, _scraped(api) if is_scraped else nullcontext():
        deliver(here, api, seconds=1, series=f"v{series}", events=scale.deliveries)
        taken_in = deliver(here, api, seconds=scale.seconds, series=f"i{series}", events=scale.deliveries)
    here.admin("truncate gateway_event_queue", "checkpoint")
    with here.worker(**manner) as worker:
        apply_all(here, worker, events=200, series=f"y{series}")
        applied = apply_all(here, worker, events=200 if scale.quick else EVENTS, series=f"a{series}")
    return {
        "intake_per_second": taken_in["per_second"],
        "api_us": taken_in["api_us"],
        "apply_per_second": applied["per_second"],
        "worker_us": applied["worker_us"],
        "foreign_cores": max(taken_in["foreign_cores"], applied["foreign_cores"]),
    }


@contextmanager
def _scraped(api: Process) -> Iterator[None]:
    """Ask for the figures once a second."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(_SCRAPE_S):
            with urllib.request.urlopen(f"http://127.0.0.1:{api.port}/metrics", timeout=10) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
