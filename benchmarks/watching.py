"""What watching costs: intake and apply with it and without, in turn, on one server.

Watched: as it is installed, and scraped once a second, which is fifteen times as often as Prometheus does by default.
Not watched: the same processes, in which requests are not counted or timed, statements are not looked at, and nobody scrapes.
"""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.apply import apply_all
from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, ground, python_path
from benchmarks.intake import deliver

EVENTS = 8_000
BUDGETS = (Budget("intake_ratio", at_least=0.9), Budget("apply_ratio", at_least=0.9))
PROMISE = "metrics, the log of slow statements and a scrape a second cost less than a tenth of intake and of apply"
NOTES = (
    "ratio: events a second with watching, to those without it, one after the other",
    "api_cpu_ratio, worker_cpu_ratio: processor time of the process for an event, without watching to with it",
)
_UNWATCHED = Path(__file__).with_name("unwatched")
_SCRAPE_S = 1.0


def measure(scale: Scale) -> Result:
    """Alternate watched and unwatched processes."""
    blind = {"PYTHONPATH": f"{_UNWATCHED}:{python_path()}"}
    with ground() as here:
        with here.api() as seen, here.api(**blind) as unseen, _scraped(seen):
            deliver(here, unseen, seconds=scale.seconds / 2, series="w", events=_few(scale))
            intake = [_intake(here, seen, unseen, scale, "abcdefghij"[n]) for n in range(scale.runs)]
        here.admin("truncate gateway_event_queue", "checkpoint")
        apply = [_apply(here, blind, 200 if scale.quick else EVENTS, "klmnopqrst"[n]) for n in range(scale.runs)]
    return Result("watching", PROMISE, BUDGETS, tuple(a | b for a, b in zip(intake, apply, strict=True)), NOTES)


def _few(scale: Scale) -> int | None:
    return 200 if scale.quick else None


def _intake(here: Ground, seen: Process, unseen: Process, scale: Scale, series: str) -> dict[str, float]:
    without = deliver(here, unseen, seconds=scale.seconds, series=f"u{series}", events=_few(scale))
    watched = deliver(here, seen, seconds=scale.seconds, series=f"s{series}", events=_few(scale))
    return {
        "intake_ratio": watched["per_second"] / without["per_second"],
        "api_cpu_ratio": without["api_us"] / watched["api_us"],
        "intake_per_second": watched["per_second"],
    }


def _apply(here: Ground, blind: dict[str, str], events: int, series: str) -> dict[str, float]:
    with here.worker(**blind) as unseen:
        apply_all(here, unseen, events=min(events, 200), series=f"x{series}")
        without = apply_all(here, unseen, events=events, series=f"u{series}")
    with here.worker() as seen:
        apply_all(here, seen, events=min(events, 200), series=f"y{series}")
        watched = apply_all(here, seen, events=events, series=f"s{series}")
    return {
        "apply_ratio": watched["per_second"] / without["per_second"],
        "worker_cpu_ratio": without["worker_us"] / watched["worker_us"],
        "apply_per_second": watched["per_second"],
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
