"""The yardstick: pgbench, from the same directory as the server, on the same server and tables in the same run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import NamedTemporaryFile

from benchmarks.ground import Ground

_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: ([0-9]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Measure:
    """Transactions a second, each one script, and how long one took on average."""

    per_second: float
    mean_ms: float
    transactions: int


def pgbench(
    ground: Ground, script: str, *, clients: int, seconds: float, variables: Mapping[str, str | int] | None = None
) -> Measure:
    """Run a script with prepared statements, as the superuser: no row-level security is judged for it.

    seconds: three at least; for one, which only sees that a benchmark runs, each client runs the script five times.
    """
    length = ("-T", str(max(3, round(seconds)))) if seconds > 1 else ("-t", "5")
    defined = [part for name, value in (variables or {}).items() for part in ("-D", f"{name}={value}")]
    with NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        said = ground.program(
            "pgbench",
            *("-n", "-M", "prepared", "-c", str(clients), "-j", "1", *length),
            *("-f", file.name, *defined),
        )
    failed = _FAILED.search(said)
    rate, latency = _TPS.search(said), _LATENCY.search(said)
    if rate is None or latency is None or (failed and failed[1] != "0"):
        raise RuntimeError(f"pgbench said: {said}")
    done = _DONE.search(said)
    return Measure(float(rate[1]), float(latency[1]), int(done[1]) if done else 0)
