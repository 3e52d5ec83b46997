"""Who may see a page: asked once, before the page's own code runs, by what its route declares."""

from typing import Final

from starlette.requests import Request

from bursar.kernel import ids
from bursar.kernel.auth import OPERATORS, PUBLIC, SIGNED_IN, Policy
from bursar.kernel.http.addresses import client_address
from bursar.kernel.identity import operators
from bursar.kernel.identity.recognising import Visitor, visitor
from bursar.kernel.resources import resources_of
from bursar.web.pages import cookies, pace

_ALSO_WEAK: Final = ("/account", "/sign-out")
"""Pages for whoever has yet to set up the second factor that the installation requires."""


class SignInNeeded(Exception):
    """Nobody we know is looking at this page."""


class SecondFactorNeeded(Exception):
    """The visitor must set up a second factor before anything else."""


class OperatorNeeded(Exception):
    """The page is for operators of the installation, and none is signed in here."""


async def admit(request: Request, policy: Policy) -> None:
    """Return if whoever asks may see the page; `request.state.visitor` is who.

    Raises SignInNeeded, SecondFactorNeeded, OperatorNeeded, PermissionMissing, RateLimited.
    """
    if policy.permission == PUBLIC:
        await pace.count_stranger(request)
        return
    if policy.permission == OPERATORS:
        await _admit_operator(request)
        return
    found = await recognised(request)
    if found is None or found.session.is_pending:
        await pace.count_stranger(request)
        raise SignInNeeded
    principal = found.principal
    request.state.visitor, request.state.principal = found, principal
    request.scope["log"] = {"tenant": ids.show(ids.TENANT, principal.tenant_id), "actor": principal.actor}
    await pace.count_session(request, found.session.id, tenant_id=principal.tenant_id)
    is_required = resources_of(request).settings.second_factor == "required"
    if is_required and not found.session.is_strong and not request.url.path.startswith(_ALSO_WEAK):
        raise SecondFactorNeeded
    if policy.permission != SIGNED_IN:
        principal.require(policy.permission)


async def recognised(request: Request) -> Visitor | None:
    """Return whose session's cookie the browser shows, if any."""
    token = cookies.token_in(request)
    resources = resources_of(request)
    address = client_address(request.scope, resources.settings)
    return await visitor(resources.db, token, now=resources.now(), address=address) if token else None


async def _admit_operator(request: Request) -> None:
    token, resources = cookies.token_in(request, cookies.OPERATOR), resources_of(request)
    found = await operators.operator(resources.db, token, now=resources.now()) if token else None
    if found is None:
        await pace.count_stranger(request)
        raise OperatorNeeded
    request.state.operator = found
    request.scope["log"] = {"actor": f"operator:{ids.show(ids.OPERATOR, found.id)}"}
    await pace.count_session(request, found.session_id, tenant_id=None)
