"""API keys: looked up as their own tenant, compared in constant time, remembered for a moment."""

import hashlib
import hmac
import re
import time
from typing import Final

from bursar.kernel import ids, permissions
from bursar.kernel.auth.principal import Principal
from bursar.kernel.db import Database
from bursar.kernel.errors import Unauthenticated

REMEMBERED_S: Final = 2.0
_REMEMBERED_MAX = 4096
_FORM = re.compile(r"bsk_([0-9a-z]{26})([0-9a-z]{26})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODY = b"\0" * 32

_KEY = "select secret_sha256 from api_key where tenant_id = $1 and id = $2 and revoked_at is null"


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
        raise refused()
    try:
        found = Principal(ids.decode(form[1]), "key", ids.decode(form[2]), permissions.ALL)
    except ValueError as error:
        raise refused() from error
    async with db.tenant(found.tenant_id) as tx:
        kept = await tx.fetchval(_KEY, found.tenant_id, found.id)
    offered = hashlib.sha256(form[3].encode()).digest()
    if not hmac.compare_digest(offered, kept or _NOBODY):
        raise refused()
    return found


def refused() -> Unauthenticated:
    """Return the one answer to whoever we do not know."""
    return Unauthenticated("the API key is missing or not valid", hint="Send the header Authorization: Bearer bsk_…")
