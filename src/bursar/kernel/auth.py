"""Who calls: one API key, one tenant.

Invariants:
- a key is looked up as its own tenant, so that no look-up ever crosses tenants;
- unknown, wrong and revoked keys get the same answer;
- a revoked key stops working within two seconds.
"""

import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Unauthenticated
from bursar.kernel.http.bodies import StrictRoute
from bursar.kernel.resources import Resources, resources_of

REMEMBERED_S: Final = 2.0
_REMEMBERED_MAX = 4096
_FORM = re.compile(r"bsk_([0-9a-z]{26})([0-9a-z]{26})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODY = b"\0" * 32

_KEY = "select secret_sha256 from api_key where tenant_id = $1 and id = $2 and revoked_at is null"


@dataclass(frozen=True, slots=True)
class Principal:
    """The key that calls, and whose it is."""

    tenant_id: UUID
    key_id: UUID

    @property
    def actor(self) -> str:
        """How the audit trail names the caller."""
        return f"key:{ids.show(ids.API_KEY, self.key_id)}"


class Keys:
    """Checks API keys, and remembers good ones for a moment."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def principal(self, db: Database, key: str) -> Principal:
        """Return whose key this is. Raises Unauthenticated."""
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        until, known = self._known.get(digest, (0.0, None))
        if known and time.monotonic() < until:
            return known
        found = await _checked(db, key)
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[digest] = (time.monotonic() + REMEMBERED_S, found)
        return found


async def _checked(db: Database, key: str) -> Principal:
    form = _FORM.fullmatch(key)
    if form is None:
        raise _refused()
    try:
        found = Principal(ids.decode(form[1]), ids.decode(form[2]))
    except ValueError as error:
        raise _refused() from error
    async with db.tenant(found.tenant_id) as tx:
        kept = await tx.fetchval(_KEY, found.tenant_id, found.key_id)
    offered = hashlib.sha256(form[3].encode()).digest()
    if not hmac.compare_digest(offered, kept or _NOBODY):
        raise _refused()
    return found


def _refused() -> Unauthenticated:
    return Unauthenticated("the API key is missing or not valid", hint="Send the header Authorization: Bearer bsk_…")


class TenantRoute(StrictRoute):
    """A route for callers with an API key: nothing of a stranger's body is read."""

    async def admit(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise _refused()
        keys: Keys = request.app.state.keys
        principal = await keys.principal(resources_of(request).db, key.strip())
        request.state.principal = principal
        request.scope["log"] = {"tenant": ids.show(ids.TENANT, principal.tenant_id), "actor": principal.actor}


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
