"""Routes of sessions: who is signed in, and an end to it."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Page, PageFilters, View, page_of
from bursar.kernel.http.identifiers import SessionId, UserId
from bursar.kernel.identity import sessions

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["users"])


class SessionFilters(PageFilters):
    user: UserId | None = None


class Revoked(View):
    """A session that was ended."""

    id: SessionId
    status: Literal["ended"] = "ended"
    ended_at: datetime = Field(description="From then on its cookie opens nothing.")


@router.get("/sessions")
@needs("users:read")
async def list_sessions(caller: CallerOf, filters: Annotated[SessionFilters, Query()]) -> Page[sessions.SessionView]:
    """List the open sessions of the pages, newest first."""
    async with caller.transaction() as tx:
        return page_of(
            await sessions.sessions(tx, tenant_id=caller.tenant_id, page=filters.slice, user_id=filters.user)
        )


@router.post("/sessions/{session}/revocations", status_code=201)
@needs("users:write")
async def revoke_session(caller: CallerOf, session: Annotated[SessionId, Path()]) -> Revoked:
    """End a session: its next request is sent to the door."""
    now = caller.now()
    async with caller.transaction() as tx:
        await sessions.revoke(tx, tenant_id=caller.tenant_id, session_id=session, actor=caller.actor, now=now)
    return Revoked(id=session, ended_at=now)
