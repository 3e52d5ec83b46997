"""API keys: looked up as their own tenant, compared in constant time, remembered for a moment.

What a stranger shows costs the same time whatever is wrong with it: every text of a key's form is looked up once, a
secret is compared once, and only then is anything else asked. Reading a row that is there still takes some 12 µs longer
than finding none, so a refusal is told at a fixed time after the question, which is later than any of them is known.
So nobody learns from the clock whether a tenant or a key exists.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from uuid import UUID

from bursar.kernel import ids, permissions
from bursar.kernel.access.api_keys import Network
from bursar.kernel.auth.principal import Principal
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Unauthenticated
from bursar.kernel.resources import Resources

REMEMBERED_S: Final = 2.0
REFUSED_AFTER_S: Final = 0.01
"""When a refusal is told; a hundred requests a second from one guesser are no loss."""

_REMEMBERED_MAX = 4096
_FORM = re.compile(r"bsk_([0-9a-z]{26})([0-9a-z]{26})_([A-Za-z0-9_-]{43})", re.ASCII)
_NO_SECRET = b"\0" * 32
_NOBODY = ids.decode(ids.encode(ids.new()))
"""Stands for a tenant and a key whose ids cannot be read, so that these too are looked for."""

# One row of 32 bytes whatever there is: even reading a row that is there takes longer than reading none.
_HASH = """
select coalesce((select secret_sha256 from api_key where tenant_id = $1 and id = $2 and revoked_at is null), $3::bytea)
"""

_LIMITS = "select scopes, expires_at, allowed_addresses from api_key where tenant_id = $1 and id = $2"

_STANDING = """
select scopes, allowed_addresses from api_key
where tenant_id = $1 and id = $2 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
"""


@dataclass(frozen=True, slots=True)
class _Known:
    """A key whose secret was right. until: on the monotonic clock."""

    until: float
    principal: Principal
    expires_at: datetime | None
    networks: tuple[Network, ...]

    def is_admitted(self, *, now: datetime, address: str) -> bool:
        """True while the key is in force, and from where it is allowed."""
        if self.expires_at is not None and self.expires_at <= now:
            return False
        return not self.networks or _lies_in(address, self.networks)


class Keys:
    """Checks API keys, and remembers good ones for a moment."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    async def principal(self, resources: Resources, key: str, *, address: str) -> Principal:
        """Return whose key this is. address: the client's, as `client_address` says. Raises Unauthenticated."""
        began = time.monotonic()
        try:
            found = await self._recognised(resources, key, address)
        except Unauthenticated:
            await asyncio.sleep(REFUSED_AFTER_S - (time.monotonic() - began))
            raise
        resources.uses.note(tenant_id=found.tenant_id, key_id=found.id, address=address)
        return found

    def forget(self, *, tenant_id: UUID, key_id: UUID) -> None:
        """Look the key up again when it comes next: it was revoked or rotated."""
        whose = (tenant_id, key_id)
        self._known = {d: k for d, k in self._known.items() if (k.principal.tenant_id, k.principal.id) != whose}

    async def _recognised(self, resources: Resources, key: str, address: str) -> Principal:
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is None or time.monotonic() >= known.until:
            known = await _checked(resources.db, key)
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            self._known[digest] = known
        if not known.is_admitted(now=resources.now(), address=address):
            raise refused()
        return known.principal


async def standing(tx: Transaction, *, tenant_id: UUID, key_id: UUID, address: str) -> frozenset[str] | None:
    """Return what a key may do at this moment, for the sessions that it opened.

    None when it is no longer in force, or not allowed from this address.
    """
    row = await tx.fetchrow(_STANDING, tenant_id, key_id)
    if row is None or (row["allowed_addresses"] and not _lies_in(address, tuple(row["allowed_addresses"]))):
        return None
    return _held(row["scopes"])


def refused() -> Unauthenticated:
    """Return the one answer to whoever we do not know."""
    return Unauthenticated("the API key is missing or not valid", hint="Send the header Authorization: Bearer bsk_…")


async def _checked(db: Database, key: str) -> _Known:
    form = _FORM.fullmatch(key)
    if form is None:
        raise refused()
    tenant_id, key_id = _decoded(form[1]), _decoded(form[2])
    offered = hashlib.sha256(form[3].encode()).digest()
    async with db.tenant(tenant_id) as tx:
        kept = await tx.fetchval(_HASH, tenant_id, key_id, _NO_SECRET)
        is_right = hmac.compare_digest(offered, kept)
        row = await tx.fetchrow(_LIMITS, tenant_id, key_id) if is_right else None
    if row is None:
        raise refused()
    found = Principal(tenant_id, "key", key_id, _held(row["scopes"]))
    return _Known(time.monotonic() + REMEMBERED_S, found, row["expires_at"], tuple(row["allowed_addresses"]))


def _held(scopes: Sequence[str] | None) -> frozenset[str]:
    return permissions.ALL if scopes is None else permissions.ALL.intersection(scopes)


def _decoded(text: str) -> UUID:
    try:
        return ids.decode(text)
    except ValueError:
        return _NOBODY


@lru_cache(maxsize=4096)
def _lies_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False  # a connection without an address comes from nowhere that could be allowed
    return any(found in network for network in networks)
