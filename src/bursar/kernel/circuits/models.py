"""What a circuit is and how it changes. Pure: everything is decided from the row, what happened, and the time.

The window is two halves of 30 s, so that what is counted is never older than 60 s nor forgotten before 30.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

CircuitState = Literal["closed", "open", "half_open"]

HALF_WINDOW: Final = timedelta(seconds=30)
CALLS_MIN: Final = 20
FAILURES_SHARE: Final = 0.5
RUNNING_MAX: Final = 5
"""Failures in a row that open a circuit of little traffic."""
RUNNING_SLOW: Final = 2
SLOW: Final = timedelta(seconds=30)
"""Two in a row open it too when they took so long: calls that hang must not hide an outage."""
WAIT_FIRST: Final = timedelta(seconds=5)
WAIT_MAX: Final = timedelta(seconds=60)
ASKED_MAX: Final = timedelta(hours=1)
"""The longest that a gateway's Retry-After is believed."""
PROBE_TAKES: Final = timedelta(seconds=40)
SPACING: Final = timedelta(milliseconds=50)
"""Between the places of those who wait: at most twenty a second come back."""
FAILURE_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to call. fence: of the one probe of a half-open circuit; None when everybody may."""

    at: datetime
    fence: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """No call now. until: when to ask again; each who waits is told another time."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Circuit:
    """A row of the table, whose comments say what each column is."""

    id: UUID
    subject: str
    operation: str
    state: CircuitState
    since: datetime
    window_begins: datetime
    calls: int = 0
    failures: int = 0
    calls_before: int = 0
    failures_before: int = 0
    failures_running: int = 0
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None
    openings: int = 0
    not_before: datetime | None = None
    probe_until: datetime | None = None
    fence: int = 0
    slot_at: datetime | None = None
    revision: int = 0

    def is_calm(self, now: datetime) -> bool:
        """True when calls go through and their success need not be counted."""
        return self.state == "closed" and not self.failures_running and not any(_counted(self, now)[1::2])


def asked(circuit: Circuit, now: datetime) -> tuple[Circuit, Admission | Refused]:
    """Let somebody through: everybody, one probe, or nobody."""
    if circuit.state == "closed":
        return circuit, Admission(now)
    opens_at = circuit.not_before if circuit.state == "open" else circuit.probe_until
    assert opens_at is not None
    if opens_at <= now:
        fence = circuit.fence + 1
        probing = replace(_moved(circuit, "half_open", now), fence=fence, probe_until=now + PROBE_TAKES)
        return probing, Admission(now, fence)
    earliest = circuit.not_before if circuit.state == "open" and circuit.not_before else now
    slot = max(earliest, circuit.slot_at or earliest) + SPACING
    return replace(circuit, slot_at=slot), Refused(slot)


def passed(circuit: Circuit, admission: Admission, now: datetime) -> Circuit:
    """Count a call that was answered. The probe's closes the circuit; that of a probe that lost its fence says nothing."""
    if circuit.state == "closed" and admission.fence is None:
        counted = _shifted(circuit, now)
        return replace(counted, calls=counted.calls + 1, failures_running=0, failing_since=None)
    if circuit.state == "half_open" and admission.fence == circuit.fence:
        return _closed(circuit, now)
    return circuit


def failed(
    circuit: Circuit, admission: Admission, now: datetime, *, why: str, not_before: datetime | None = None
) -> Circuit:
    """Count a call that was not answered, or answered with a fault. not_before: the gateway asked not to be called until then."""
    if circuit.state == "half_open" and admission.fence != circuit.fence:
        return circuit
    why = why[:FAILURE_LENGTH_MAX]
    if circuit.state == "open":
        later = max(filter(None, (circuit.not_before, _believed(not_before, now))))
        return replace(circuit, not_before=later, failed_at=now, failure=why)
    counted = _shifted(circuit, now)
    after = replace(
        counted,
        calls=counted.calls + 1,
        failures=counted.failures + 1,
        failures_running=counted.failures_running + 1,
        failing_since=counted.failing_since or min(admission.at, now),
        failed_at=now,
        failure=why,
    )
    if circuit.state == "half_open" or not_before or _is_out(after, now):
        return _opened(after, now, not_before)
    return after


def reset(circuit: Circuit, now: datetime) -> Circuit:
    """Close a circuit because a person says so. A probe under way decides nothing any more."""
    return replace(_closed(circuit, now), fence=circuit.fence + 1)


def _is_out(circuit: Circuit, now: datetime) -> bool:
    calls, failures = circuit.calls + circuit.calls_before, circuit.failures + circuit.failures_before
    if circuit.failures_running >= RUNNING_MAX or (calls >= CALLS_MIN and failures >= calls * FAILURES_SHARE):
        return True
    hangs = circuit.failing_since is not None and now - circuit.failing_since >= SLOW
    return hangs and circuit.failures_running >= RUNNING_SLOW


def _opened(circuit: Circuit, now: datetime, not_before: datetime | None) -> Circuit:
    waits = now + min(WAIT_MAX, WAIT_FIRST * 2 ** min(circuit.openings, 10))
    until = max(filter(None, (waits if not_before is None else now, _believed(not_before, now))))
    return replace(_moved(circuit, "open", now), openings=circuit.openings + 1, not_before=until, probe_until=None)


def _closed(circuit: Circuit, now: datetime) -> Circuit:
    """Return it closed and empty. The queue of those who wait stands: they come at the times they were told."""
    return Circuit(
        circuit.id,
        circuit.subject,
        circuit.operation,
        "closed",
        since=circuit.since if circuit.state == "closed" else now,
        window_begins=now,
        failed_at=circuit.failed_at,
        failure=circuit.failure,
        fence=circuit.fence,
        slot_at=circuit.slot_at,
        revision=circuit.revision,
    )


def _moved(circuit: Circuit, state: CircuitState, now: datetime) -> Circuit:
    """Return it in a state. An outage begins once: a probe between does not end it."""
    since = now if circuit.state == "closed" else circuit.since
    return replace(circuit, state=state, since=since)


def _believed(not_before: datetime | None, now: datetime) -> datetime | None:
    return None if not_before is None else min(max(not_before, now), now + ASKED_MAX)


def _counted(circuit: Circuit, now: datetime) -> tuple[int, int, int, int]:
    """Return calls and failures of the half window that `now` is in, and of the half before it."""
    age = now - circuit.window_begins
    if age < HALF_WINDOW:
        return circuit.calls, circuit.failures, circuit.calls_before, circuit.failures_before
    if age < 2 * HALF_WINDOW:
        return 0, 0, circuit.calls, circuit.failures
    return 0, 0, 0, 0


def _shifted(circuit: Circuit, now: datetime) -> Circuit:
    calls, failures, calls_before, failures_before = _counted(circuit, now)
    age = now - circuit.window_begins
    begins = circuit.window_begins
    if age >= 2 * HALF_WINDOW:
        begins = now
    elif age >= HALF_WINDOW:
        begins = begins + HALF_WINDOW
    return replace(
        circuit,
        window_begins=begins,
        calls=calls,
        failures=failures,
        calls_before=calls_before,
        failures_before=failures_before,
    )
