"""What a request tells of its caller: refused keys, missing permissions, ids that are not theirs, texts of attackers."""

import re
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request

from bursar.kernel import ids
from bursar.kernel.auth.principal import Principal
from bursar.kernel.errors import DomainError, Forbidden, NotFound, Unauthenticated
from bursar.kernel.http.addresses import client_address
from bursar.kernel.http.suspicion import Suspicion
from bursar.kernel.http.trees import levels
from bursar.kernel.idempotency import IdempotencyKeyReused
from bursar.kernel.permissions import PermissionMissing
from bursar.kernel.rate_limits import RateLimited
from bursar.kernel.resources import resources_of
from bursar.kernel.security import Kind, observe

_CLAIMED: Final = re.compile(r"bsk_([0-9a-z]{26})", re.ASCII)
_TENANT: Final = re.compile(r"ten_([0-9a-z]{26})", re.ASCII)
_PUBLIC_ID: Final = re.compile(r"[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}", re.ASCII)
_SUBJECTS_MAX: Final = 3
_VALUES_MAX: Final = 1000


class FormRefused(Forbidden):
    """The form was not sent from a page of this session."""

    code = "form_refused"


async def observe_refusal(request: Request, refusal: DomainError) -> None:
    """Count a refusal if it is one of those that say something about the caller. Neither waits nor fails."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if isinstance(refusal, RateLimited):
        await _observe(request, principal, "rate_limited", detail=f"{_route(request)}: {refusal.count.limit.name}")
        return
    if isinstance(refusal, FormRefused):
        await _observe(request, principal, "csrf_refused", detail=_route(request))
        return
    if principal is None:
        if isinstance(refusal, Unauthenticated):
            await _observe_stranger(request)
        return
    if isinstance(refusal, PermissionMissing):
        await _observe(request, principal, "permission_refused", detail=f"{_route(request)}: {refusal.message}")
    elif isinstance(refusal, IdempotencyKeyReused):
        await _observe(request, principal, "idempotency_reused", detail=_route(request))
    elif isinstance(refusal, NotFound):
        for subject in _subjects(request, refusal):
            await _observe(request, principal, "unknown_id", detail=_route(request), subject=subject)


async def observe_suspicion(request: Request, where: str, found: frozenset[Suspicion]) -> None:
    """Count a request that looks like an attack. where: `address`, `body` or `form`. Neither waits nor fails."""
    principal: Principal | None = getattr(request.state, "principal", None)
    told = f"{_route(request)}: {', '.join(sorted(found))} in its {where}"
    await _observe(request, principal, "suspicious_input", detail=told)


async def _observe_stranger(request: Request) -> None:
    """Count a credential that was refused, as seen by the tenant that it claims to be of."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return
    kind: Kind = "token_refused" if credential.lstrip().startswith("eyJ") else "key_refused"
    claimed = _CLAIMED.match(credential.strip()) or _TENANT.fullmatch(request.headers.get("bursar-tenant", ""))
    await observe(
        resources_of(request),
        tenant_id=_decoded(claimed[1]) if claimed else None,
        kind=kind,
        actor="",
        address=_address(request),
        detail=_route(request),
    )


async def _observe(
    request: Request, principal: Principal | None, kind: Kind, *, detail: str, subject: str | None = None
) -> None:
    await observe(
        resources_of(request),
        tenant_id=principal.tenant_id if principal else None,
        kind=kind,
        actor=principal.actor if principal else "",
        address=_address(request),
        detail=detail,
        subject=subject,
    )


def _subjects(request: Request, refusal: DomainError) -> list[str]:
    """Return the well-formed ids that were not there: those of the refusal's fields, else the path's, else the body's."""
    body = getattr(request, "_json", None)
    named = (_value_at(field.field, request, body) for field in refusal.fields)
    found = [value for value in named if _is_id(value)]
    found = found or [value for value in request.path_params.values() if _is_id(value)]
    found = found or [value for level in levels(body, items_max=_VALUES_MAX) for value in level if _is_id(value)]
    return list(dict.fromkeys(found))[:_SUBJECTS_MAX]


def _value_at(field: str, request: Request, body: Any) -> Any:
    if field in request.query_params:
        return request.query_params[field]
    value = body
    for part in field.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:6]) < len(value):
            value = value[int(part[:6])]
        else:
            return None
    return value


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _PUBLIC_ID.fullmatch(value) is not None


def _decoded(text: str) -> UUID | None:
    try:
        return ids.decode(text)
    except ValueError:
        return None


def _route(request: Request) -> str:
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path_format', '')}"


def _address(request: Request) -> str:
    return client_address(request.scope, resources_of(request).settings)
