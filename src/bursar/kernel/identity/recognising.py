"""Who looks at a page: the principal behind a session's token, with what it may do at this moment."""

from dataclasses import dataclass
from datetime import datetime

from bursar.kernel import permissions
from bursar.kernel.access.roles import permissions_of
from bursar.kernel.auth import keys
from bursar.kernel.auth.principal import NOBODY, Principal
from bursar.kernel.db import Database, Transaction
from bursar.kernel.identity import operators, sessions, tokens


@dataclass(frozen=True, slots=True)
class Visitor:
    """A session and who it belongs to."""

    session: sessions.Session
    principal: Principal


async def visitor(db: Database, token_text: str, *, now: datetime, address: str) -> Visitor | None:
    """Return who shows this token; None when it opens nothing (any more), or not from this address."""
    token = tokens.read(token_text)
    if token is None:
        return None
    async with db.tenant(token.tenant_id) as tx:
        found = await sessions.session(tx, token, now=now)
        held = await _held(tx, found, address=address) if found else None
    if found is None or held is None:
        return None
    if found.kind == "operator" and found.who_id and not await operators.is_active(db, found.who_id):
        return None
    principal = Principal(found.tenant_id, found.kind, found.who_id or NOBODY, held, session_id=found.id)
    return Visitor(found, principal)


async def _held(tx: Transaction, session: sessions.Session, *, address: str) -> frozenset[str] | None:
    """Return what whoever opened the session may do now; a role or key that was taken away counts from the next request."""
    if session.is_pending:
        return frozenset()
    if session.kind == "key":
        assert session.who_id
        return await keys.standing(tx, tenant_id=session.tenant_id, key_id=session.who_id, address=address)
    if session.kind == "operator":
        return permissions.ALL
    return await permissions_of(tx, tenant_id=session.tenant_id, names=session.roles)
