"""Routes for callers we know: each declares what it needs, and is refused at the start of the process if it does not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Protocol, TypeVar
from uuid import UUID

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel import idempotency, ids, permissions
from bursar.kernel.access import Giver
from bursar.kernel.access.api_keys import PREFIX
from bursar.kernel.auth.keys import Keys, refused
from bursar.kernel.auth.once import METHODS, Finish, Handle, Joined, Once
from bursar.kernel.auth.outcomes import Outcome, final_of
from bursar.kernel.auth.pace import count_caller, recognised_in_time
from bursar.kernel.auth.principal import Principal
from bursar.kernel.auth.refusals import observe_refusal, observe_suspicion
from bursar.kernel.db import Transaction
from bursar.kernel.errors import DomainError
from bursar.kernel.http.addresses import client_address
from bursar.kernel.http.bodies import BODY_BYTES_MAX
from bursar.kernel.http.handlers import REFUSALS
from bursar.kernel.http.revalidation import is_revalidated, told_once
from bursar.kernel.http.routes import StrictRoute
from bursar.kernel.http.suspicion import Suspicion
from bursar.kernel.idempotency import Retention
from bursar.kernel.rate_limits import RateClass
from bursar.kernel.resources import Resources, resources_of
from bursar.kernel.retentions import RetentionClass, defaults
from bursar.kernel.settings import Settings

GENERAL: Final[RateClass] = "general"

TENANT_HEADER: Final = "Bursar-Tenant"
"""Says whose data a token is for. An API key says it itself."""

_TOKEN_DOTS: Final = 2
_MOVING_MONEY: Final = frozenset({"payments:write", "refunds:write"})
_KEY_PARAMETER: Final = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same request gives the first one's answer and does nothing again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.KEY_LENGTH_MAX, "pattern": "^[!-~]+$"},
}

PUBLIC: Final = "public"
SIGNED_IN: Final = "signed in"
OPERATORS: Final = "operators"
"""What pages may declare instead of a permission: everybody, whoever is signed in, operators of the installation."""

_POLICY: Final = "__bursar_policy__"

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class TokenReader(Protocol):
    """Whoever can say whose a bearer token is: `kernel.oidc` does."""

    async def principal(self, resources: Resources, token: str, *, tenant: str | None) -> Principal: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route asks of its callers. permission: one of `permissions.ALL`, or of a page's words for none of them.

    rate: the class whose limits count. outcome: how an answer of 202 becomes final after the commit.
    is_secret: the final answer opens something and is told, not kept: a repetition asks again what the outcome is.
    is_read: nothing is written, or nothing that a repeat would write again, whatever the method: an Idempotency-Key has nothing to keep, and
    opens no transaction. bytes_max: of the body.
    """

    permission: str
    rate: RateClass = GENERAL
    outcome: Outcome | None = None
    is_secret: bool = False
    is_read: bool = False
    bytes_max: int = BODY_BYTES_MAX

    @property
    def retention_class(self) -> RetentionClass:
        """Say which class of retention the answer to an Idempotency-Key is of."""
        match self.rate:
            case "checkout" | "subscription_change":
                return self.rate
            case _ if self.permission in _MOVING_MONEY:
                return "payment"
            case _:
                return "general"

    def retention_of(self, settings: Settings) -> Retention:
        """Return how long the answer to an Idempotency-Key is kept."""
        return Retention(self.retention_class, defaults(settings)[self.retention_class])


def needs(
    permission: str,
    *,
    rate: RateClass = GENERAL,
    outcome: Outcome | None = None,
    is_secret: bool = False,
    is_read: bool = False,
    bytes_max: int = BODY_BYTES_MAX,
) -> Callable[[Endpoint], Endpoint]:
    """Declare what a route needs; stands between the router's decorator and the function.

    outcome: given, the route answers 202 with the `id` of an intent, and 201 as soon as its outcome is known.
    is_secret: the 201 is not kept with an Idempotency-Key. is_read: of a POST that asks only.
    """
    assert permission in permissions.ALL, permission

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _POLICY, Policy(permission, rate, outcome, is_secret, is_read, bytes_max))
        return endpoint

    return declare


def public(endpoint: Endpoint) -> Endpoint:
    """Declare that a page is for everybody."""
    setattr(endpoint, _POLICY, Policy(PUBLIC))
    return endpoint


def signed_in(endpoint: Endpoint) -> Endpoint:
    """Declare that a page is for whoever is signed in, whatever they may do."""
    setattr(endpoint, _POLICY, Policy(SIGNED_IN))
    return endpoint


