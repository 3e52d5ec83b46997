"""How often pages may be asked for: by session where somebody is signed in, by address where nobody is.

A page costs one of the general class, as for users of the API. What a page fetches by itself while it is open (its live
part, the stream of marks) has a limit of its own, so that open tabs lock nobody out. Files are not counted.
"""

from typing import Final
from uuid import UUID

from starlette.requests import Request

from bursar.kernel import ids
from bursar.kernel.auth.pace import tell
from bursar.kernel.errors import DomainError
from bursar.kernel.http.addresses import client_address, source_of
from bursar.kernel.rate_limits import RateLimited
from bursar.kernel.resources import resources_of

_STREAM: Final = "text/event-stream"


async def count_session(request: Request, session_id: UUID, *, tenant_id: UUID | None) -> None:
    """Count a request of a session. tenant_id: whose own limits count; None for operators. Raises RateLimited."""
    await _count(request, ids.show(ids.SESSION, session_id), tenant_id)


async def count_stranger(request: Request) -> None:
    """Count a request of nobody we know, by its address. Raises RateLimited."""
    address = client_address(request.scope, resources_of(request).settings)
    await _count(request, f"pages {source_of(address)}", None)


def for_people(refusal: DomainError) -> tuple[str, str]:
    """Return what a person is told of a refusal: what happened, and what to do."""
    if isinstance(refusal, RateLimited):
        return "Too many requests came from here within a minute.", f"Wait {refusal.retry_after_s} s, then try again."
    return refusal.message, refusal.hint


def is_scripted(request: Request) -> bool:
    """True for what an open page fetches by itself."""
    return "hx-request" in request.headers or request.headers.get("accept", "").startswith(_STREAM)


async def _count(request: Request, holder: str, tenant_id: UUID | None) -> None:
    resources = resources_of(request)
    is_part = request.method == "GET" and is_scripted(request)
    count = await resources.limits.count_page(
        resources.db if tenant_id else None, tenant_id=tenant_id, holder=holder, is_part=is_part
    )
    tell(request, count)
    if not count.is_admitted:
        raise RateLimited(count)
