"""One's own account: password and sessions. Only for users: a key and an operator have no account here."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import audit, ids
from bursar.kernel.auth import signed_in
from bursar.kernel.errors import Forbidden
from bursar.kernel.identity import letters, second_factor, sessions, users
from bursar.kernel.identity.choosing import Chooser, change_password, require_password
from bursar.kernel.identity.passwords import LENGTH_MIN
from bursar.kernel.listing import LIMIT_MAX, Slice
from bursar.web.pages import cookies
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import FormInvalid, Visit, Visiting, to

Done = Literal["", "password", "sent", "ended", "on", "off", "codes", "needed"]

router = APIRouter(route_class=PageRoute)


class NoAccount(Forbidden):
    """Whoever came with an API key or as an operator has no account of their own here."""

    code = "no_account"


class PasswordNeeded(Forbidden):
    """The password was shown too long ago for what is asked."""

    code = "password_needed"


@router.get("/account")
@signed_in
async def account(visit: Visiting, done: Done = "") -> Response:
    """Show one's account."""
    user_id = own_id(visit)
    async with visit.open() as page:
        own = await users.user(page.tx, tenant_id=visit.tenant_id, user_id=user_id)
        opened = await sessions.sessions(page.tx, tenant_id=visit.tenant_id, page=Slice(LIMIT_MAX), user_id=user_id)
        return page.answer(
            "account.html",
            own=own,
            sessions=[(ids.show(ids.SESSION, one.id), one) for one in opened.rows],
            this=ids.show(ids.SESSION, visit.session.id),
            codes_left=await second_factor.codes_left(page.tx, tenant_id=visit.tenant_id, user_id=user_id),
            length_min=LENGTH_MIN,
            done=done,
        )


@router.post("/account/password")
@signed_in
async def password(visit: Visiting) -> Response:
    """Replace the password; the other sessions end."""
    user_id, fields = own_id(visit), await visit.form()
    if fields.get("password", "") != fields.get("again", ""):
        raise FormInvalid("The two passwords differ.", hint="Go back and type them again.")
    token = await change_password(
        visit.resources.db,
        visit.resources.passwords,
        tenant_id=visit.tenant_id,
        user_id=user_id,
        session_id=visit.session.id,
        present=fields.get("present", ""),
        password=fields.get("password", ""),
        device=cookies.device_of(visit.request),
        now=visit.now,
    )
    return cookies.admit(to("/account?done=password"), token, request=visit.request)


@router.post("/account/verification")
@signed_in
async def verification(visit: Visiting) -> Response:
    """Have a link sent that shows that mail arrives."""
    user_id = own_id(visit)
    await visit.form()
    async with visit.open() as page:
        own = await users.user(page.tx, tenant_id=visit.tenant_id, user_id=user_id)
        await letters.write_limited(
            page.tx, tenant_id=visit.tenant_id, kind="email_verification", email=own.email, now=visit.now
        )
    return to("/account?done=sent")


@router.post("/account/sessions/{session}/end")
@signed_in
async def end_session(visit: Visiting, session: str) -> Response:
    """End one of one's own sessions."""
    user_id, session_id = own_id(visit), ids.parse(ids.SESSION, session)
    await proven(visit)
    async with visit.open() as page:
        await sessions.revoke(
            page.tx,
            tenant_id=visit.tenant_id,
            session_id=session_id,
            actor=visit.actor,
            now=visit.now,
            of_user=user_id,
        )
    return to("/account?done=ended")


@router.post("/account/sessions/end")
@signed_in
async def end_others(visit: Visiting) -> Response:
    """End all of one's own sessions but this one."""
    await proven(visit)
    user_id = own_id(visit)
    async with visit.open() as page:
        ended = await sessions.end_all_of(
            page.tx, tenant_id=visit.tenant_id, user_id=user_id, now=visit.now, but=visit.session.id
        )
        subject = ids.show(ids.USER, user_id)
        await audit.record(
            page.tx,
            tenant_id=visit.tenant_id,
            actor=visit.actor,
            action="user.sessions_ended",
            subject=subject,
            changes={"ended": ended},
        )
    return to("/account?done=ended")


def own_id(visit: Visit) -> UUID:
    """Return the user who visits. Raises NoAccount."""
    if visit.principal.kind != "user":
        raise NoAccount("You came with a key, not as a person: there is no account to show.", hint="Sign in by e-mail.")
    return visit.principal.id


async def proven(visit: Visit) -> tuple[Chooser, dict[str, str]]:
    """Return the visitor and the form, once the password in it was found right. Raises PasswordWrong, SignInLimited."""
    fields = await visit.form()
    return await _shown(visit, fields), fields


async def proven_lately(visit: Visit) -> dict[str, str]:
    """Return the form of an act that gives power to somebody, if the visitor's password was shown lately, or is in it.

    Raises PasswordNeeded, PasswordWrong, SignInLimited.
    """
    fields = await visit.form()
    if visit.is_proven:
        return fields
    if not fields.get("present"):
        raise PasswordNeeded(
            "This needs your password once more.", hint="Go back, reload the page, and type it into the form."
        )
    await _shown(visit, fields)
    return fields


async def _shown(visit: Visit, fields: dict[str, str]) -> Chooser:
    """Return who visits, once the password is found right, and note that it was."""
    whose = await require_password(
        visit.resources.db,
        visit.resources.passwords,
        tenant_id=visit.tenant_id,
        user_id=own_id(visit),
        password=fields.get("present", ""),
        device=cookies.device_of(visit.request),
        now=visit.now,
    )
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        await sessions.prove(tx, tenant_id=visit.tenant_id, session_id=visit.session.id, now=visit.now)
    return whose
