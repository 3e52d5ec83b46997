"""The public keys of issuers: fetched when they are first needed, kept while they are fresh, and not lost in an outage.

One fetch at a time for each issuer, whoever waits; after each a pause, so that nobody makes us hammer an issuer with
tokens whose `kid` nobody has. While an issuer does not answer, its last keys count for a day.

Source: OpenID Connect Discovery 1.0, section 4; RFC 7517.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import structlog

from bursar.kernel.errors import DomainError
from bursar.kernel.oidc.fetching import Fetched, IssuerUnavailable

PAUSE_S: Final = 10.0
STALE_S_MAX: Final = 86_400.0
KEYS_MAX: Final = 100
RSA_BITS_MIN: Final = 2048
_ISSUERS_MAX: Final = 1000
DISCOVERY: Final = "/.well-known/openid-configuration"

_KINDS: Final = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
"""The kind of key, and its curves, that an algorithm goes with. Keys that sign and verify alike are none of them."""

ALGORITHMS: Final = tuple(_KINDS)

Fetch = Callable[[str], Awaitable[Fetched]]

_log = structlog.get_logger("bursar.oidc")


@dataclass(slots=True)
class _Kept:
    """What is known of one issuer. Times are of the monotonic clock."""

    keys: tuple[dict[str, Any], ...] = ()
    fetched_at: float | None = None
    fresh_until: float = 0.0
    not_before: float = 0.0
    is_silent: bool = False
    fetching: asyncio.Task[None] | None = field(default=None, repr=False)


class KeySets:
    """The keys of every issuer that this process has met. fetch: how a document is had."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: dict[str, _Kept] = {}

    async def key(self, issuer: str, *, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the issuer's key of this id for this algorithm; None when it has none. Raises IssuerUnavailable."""
        kept = self._of(issuer)
        if time.monotonic() >= kept.fresh_until:
            await self._refresh(issuer, kept)
        found = _chosen(kept.keys, kid, algorithm)
        if found is None and time.monotonic() >= kept.not_before:
            await self._refresh(issuer, kept)
            found = _chosen(kept.keys, kid, algorithm)
        return found

    def standing(self) -> tuple[int, int]:
        """Return how many issuers were asked, and how many of them did not answer as they should the last time."""
        return len(self._kept), sum(kept.is_silent for kept in self._kept.values())

    def _of(self, issuer: str) -> _Kept:
        if issuer not in self._kept and len(self._kept) >= _ISSUERS_MAX:
            self._kept.pop(next(iter(self._kept)))
        return self._kept.setdefault(issuer, _Kept())

    async def _refresh(self, issuer: str, kept: _Kept) -> None:
        """Fetch, or wait for who does. What was fetched before stays when that fails. Raises IssuerUnavailable."""
        if kept.fetching is None and time.monotonic() >= kept.not_before:
            kept.fetching = asyncio.create_task(self._fetch_keys(issuer, kept))
        if kept.fetching is not None:
            await asyncio.shield(kept.fetching)
        now = time.monotonic()
        if kept.fetched_at is None or (now >= kept.fresh_until and now - kept.fetched_at > STALE_S_MAX):
            raise IssuerUnavailable(
                "the keys of this token's issuer cannot be had",
                hint="Try again; if it stays, look at the issuer's address.",
                retry_after_s=int(PAUSE_S),
            )

    async def _fetch_keys(self, issuer: str, kept: _Kept) -> None:
        try:
            described = await self._fetch(issuer.rstrip("/") + DISCOVERY)
            if described.document.get("issuer") != issuer:
                raise IssuerUnavailable("the issuer's description is of another issuer")
            place = described.document.get("jwks_uri")
            if not isinstance(place, str):
                raise IssuerUnavailable("the issuer's description names no keys")
            fetched = await self._fetch(place)
            kept.keys = _usable(fetched.document)
            kept.fetched_at = time.monotonic()
            kept.fresh_until = kept.fetched_at + fetched.fresh_s
            kept.is_silent = False
        except DomainError as failure:
            kept.is_silent = True
            _log.warning("issuer_keys_not_fetched", issuer=issuer, detail=failure.message)
        finally:
            kept.not_before = time.monotonic() + PAUSE_S
            kept.fetching = None


def _usable(document: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the public keys that are for signatures. Raises IssuerUnavailable."""
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise IssuerUnavailable("the issuer's keys are no list")
    return tuple(key for key in keys[:KEYS_MAX] if isinstance(key, dict) and _is_for_us(key))


def _is_for_us(key: dict[str, Any]) -> bool:
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("kty") in ("RSA", "EC", "OKP")
        and "d" not in key
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _chosen(keys: tuple[dict[str, Any], ...], kid: str | None, algorithm: str) -> jwt.PyJWK | None:
    kind, curves = _KINDS[algorithm]
    fitting = [
        key
        for key in keys
        if key["kty"] == kind
        and (curves is None or key.get("crv") in curves)
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if not fitting or (kid is None and len(fitting) > 1):
        return None
    try:
        key = jwt.PyJWK(fitting[0], algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return None if kind == "RSA" and key.key.key_size < RSA_BITS_MIN else key
