"""Routes for callers we know: each declares what it needs, and is refused at the start of the process if it does not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from bursar.kernel import ids, permissions
from bursar.kernel.access import Giver
from bursar.kernel.auth.keys import Keys, refused
from bursar.kernel.auth.principal import Principal
from bursar.kernel.auth.refusals import observe_refusal, observe_suspicion
from bursar.kernel.db import Transaction
from bursar.kernel.errors import DomainError
from bursar.kernel.http.bodies import StrictRoute
from bursar.kernel.http.suspicion import Suspicion
from bursar.kernel.resources import Resources, resources_of

GENERAL: Final = "general"
_POLICY: Final = "__bursar_policy__"

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route asks of its callers. permission: one of `permissions.ALL`. rate: the class whose limits count."""

    permission: str
    rate: str = GENERAL


def needs(permission: str, *, rate: str = GENERAL) -> Callable[[Endpoint], Endpoint]:
    """Declare what a route needs; stands between the router's decorator and the function."""
    assert permission in permissions.ALL, permission

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _POLICY, Policy(permission, rate))
        return endpoint

    return declare


def policy_of(endpoint: Callable[..., Any]) -> Policy:
    """Return what was declared. Raises TypeError: a route that declares nothing would be open to everybody."""
    policy = getattr(endpoint, _POLICY, None)
    if not isinstance(policy, Policy):
        raise TypeError(f"{endpoint.__module__}.{endpoint.__name__} does not declare what it needs")
    return policy


class TenantRoute(StrictRoute):
    """A route for callers of one tenant: nothing of a stranger's body is read."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        self.policy = policy_of(endpoint)
        extra = {"x-permission": self.policy.permission, **(given.pop("openapi_extra", None) or {})}
        super().__init__(path, endpoint, openapi_extra=extra, **given)

    async def admit(self, request: Request) -> None:
        principal = await _recognised(request)
        request.state.principal = principal
        request.scope["log"] = {"tenant": ids.show(ids.TENANT, principal.tenant_id), "actor": principal.actor}
        principal.require(self.policy.permission)

    async def refused(self, request: Request, refusal: DomainError) -> None:
        await observe_refusal(request, refusal)

    async def suspected(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        await observe_suspicion(request, where, found)


async def _recognised(request: Request) -> Principal:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise refused()
    keys: Keys = request.app.state.keys
    return await keys.principal(resources_of(request).db, credential.strip())


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a route with what the process works with."""

    principal: Principal
    resources: Resources

    @property
    def tenant_id(self) -> UUID:
        return self.principal.tenant_id

    @property
    def actor(self) -> str:
        return self.principal.actor

    @property
    def giver(self) -> Giver:
        """The caller as one who gives something to others: at most what it has itself."""
        principal = self.principal
        return Giver(principal.actor, principal.permissions, principal.id if principal.kind == "key" else None)

    def now(self) -> datetime:
        return self.resources.now()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open the request's one transaction. It is committed when the block ends, before the answer goes out."""
        async with self.resources.db.tenant(self.tenant_id) as tx:
            yield tx


_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", bearerFormat="bsk_…", description="One tenant's API key, `bsk_…`."
)


def _caller(request: Request, _key: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Caller:
    return Caller(request.state.principal, resources_of(request))


CallerOf = Annotated[Caller, Depends(_caller)]
"""The caller, as a parameter of a route whose router has `route_class=TenantRoute`."""
