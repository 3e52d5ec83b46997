"""What routes that ask a gateway for something share: the process's way out, and waiting for a call's outcome."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from bursar.kernel.auth import Caller
from bursar.money.calls.asking import waited
from bursar.money.calls.models import CallState
from bursar.money.calls.outside import Outside


async def outcome_of(caller: Caller, call_id: UUID) -> CallState:
    """Wait until a call that was committed has an outcome, as long as the setting says; return its state."""
    at_most = timedelta(seconds=caller.resources.settings.outcome_wait_s)
    return await waited(caller.resources.db, tenant_id=caller.tenant_id, call_id=call_id, at_most=at_most)


async def _outside(request: Request) -> Outside:
    found = request.app.state.outside
    assert isinstance(found, Outside)
    return found


WayOut = Annotated[Outside, Depends(_outside)]
"""The process's way out, as a route takes it."""
