"""How often callers may ask, at the door: strangers by their address before anything is looked up, callers after they are known."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from bursar.kernel.auth.principal import Principal
from bursar.kernel.errors import Unauthenticated
from bursar.kernel.http.addresses import client_address, source_of
from bursar.kernel.rate_limits import Count, RateClass, RateLimited
from bursar.kernel.resources import resources_of

Recognise = Callable[[Request], Awaitable[Principal]]


async def recognised_in_time(request: Request, recognise: Recognise, *, credential: str) -> Principal:
    """Recognise a caller, unless too many credentials from its address were refused within the last minute.

    A credential that was good lately is not held up by others behind the same address.
    Raises RateLimited, Unauthenticated, and what else `recognise` raises.
    """
    resources = resources_of(request)
    limiter = resources.limits
    address = source_of(client_address(request.scope, resources.settings))
    if not limiter.is_acquainted_with(credential):
        _admit(request, await limiter.look_at_stranger(address))
    try:
        principal = await recognise(request)
    except Unauthenticated:
        limiter.forget(credential)
        tell(request, await limiter.count_stranger(address))
        raise
    limiter.remember(credential)
    return principal


async def count_caller(request: Request, principal: Principal, rate: RateClass) -> None:
    """Count a request of a caller. Raises RateLimited."""
    resources = resources_of(request)
    counted = await resources.limits.count_caller(
        resources.db,
        tenant_id=principal.tenant_id,
        holder="key" if principal.kind == "key" else "user",
        actor=principal.actor,
        rate=rate,
    )
    _admit(request, counted)


async def count_sign_in(request: Request) -> None:
    """Count an attempt to sign in, before anything is looked at. Raises RateLimited, RateLimitsUnavailable."""
    resources = resources_of(request)
    address = source_of(client_address(request.scope, resources.settings))
    _admit(request, await resources.limits.count_sign_in(address))


def tell(request: Request, count: Count) -> None:
    """Say on the answer how many requests are left."""
    request.scope["answer_headers"] = count.headers


def _admit(request: Request, count: Count) -> None:
    tell(request, count)
    if not count.is_admitted:
        raise RateLimited(count)
