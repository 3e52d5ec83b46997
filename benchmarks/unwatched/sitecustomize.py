"""Read by Python before anything else in the processes of `benchmarks.watching` that are not watched: nobody counts what they do, and they say nothing."""

import logging
from typing import Any

from bursar.kernel.logs import configure_logs
from bursar.kernel.slow import SlowStatements


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _blind() -> None:
    from bursar.web.metrics import Metrics  # noqa: PLC0415 - it takes a second, and workers do not need it

    Metrics.observe = _nothing  # type: ignore[method-assign]


SlowStatements.watch = _nothing  # type: ignore[method-assign]
_blind()
configure_logs.__kwdefaults__ = {"level": logging.CRITICAL}
