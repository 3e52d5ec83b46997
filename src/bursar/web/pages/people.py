"""People: who may sign in to the business, with which roles, and where they are signed in."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.access.roles import roles
from bursar.kernel.auth import needs
from bursar.kernel.db import Transaction
from bursar.kernel.identity import letters, sessions, users
from bursar.kernel.listing import LIMIT_MAX, Slice
from bursar.web.pages.account import proven_lately
from bursar.web.pages.paging import Before
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visit, Visiting, to

_ROLE_FIELD = "role "
_SHOWN = 50

Done = Literal["", "invited", "changed", "deactivated", "reactivated", "ended", "sent"]

router = APIRouter(route_class=PageRoute)


@router.get("/people")
@needs("users:read")
async def people(visit: Visiting, done: Done = "", before_id: Before = None) -> Response:
    """Show the users, newest first, and the form that invites one more."""
    after = ids.parse(ids.USER, before_id) if before_id else None
    async with visit.open() as page:
        found = await users.users(page.tx, tenant_id=visit.tenant_id, page=Slice(_SHOWN, after))
        return page.answer(
            "people.html",
            people=[(ids.show(ids.USER, one.id), one) for one in found.rows],
            after=ids.show(ids.USER, found.next_after) if found.next_after else None,
            is_newest=before_id is None,
            roles=await _choices(page.tx, visit),
            done=done,
        )


@router.post("/people")
@needs("users:write")
async def invite(visit: Visiting) -> Response:
    """Invite somebody."""
    fields = await proven_lately(visit)
    async with visit.open() as page:
        await users.invite(
            page.tx,
            tenant_id=visit.tenant_id,
            email=fields.get("email", ""),
            name=fields.get("name", ""),
            roles=_ticked(fields),
            by=visit.principal.giver,
            now=visit.now,
        )
    return to("/people?done=invited")


@router.get("/people/{user}")
@needs("users:read")
async def person(visit: Visiting, user: str, done: Done = "") -> Response:
    """Show one user, their roles, and where they are signed in."""
    user_id = ids.parse(ids.USER, user)
    async with visit.open() as page:
        found = await users.user(page.tx, tenant_id=visit.tenant_id, user_id=user_id)
        opened = await sessions.sessions(page.tx, tenant_id=visit.tenant_id, page=Slice(LIMIT_MAX), user_id=user_id)
        return page.answer(
            "person.html",
            person=found,
            person_id=ids.show(ids.USER, user_id),
            roles=await _choices(page.tx, visit),
            sessions=[(ids.show(ids.SESSION, one.id), one) for one in opened.rows],
            done=done,
        )


@router.post("/people/{user}/roles")
@needs("users:write")
async def change_roles(visit: Visiting, user: str) -> Response:
    """Give a user other roles."""
    user_id = ids.parse(ids.USER, user)
    fields = await proven_lately(visit)
    async with visit.open() as page:
        await users.change(
            page.tx,
            tenant_id=visit.tenant_id,
            user_id=user_id,
            roles=_ticked(fields),
            name=None,
            by=visit.principal.giver,
            now=visit.now,
        )
    return _back(user_id, "changed")


@router.post("/people/{user}/deactivate")
@needs("users:write")
async def deactivate(visit: Visiting, user: str) -> Response:
    """Let a user in no more."""
    user_id = ids.parse(ids.USER, user)
    await visit.form()
    async with visit.open() as page:
        await users.deactivate(
            page.tx, tenant_id=visit.tenant_id, user_id=user_id, by=visit.principal.giver, now=visit.now
        )
    return _back(user_id, "deactivated")


@router.post("/people/{user}/reactivate")
@needs("users:write")
async def reactivate(visit: Visiting, user: str) -> Response:
    """Let a user in again."""
    user_id = ids.parse(ids.USER, user)
    await proven_lately(visit)
    async with visit.open() as page:
        await users.reactivate(page.tx, tenant_id=visit.tenant_id, user_id=user_id, by=visit.principal.giver)
    return _back(user_id, "reactivated")


@router.post("/people/{user}/letter")
@needs("users:write")
async def write_again(visit: Visiting, user: str) -> Response:
    """Send the invitation once more, or a link for a new password."""
    user_id = ids.parse(ids.USER, user)
    await visit.form()
    async with visit.open() as page:
        found = await users.user(page.tx, tenant_id=visit.tenant_id, user_id=user_id)
        kind: letters.Kind = "invitation" if found.status == "invited" else "password_reset"
        await letters.write(page.tx, tenant_id=visit.tenant_id, kind=kind, email=found.email, now=visit.now)
    return _back(user_id, "sent")


@router.post("/people/{user}/sessions/{session}/end")
@needs("users:write")
async def end_session(visit: Visiting, user: str, session: str) -> Response:
    """End one of a user's sessions."""
    user_id, session_id = ids.parse(ids.USER, user), ids.parse(ids.SESSION, session)
    await visit.form()
    async with visit.open() as page:
        await sessions.revoke(
            page.tx,
            tenant_id=visit.tenant_id,
            session_id=session_id,
            actor=visit.actor,
            now=visit.now,
            of_user=user_id,
        )
    return _back(user_id, "ended")


async def _choices(tx: Transaction, visit: Visit) -> list[tuple[str, bool]]:
    """Return the roles there are, and which of them the visitor may give."""
    held = visit.principal.permissions
    return [(role.name, held.issuperset(role.permissions)) for role in await roles(tx, tenant_id=visit.tenant_id)]


def _ticked(fields: dict[str, str]) -> list[str]:
    return [name.removeprefix(_ROLE_FIELD) for name in fields if name.startswith(_ROLE_FIELD)]


def _back(user_id: UUID, done: Done) -> Response:
    return to(f"/people/{ids.show(ids.USER, user_id)}?done={done}")
