"""What routes that ask a gateway for something share: the process's way out, and waiting for a call's outcome."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from bursar.kernel.auth import Caller
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.money.calls.asking import waited
from bursar.money.calls.models import CallState
from bursar.money.calls.outside import Outside


async def outcome_of(caller: Caller, call_id: UUID) -> CallState:
    """Wait until a call that was committed has an outcome, as long as the setting says; return its state."""
    at_most = timedelta(seconds=caller.resources.settings.outcome_wait_s)
    return await waited(caller.resources.db, tenant_id=caller.tenant_id, call_id=call_id, at_most=at_most)


class Asked(Protocol):
    """What was asked for, as its resource tells it."""

    @property
    def status(self) -> str: ...
    @property
    def failure(self) -> str | None: ...
    @property
    def failure_code(self) -> str | None: ...


class AskedByCall(Asked, Protocol):
    """The same, where one call does it."""

    @property
    def gateway_call(self) -> UUID: ...


Found = TypeVar("Found", bound=AskedByCall)


async def followed(caller: Caller, read: Callable[[Transaction], Awaitable[Found]]) -> Found:
    """Return what was asked for as it is when its call has an outcome, or when the wait is over."""
    async with caller.transaction() as tx:
        asked = await read(tx)
    await outcome_of(caller, asked.gateway_call)
    async with caller.transaction() as tx:
        return await read(tx)


def check_not_refused(found: Asked, refusal: type[GatewayRefused], *, hint: str, **context: str) -> None:
    """Raises the refusal, in the gateway's words and with its code, if that is what came of it."""
    if found.status == "refused":
        raise refusal(
            found.failure or "the gateway refused it",
            hint=hint,
            context={**context, "gateway_code": found.failure_code or ""},
        )


async def _outside(request: Request) -> Outside:
    found = request.app.state.outside
    assert isinstance(found, Outside)
    return found


WayOut = Annotated[Outside, Depends(_outside)]
"""The process's way out, as a route takes it."""
