"""Ask a circuit for leave, tell it how the call went, and reset it: the row is locked, the rule decides, the row is written."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from bursar.kernel import audit, ids
from bursar.kernel.circuits import models
from bursar.kernel.circuits.models import Admission, Circuit, Refused
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import NotFound

KEPT_S: Final = 1.0
KEPT_MAX: Final = 10_000

_log = structlog.get_logger("bursar.circuits")


class CircuitNotFound(NotFound):
    """No circuit of this tenant has this id."""

    code = "circuit_not_found"


_COLUMNS: Final = """id, subject, operation, state, since, window_begins, calls, failures, calls_before, failures_before,
  failures_running, failing_since, failed_at, failure, openings, not_before, probe_until, fence, slot_at, revision"""

_READ = f"select {_COLUMNS} from circuit where tenant_id = $1 and subject = $2 and operation = $3"
_LOCK = f"{_READ} for update"
_LOCK_BY_ID = f"select {_COLUMNS} from circuit where tenant_id = $1 and id = $2 for update"

_FIRST = """
insert into circuit (tenant_id, id, subject, operation, state, since, window_begins, calls, failures, calls_before,
  failures_before, failures_running, openings, fence)
values ($1, $2, $3, $4, 'closed', $5, $5, 0, 0, 0, 0, 0, 0, 0)
on conflict (tenant_id, subject, operation) do nothing
"""

_WRITE = """
update circuit set state = $4, since = $5, window_begins = $6, calls = $7, failures = $8, calls_before = $9,
  failures_before = $10, failures_running = $11, failing_since = $12, failed_at = $13, failure = $14, openings = $15,
  not_before = $16, probe_until = $17, fence = $18, slot_at = $19, revision = revision + 1
where tenant_id = $1 and id = $2 and revision = $3
returning revision
"""

_NAMES: Final = tuple(field.name for field in fields(Circuit))
_Key = tuple[UUID, str, str]


class Circuits:
    """The circuits as one process knows them: at most a second old where calls go through, asked anew where they do not."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._now = clock
        self._known: OrderedDict[_Key, tuple[float, Circuit | None]] = OrderedDict()

    async def ask(self, *, tenant_id: UUID, subject: str, operation: str) -> Admission | Refused:
        """Return leave to call, or when to ask again. Raises DatabaseUnavailable."""
        key, now = (tenant_id, subject, operation), self._now()
        known = await self._state(key)
        if known is None or known.state == "closed":
            return Admission(now)
        async with self._db.tenant(tenant_id) as tx:
            before = await _locked(tx, _LOCK, *key)
            if before is None:
                return Admission(now)
            after, answer = models.asked(before, now)
            await _write(tx, tenant_id, before, after)
        self._keep(key, after)
        return answer

    async def passed(self, admission: Admission, *, tenant_id: UUID, subject: str, operation: str) -> None:
        """Say that a call was answered, whatever the answer was. Raises DatabaseUnavailable."""
        key, now = (tenant_id, subject, operation), self._now()
        known = await self._state(key)
        if admission.fence is None and (known is None or known.is_calm(now)):
            return
        async with self._db.tenant(tenant_id) as tx:
            before = await _locked(tx, _LOCK, *key)
            if before is None:
                return
            after = models.passed(before, admission, now)
            await _write(tx, tenant_id, before, after)
        self._keep(key, after)

    async def failed(
        self,
        admission: Admission,
        *,
        tenant_id: UUID,
        subject: str,
        operation: str,
        why: str,
        not_before: datetime | None = None,
    ) -> Refused | None:
        """Say that a call was not answered; return when to ask again if the circuit is open now. Raises DatabaseUnavailable.

        not_before: the other side asked not to be called until then, which opens the circuit at once.
        """
        key, now = (tenant_id, subject, operation), self._now()
        async with self._db.tenant(tenant_id) as tx:
            await tx.execute(_FIRST, tenant_id, ids.new(), subject, operation, now)
            before = await _locked(tx, _LOCK, *key)
            assert before is not None, "a circuit is never deleted"
            after = models.failed(before, admission, now, why=why, not_before=not_before)
            queued, answer = (after, None) if after.state == "closed" else _queued(after, now)
            await _write(tx, tenant_id, before, queued)
        self._keep(key, queued)
        return answer

    async def _state(self, key: _Key) -> Circuit | None:
        until, circuit = self._known.get(key, (0.0, None))
        if time.monotonic() < until:
            return circuit
        async with self._db.tenant(key[0]) as tx:
            circuit = await _locked(tx, _READ, *key)
        self._keep(key, circuit)
        return circuit

    def _keep(self, key: _Key, circuit: Circuit | None) -> None:
        self._known[key] = (time.monotonic() + KEPT_S, circuit)
        self._known.move_to_end(key)
        if len(self._known) > KEPT_MAX:
            self._known.popitem(last=False)


async def reset_circuit(tx: Transaction, *, tenant_id: UUID, circuit_id: UUID, actor: str, now: datetime) -> None:
    """Close a circuit by hand. Raises CircuitNotFound."""
    before = await _locked(tx, _LOCK_BY_ID, tenant_id, circuit_id)
    shown = ids.show(ids.CIRCUIT, circuit_id)
    if before is None:
        raise CircuitNotFound(f"there is no circuit {shown}")
    await _write(tx, tenant_id, before, models.reset(before, now))
    changes = {"subject": before.subject, "operation": before.operation, "before": before.state, "after": "closed"}
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="circuit.reset", subject=shown, changes=changes)


def _queued(circuit: Circuit, now: datetime) -> tuple[Circuit, Refused]:
    """Give whoever failed a place among those who wait. It never probes in the same breath."""
    after, answer = models.asked(circuit, now)
    if isinstance(answer, Refused):
        return after, answer
    return circuit, Refused(now + models.SPACING)


async def _locked(tx: Transaction, statement: str, *key: Any) -> Circuit | None:
    row = await tx.fetchrow(statement, *key)
    return Circuit(**dict(row)) if row else None


async def _write(tx: Transaction, tenant_id: UUID, before: Circuit, after: Circuit) -> None:
    """Write what changed. The row is locked; that its revision stands is asked all the same."""
    if before == after:
        return
    values = [getattr(after, name) for name in _NAMES if name not in ("id", "subject", "operation", "revision")]
    written = await tx.fetchval(_WRITE, tenant_id, before.id, before.revision, *values)
    assert written is not None, "a locked circuit changed under its writer"
    if before.state != after.state:
        _log.warning(
            f"circuit.{after.state}",
            tenant=ids.show(ids.TENANT, tenant_id),
            subject=after.subject,
            operation=after.operation,
            before=before.state,
            failure=after.failure,
            not_before=after.not_before,
        )
