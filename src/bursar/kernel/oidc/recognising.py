"""From a bearer token to a caller: find the tenant, its issuer, the issuer's key; verify; meet the person."""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.access import roles
from bursar.kernel.auth.principal import Principal
from bursar.kernel.http.addresses import networks
from bursar.kernel.oidc import external_users, issuers
from bursar.kernel.oidc.fetching import fetch_json
from bursar.kernel.oidc.issuers import Issuer
from bursar.kernel.oidc.key_sets import KeySets
from bursar.kernel.oidc.verifying import Claimed, claimed, refused, roles_of, subject_of, text_of, verified
from bursar.kernel.resources import Resources
from bursar.kernel.settings import Settings

REMEMBERED_S: Final = 2.0
_REMEMBERED_MAX: Final = 4096
_EMAIL_MAX, _NAME_MAX = 254, 200


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was genuine. until: on the monotonic clock. ends_at: of the token, leeway included."""

    until: float
    ends_at: float
    principal: Principal


class Tokens:
    """Checks bearer tokens, and remembers good ones for a moment."""

    def __init__(self, settings: Settings) -> None:
        self._key_sets = KeySets(partial(fetch_json, permitted=networks(settings.issuer_networks)))
        self._known: dict[bytes, _Known] = {}

    def standing(self) -> tuple[int, int]:
        """Return how many issuers this process has asked for keys, and how many did not answer the last time."""
        return self._key_sets.standing()

    async def principal(self, resources: Resources, token: str, *, tenant: str | None) -> Principal:
        """Return whose token this is. tenant: the header Bursar-Tenant, if it was sent.

        Raises TokenRefused, TokenExpired, IssuerUnavailable.
        """
        digest = hashlib.sha256(f"{tenant or ''} {token}".encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is None or time.monotonic() >= known.until or time.time() >= known.ends_at:
            known = await self._checked(resources, token, tenant)
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            self._known[digest] = known
        return known.principal

    def forget(self, *, tenant_id: UUID, user_id: UUID) -> None:
        """Look at the person again when a token comes next."""
        whose = (tenant_id, user_id)
        self._known = {d: k for d, k in self._known.items() if (k.principal.tenant_id, k.principal.id) != whose}

    async def _checked(self, resources: Resources, token: str, tenant: str | None) -> _Known:
        said = claimed(token)
        tenant_id = await _tenant_id(resources, said, tenant)
        issuer = await _issuer(resources, tenant_id, said)
        if said.algorithm not in issuer.rules.algorithms:
            raise refused()
        key = await self._key_sets.key(issuer.rules.issuer, kid=said.kid, algorithm=said.algorithm)
        if key is None:
            raise refused()
        claims = verified(token, key=key, rules=issuer.rules, algorithm=said.algorithm)
        principal = await _principal(resources, tenant_id, issuer, claims)
        ends_at = float(claims["exp"]) + issuer.rules.leeway_s
        return _Known(time.monotonic() + REMEMBERED_S, ends_at, principal)


async def _tenant_id(resources: Resources, said: Claimed, tenant: str | None) -> UUID:
    """Return the tenant that the request names, else the only one that the token can be for. Raises TokenRefused."""
    if tenant is not None:
        try:
            return ids.parse(ids.TENANT, tenant.strip())
        except ids.IdInvalid as error:
            raise refused() from error
    found = await issuers.tenant_of_token(resources.db, name=said.issuer, audiences=said.audiences, party=said.party)
    if found is None:
        raise refused()
    return found


async def _issuer(resources: Resources, tenant_id: UUID, said: Claimed) -> Issuer:
    async with resources.db.tenant(tenant_id) as tx:
        found = await issuers.issuer_of_token(
            tx, tenant_id=tenant_id, name=said.issuer, audiences=said.audiences, party=said.party
        )
    if found is None:
        raise refused()
    return found


async def _principal(resources: Resources, tenant_id: UUID, issuer: Issuer, claims: dict[str, Any]) -> Principal:
    """Meet the person and see what he may do. Raises TokenRefused."""
    rules = issuer.rules
    subject = subject_of(claims, rules)
    async with resources.db.tenant(tenant_id) as tx:
        user = await external_users.meet(
            tx,
            tenant_id=tenant_id,
            issuer=rules.issuer,
            subject=subject,
            email=text_of(claims, rules.email_claim, length_max=_EMAIL_MAX),
            name=text_of(claims, rules.name_claim, length_max=_NAME_MAX),
            now=datetime.now(UTC),
        )
        held = await roles.permissions_of(tx, tenant_id=tenant_id, names=sorted(roles_of(claims, rules)))
    if user.deactivated_at is not None:
        raise refused()
    return Principal(tenant_id, "user", user.id, held)