def for_operators(endpoint: Endpoint) -> Endpoint:
    """Declare that a page is for operators of the installation."""
    setattr(endpoint, _POLICY, Policy(OPERATORS))
    return endpoint


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
        assert self.policy.permission in permissions.ALL, "only pages may do without a permission"
        extra = {"x-permission": self.policy.permission, **(given.pop("openapi_extra", None) or {})}
        self._takes_key = bool(METHODS.intersection(given.get("methods") or ())) and not self.policy.is_read
        if self._takes_key:
            # A router that takes in another makes its routes again, with what they had.
            others = [told for told in extra.get("parameters", ()) if told["name"] != idempotency.HEADER]
            extra["parameters"] = [*others, _KEY_PARAMETER]
        responses = {**REFUSALS, **(given.pop("responses", None) or {})}
        super().__init__(path, endpoint, openapi_extra=extra, responses=responses, **given)
        self.bytes_max = self.policy.bytes_max
        self._once = Once(self.path_format)
        self._is_revalidated = is_revalidated(endpoint)

    async def answer(self, request: Request, handle: Handle) -> Response:
        key = idempotency.key_of(request.headers.getlist(idempotency.HEADER)) if self._takes_key else None
        finish = self._finish_of(request)
        if key is None:
            answer = await handle(request)
            if self._is_revalidated:
                return told_once(request, answer)
            return answer if finish is None else await finish(answer)
        retention = self.policy.retention_of(resources_of(request).settings)
        return await self._once.answer(
            request,
            handle,
            key=key,
            takes_body=self.takes_body,
            retention=retention,
            finish=finish,
            is_kept=not self.policy.is_secret,
        )

    def _finish_of(self, request: Request) -> Finish | None:
        outcome = self.policy.outcome
        if outcome is None:
            return None
        return lambda answer: final_of(answer, Caller(request.state.principal, resources_of(request)), outcome)

    async def admit(self, request: Request) -> None:
        credential = request.headers.get("authorization", "")
        principal = await recognised_in_time(request, _recognised, credential=credential)
        request.state.principal = principal
        request.scope["log"] = {"tenant": ids.show(ids.TENANT, principal.tenant_id), "actor": principal.actor}
        await count_caller(request, principal, self.policy.rate)
        principal.require(self.policy.permission)

    async def refused(self, request: Request, refusal: DomainError) -> None:
        await observe_refusal(request, refusal)

    async def suspected(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        await observe_suspicion(request, where, found)


async def _recognised(request: Request) -> Principal:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise refused()
    resources, credential = resources_of(request), credential.strip()
    if _is_token(credential):
        tokens: TokenReader = request.app.state.tokens
        return await tokens.principal(resources, credential, tenant=request.headers.get(TENANT_HEADER))
    keys: Keys = request.app.state.keys
    address = client_address(request.scope, resources.settings)
    return await keys.principal(resources, credential, address=address)


def _is_token(credential: str) -> bool:
    """True for what has the form of a JWT, and not of an API key of ours."""
    return credential.count(".") == _TOKEN_DOTS and not credential.startswith(PREFIX)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a route with what the process works with."""

    principal: Principal
    resources: Resources
    joined: Joined | None = None

    @property
    def tenant_id(self) -> UUID:
        return self.principal.tenant_id

    @property
    def actor(self) -> str:
        return self.principal.actor

    @property
    def giver(self) -> Giver:
        return self.principal.giver

    def now(self) -> datetime:
        return self.resources.now()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open the request's one transaction. It is committed when the block ends, before the answer goes out.

        Where the request has an Idempotency-Key, this is the transaction that will keep the answer: committed a little later.
        """
        opened = self.joined.transaction() if self.joined else self.resources.db.tenant(self.tenant_id)
        async with opened as tx:
            yield tx


_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="API key",
    bearerFormat="bsk_…",
    description=(
        "One tenant's API key, `bsk_…`; or a token of an identity provider that the tenant accepts, "
        f"with the header `{TENANT_HEADER}: ten_…`."
    ),
)


# FastAPI sends a dependency that is no coroutine to a thread: two switches in every request, for nothing.
async def _caller(request: Request, _key: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Caller:
    return Caller(request.state.principal, resources_of(request), getattr(request.state, "joined", None))


CallerOf = Annotated[Caller, Depends(_caller)]
"""The caller, as a parameter of a route whose router has `route_class=TenantRoute`."""
