"""The way out: adapters that keep connections, and circuits, each once in a process; and reads that are made at once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from bursar.kernel import ids, tracing
from bursar.kernel.circuits import Admission, Circuits, Refused
from bursar.kernel.db import Database
from bursar.kernel.errors import GatewayRefused as Refusal
from bursar.kernel.errors import Unavailable
from bursar.kernel.seal import Seal
from bursar.money.gateways.calling import (
    DEADLINE_S,
    Answer,
    Caller,
    CallFailed,
    CredentialsRefused,
    GatewayBusy,
    GatewayRefused,
    NotSent,
    OperationUnsupported,
    OutcomeUnknown,
    StillRunning,
)
from bursar.money.gateways.calls import AnyCall, Kind
from bursar.money.intake.accounts import credentials

FETCH: Final = "fetch_object"
"""What a circuit calls the fetching of one object."""

ANSWERED: Final = (GatewayRefused, CredentialsRefused, StillRunning)
"""Failures that are answers: the gateway is there."""


class GatewayDoesNotAnswer(Unavailable):
    """The gateway cannot be reached now."""

    code = "gateway_unavailable"
    category = "gateway"


class GatewaySaidNo(Refusal):
    """The gateway refused what was asked of it."""

    code = "gateway_said_no"


@dataclass(frozen=True, slots=True)
class Place:
    """What a circuit stands for: an account and what is asked of it."""

    tenant_id: UUID
    account_id: UUID
    operation: str

    @property
    def subject(self) -> str:
        return ids.show(ids.GATEWAY_ACCOUNT, self.account_id)


class Outside:
    """caller_of: the adapter of a gateway, by name. clock: of circuits and ages. deadline_s: of one call, everything included."""

    def __init__(
        self, caller_of: Callable[[str], Caller], *, clock: Callable[[], datetime], deadline_s: float = DEADLINE_S
    ) -> None:
        self.caller_of = caller_of
        self.now = clock
        self.deadline_s = deadline_s
        self._circuits: WeakKeyDictionary[Database, Circuits] = WeakKeyDictionary()

    def circuits(self, db: Database) -> Circuits:
        found = self._circuits.get(db)
        if found is None:
            found = self._circuits[db] = Circuits(db, self.now)
        return found

    async def leave(self, db: Database, place: Place) -> Admission | Refused:
        """Ask the circuit of an account and operation."""
        return await self.circuits(db).ask(tenant_id=place.tenant_id, subject=place.subject, operation=place.operation)

    async def heard(
        self, db: Database, admission: Admission, failure: CallFailed | None, place: Place
    ) -> Refused | None:
        """Tell the circuit how a call went; return when to ask again if it is open now."""
        circuits = self.circuits(db)
        is_old_news = isinstance(failure, OutcomeUnknown) and failure.is_replayed
        if failure is None or is_old_news or isinstance(failure, ANSWERED):
            await circuits.passed(
                admission, tenant_id=place.tenant_id, subject=place.subject, operation=place.operation
            )
            return None
        asked = failure.after_s if isinstance(failure, GatewayBusy) else None
        not_before = None if asked is None else self.now() + timedelta(seconds=asked)
        return await circuits.failed(
            admission,
            tenant_id=place.tenant_id,
            subject=place.subject,
            operation=place.operation,
            why=failure.message,
            not_before=not_before,
        )


async def read_now(
    outside: Outside, db: Database, *, seal: Seal, is_production: bool, tenant_id: UUID, account_id: UUID, call: AnyCall
) -> Answer:
    """Ask a gateway for something that changes nothing there, at once; hold no transaction while it is asked.

    Raises OperationUnsupported, GatewayDoesNotAnswer, GatewaySaidNo, GatewayAccountNotFound, GatewayKeyMissing.
    """
    assert call.is_read, f"{call.operation} changes something: write an intent"
    async with db.tenant(tenant_id) as tx:
        name, opened = await credentials(
            tx, tenant_id=tenant_id, account_id=account_id, seal=seal, is_production=is_production
        )
    adapter = outside.caller_of(name)
    adapter.check(call)
    async with _within_circuit(outside, db, Place(tenant_id, account_id, call.operation)):
        with tracing.span(f"gateway {call.operation}", {"bursar.gateway": name}):
            return await adapter.execute(
                call, credentials=opened, idempotency_key=ids.encode(ids.new()), deadline_s=outside.deadline_s
            )


async def fetch_now(
    outside: Outside,
    db: Database,
    *,
    seal: Seal,
    is_production: bool,
    tenant_id: UUID,
    account_id: UUID,
    kind: Kind,
    ref: str,
) -> Answer | None:
    """Return an object as its gateway has it now; None: it has none. Raises as `read_now`."""
    async with db.tenant(tenant_id) as tx:
        name, opened = await credentials(
            tx, tenant_id=tenant_id, account_id=account_id, seal=seal, is_production=is_production
        )
    adapter = outside.caller_of(name)
    if kind not in adapter.fetches:
        raise OperationUnsupported(
            f"{name} shows no {kind.replace('_', ' ')}", hint=f"It shows: {', '.join(sorted(adapter.fetches))}."
        )
    async with _within_circuit(outside, db, Place(tenant_id, account_id, FETCH)):
        with tracing.span(f"gateway {FETCH}", {"bursar.gateway": name}):
            return await adapter.fetch(kind, ref, credentials=opened, deadline_s=outside.deadline_s)


@asynccontextmanager
async def _within_circuit(outside: Outside, db: Database, place: Place) -> AsyncIterator[None]:
    leave = await outside.leave(db, place)
    if isinstance(leave, Refused):
        raise _absent("calls to it have failed and are not made now")
    failure: CallFailed | None = None
    try:
        yield
    except CallFailed as error:
        failure = error
    await outside.heard(db, leave, failure, place)
    if isinstance(failure, GatewayRefused | CredentialsRefused):
        raise GatewaySaidNo(failure.message, hint="See the gateway's own dashboard.") from failure
    if isinstance(failure, NotSent | GatewayBusy | StillRunning | OutcomeUnknown):
        raise _absent(failure.message) from failure


def _absent(why: str) -> GatewayDoesNotAnswer:
    return GatewayDoesNotAnswer(f"the gateway does not answer: {why}", hint="Try again later.", retry_after_s=10)
