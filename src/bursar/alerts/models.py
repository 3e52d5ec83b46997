"""What a rule is, what a look finds, and the states of an alert."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.jobs import Resources

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the worst to the least."""

AlertState = Literal["open", "acknowledged", "resolved"]
What = Literal["opened", "came_back", "reminded", "resolved", "test"]
About = Literal["tenant", "installation", "both"]

SUBJECT_MAX: Final = 200
CAUSE_MAX: Final = 200
DETAIL_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: over its threshold. failures: how many things are behind it, 0 where it is no count.

    cause: what is told anew when it becomes another one, whatever the cool-down: so never with a number that changes by itself.
    """

    tenant_id: UUID
    subject: str
    severity: Severity
    value: float
    failures: int
    detail: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything. number: of looks so far. watched_s: how long the watch has lasted by then, whatever the clock did.

    elapsed_s: what the clock says since the look before; None: there was none.
    """

    number: int
    watched_s: int
    now: datetime
    elapsed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A rule as it holds for the installation."""

    threshold: float
    window_s: int
    severity: Severity


Measure = Callable[[Any, Resources, datetime, Bound], Awaitable[list[Finding]]]
"""A source that is a function. Its first parameter is the engine's transaction."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is watched, and what to do about it. Its name is permanent.

    about: whose alert it is. threshold: more than that alerts (less, where `is_below`). window_s: over how long, or how long something may
    last; None: the present state. source: one statement (`sources`), a function, or None where it is told from elsewhere.
    kind: the prefix of the ids that its subjects are; empty: its subjects are words.
    """

    name: str
    title: str
    about: About
    severity: Severity
    threshold: float
    unit: str
    window_s: int | None
    advice: str
    source: "str | Measure | None"
    is_below: bool = False
    is_on: bool = True
    kind: str = ""

    @property
    def runbook(self) -> str:
        """The section that says what to do, in full."""
        return f"docs/how-to/runbooks.md#{self.name.replace('_', '-')}"

    def shown_subject(self, subject: str) -> str:
        """Return a subject as people know it."""
        try:
            return ids.show(self.kind, UUID(subject)) if self.kind else subject
        except ValueError:
            return subject

    def shown_value(self, value: float) -> str:
        """Return a measured value with its unit."""
        number = f"{value:,.1f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"
        return f"{number} {self.unit}".strip()
