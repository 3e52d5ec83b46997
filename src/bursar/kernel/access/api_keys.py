"""API keys: added, given a successor, revoked. What one may do, until when and from where never grows.

A key is `bsk_`, 26 characters of its tenant, 26 of itself, `_`, and 43 of a random secret: it says whose it is, so
that it is looked up under that tenant's own row-level security. Only the SHA-256 of the secret is kept; 256 random bits
need no slow hash.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Literal
from uuid import UUID

from bursar.kernel import audit, ids, permissions
from bursar.kernel.access.giving import Giver, MoreThanHeld
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.kernel.listing import Listing, Part, Slice, part

PREFIX: Final = "bsk_"
OVERLAP_S: Final = 86_400
OVERLAP_S_MAX: Final = 2_592_000
ADDRESSES_MAX: Final = 50
NAME_MAX: Final = 200
_SECRET_BYTES: Final = 32

Network = IPv4Network | IPv6Network
Status = Literal["active", "expired", "revoked"]

_COLUMNS = """k.id, k.name, k.scopes, k.allowed_addresses, k.expires_at, k.created_at, k.last_used_at, k.last_used_address,
  k.revoked_at, k.successor_id"""

_KEY = f"select {_COLUMNS} from api_key k where k.tenant_id = $1 and k.id = $2"
_KEY_LOCKED = f"{_KEY} for update"

KEYS = Listing(select=f"select {_COLUMNS} from api_key k", tenant="k.tenant_id", key="k.id")

_ADD = f"""
insert into api_key as k (tenant_id, id, name, secret_sha256, scopes, allowed_addresses, expires_at, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning {_COLUMNS}
"""

_SUCCEED = f"""
update api_key k set successor_id = $3, expires_at = least(k.expires_at, $4)
where k.tenant_id = $1 and k.id = $2 and k.revoked_at is null and k.successor_id is null
returning {_COLUMNS}
"""

_REVOKE = f"""
update api_key k set revoked_at = $3 where k.tenant_id = $1 and k.id = $2 and k.revoked_at is null
returning {_COLUMNS}
"""


class ApiKeyNotFound(NotFound):
    """No API key of this tenant has this id."""

    code = "api_key_not_found"


class ApiKeyNotInForce(Conflict):
    """The key has expired or was revoked, so that nothing can be handed on from it."""

    code = "api_key_not_in_force"


class ApiKeyHasSuccessor(Conflict):
    """The key was rotated already."""

    code = "api_key_has_successor"


class ApiKeyNameInvalid(Invalid):
    """A key's name is 1 to 200 printable characters."""

    code = "api_key_name_invalid"


class ApiKeyScopesMissing(Invalid):
    """A key without a scope could do nothing."""

    code = "api_key_scopes_missing"


class ApiKeyExpiryPast(Invalid):
    """The key would have expired before it was made."""

    code = "api_key_expiry_past"


class AddressInvalid(Invalid):
    """A key is allowed from networks (`203.0.113.0/24`, `2001:db8::/32`) or single addresses, at most fifty."""

    code = "address_invalid"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """scopes: None means every permission there is, now and later. allowed_addresses: none means from anywhere."""

    id: UUID
    name: str
    scopes: tuple[str, ...] | None
    allowed_addresses: tuple[Network, ...]
    status: Status
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None
    last_used_address: str | None
    revoked_at: datetime | None
    successor_id: UUID | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key that was just made. secret: the whole text `bsk_…`; it cannot be shown again."""

    key: ApiKey
    secret: str


async def add_key(
    tx: Transaction,
    *,
    tenant_id: UUID,
    name: str,
    scopes: Iterable[str] | None,
    giver: Giver,
    now: datetime,
    expires_at: datetime | None = None,
    allowed_addresses: Sequence[str] = (),
) -> IssuedKey:
    """Add a key. scopes: None for every permission there is, now and later.

    Raises ApiKeyNameInvalid, ApiKeyScopesMissing, ApiKeyExpiryPast, AddressInvalid, PermissionUnknown, MoreThanHeld.
    """
    wanted = None if scopes is None else permissions.permissions_named(scopes, field="scopes")
    if wanted is not None and not wanted:
        raise ApiKeyScopesMissing("a key needs a scope", hint="Name at least one permission.")
    _check_expiry(expires_at, now)
    networks = networks_of(allowed_addresses)
    await _require_own(tx, tenant_id, giver, scopes=wanted, expires_at=expires_at, networks=networks, now=now)
    issued = await _issue(
        tx, tenant_id=tenant_id, name=_name(name), scopes=wanted, networks=networks, expires_at=expires_at, now=now
    )
    await _record(tx, tenant_id, issued.key.id, giver=giver, action="api_key.created", changes=_told(issued.key))
    return issued


async def rotate_key(
    tx: Transaction,
    *,
    tenant_id: UUID,
    key_id: UUID,
    giver: Giver,
    now: datetime,
    overlap_s: int = OVERLAP_S,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Give a key a successor that may do the same, and let it live for `overlap_s` more.

    expires_at: of the successor; None means as the old key's.
    Raises ApiKeyNotFound, ApiKeyNotInForce, ApiKeyHasSuccessor, ApiKeyExpiryPast, MoreThanHeld.
    """
    assert 0 <= overlap_s <= OVERLAP_S_MAX
    row = await tx.fetchrow(_KEY_LOCKED, tenant_id, key_id)
    if row is None:
        raise _unknown(key_id)
    old = _view(row, now=now)
    if old.status != "active":
        raise ApiKeyNotInForce(f"this key is {old.status}", hint="Add a new key instead.")
    if old.successor_id:
        successor = ids.show(ids.API_KEY, old.successor_id)
        raise ApiKeyHasSuccessor(
            f"this key was rotated already; its successor is {successor}",
            hint="If the successor's secret was lost, rotate the successor.",
        )
    _check_expiry(expires_at, now)
    scopes = None if old.scopes is None else frozenset(old.scopes)
    until = expires_at or old.expires_at
    await _require_own(tx, tenant_id, giver, scopes=scopes, expires_at=until, networks=old.allowed_addresses, now=now)
    issued = await _issue(
        tx,
        tenant_id=tenant_id,
        name=old.name,
        scopes=scopes,
        networks=old.allowed_addresses,
        expires_at=until,
        now=now,
    )
    ends_at = now + timedelta(seconds=overlap_s)
    await tx.fetchrow(_SUCCEED, tenant_id, key_id, issued.key.id, ends_at)
    changes = {"successor": ids.show(ids.API_KEY, issued.key.id), "overlap_s": overlap_s}
    await _record(tx, tenant_id, key_id, giver=giver, action="api_key.rotated", changes=changes)
    return issued


async def revoke_key(tx: Transaction, *, tenant_id: UUID, key_id: UUID, giver: Giver, now: datetime) -> ApiKey:
    """Take a key out of force. A key that was revoked already stays as it is. Raises ApiKeyNotFound."""
    row = await tx.fetchrow(_REVOKE, tenant_id, key_id, now)
    if row is None:
        return await key(tx, tenant_id=tenant_id, key_id=key_id, now=now)
    await _record(tx, tenant_id, key_id, giver=giver, action="api_key.revoked", changes={"name": row["name"]})
    return _view(row, now=now)


async def key(tx: Transaction, *, tenant_id: UUID, key_id: UUID, now: datetime) -> ApiKey:
    """Return one key. Raises ApiKeyNotFound."""
    row = await tx.fetchrow(_KEY, tenant_id, key_id)
    if row is None:
        raise _unknown(key_id)
    return _view(row, now=now)


async def keys(tx: Transaction, *, tenant_id: UUID, page: Slice, now: datetime) -> Part[ApiKey]:
    """Return the tenant's keys, newest first."""
    return await part(tx, KEYS, tenant_id=tenant_id, given={}, page=page, view=partial(_view, now=now))


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that these texts name. Raises AddressInvalid."""
    if len(texts) > ADDRESSES_MAX:
        raise AddressInvalid(f"at most {ADDRESSES_MAX} networks", hint="Name larger networks.")
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            wrong = FieldError(f"allowed_addresses.{index}", "address_invalid", "no network of IPv4 or IPv6 addresses")
            hint = "For instance 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32; all bits behind the slash are zero."
            raise AddressInvalid("this is not a network", hint=hint, fields=(wrong,)) from error
    return tuple(dict.fromkeys(found))


async def _require_own(
    tx: Transaction,
    tenant_id: UUID,
    giver: Giver,
    *,
    scopes: frozenset[str] | None,
    expires_at: datetime | None,
    networks: Sequence[Network],
    now: datetime,
) -> None:
    """Return if the giver has all this. Raises MoreThanHeld."""
    giver.require(permissions.ALL if scopes is None else scopes, field="scopes")
    if giver.key_id is None:
        return
    own = await key(tx, tenant_id=tenant_id, key_id=giver.key_id, now=now)
    if scopes is None and own.scopes is not None:
        raise _more("scopes", "every permission there is, now and later")
    if own.expires_at and (expires_at is None or expires_at > own.expires_at):
        raise _more("expires_at", "a longer life")
    if own.allowed_addresses and not (networks and all(_lies_in(n, own.allowed_addresses) for n in networks)):
        raise _more("allowed_addresses", "addresses")


def _lies_in(network: Network, others: Sequence[Network]) -> bool:
    return any(other.version == network.version and network.subnet_of(other) for other in others)  # type: ignore[arg-type]


def _more(field: str, what: str) -> MoreThanHeld:
    return MoreThanHeld(
        f"a key cannot give {what} that it does not have itself",
        hint="Let a user, or a key without that limit, do it.",
        fields=(FieldError(field, "more_than_held", "more than the calling key has"),),
    )


async def _issue(
    tx: Transaction,
    *,
    tenant_id: UUID,
    name: str,
    scopes: frozenset[str] | None,
    networks: Sequence[Network],
    expires_at: datetime | None,
    now: datetime,
) -> IssuedKey:
    key_id = ids.new()
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
    row = await tx.fetchrow(
        _ADD,
        tenant_id,
        key_id,
        name,
        hashlib.sha256(secret.encode()).digest(),
        None if scopes is None else sorted(scopes),
        list(networks),
        expires_at,
        now,
    )
    return IssuedKey(_view(row, now=now), f"{PREFIX}{ids.encode(tenant_id)}{ids.encode(key_id)}_{secret}")


def _view(row: Any, *, now: datetime) -> ApiKey:
    status: Status = "active"
    if row["revoked_at"]:
        status = "revoked"
    elif row["expires_at"] and row["expires_at"] <= now:
        status = "expired"
    return ApiKey(
        id=row["id"],
        name=row["name"],
        scopes=None if row["scopes"] is None else tuple(row["scopes"]),
        allowed_addresses=tuple(row["allowed_addresses"]),
        status=status,
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        last_used_address=None if row["last_used_address"] is None else str(row["last_used_address"]),
        revoked_at=row["revoked_at"],
        successor_id=row["successor_id"],
    )


def _told(made: ApiKey) -> dict[str, Any]:
    """What the audit trail says of a new key."""
    return {
        "name": made.name,
        "scopes": None if made.scopes is None else list(made.scopes),
        "expires_at": made.expires_at.isoformat() if made.expires_at else None,
        "allowed_addresses": [str(network) for network in made.allowed_addresses],
    }


async def _record(
    tx: Transaction, tenant_id: UUID, key_id: UUID, *, giver: Giver, action: str, changes: dict[str, Any]
) -> None:
    subject = ids.show(ids.API_KEY, key_id)
    await audit.record(tx, tenant_id=tenant_id, actor=giver.actor, action=action, subject=subject, changes=changes)


def _name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise ApiKeyNameInvalid("a key's name is 1 to 200 printable characters")
    return name


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        wrong = FieldError("expires_at", "out_of_range", "in the past")
        raise ApiKeyExpiryPast("the key would have expired already", hint="Name a later instant.", fields=(wrong,))


def _unknown(key_id: UUID) -> ApiKeyNotFound:
    return ApiKeyNotFound(f"there is no API key {ids.show(ids.API_KEY, key_id)}", hint="GET /v1/api-keys lists them.")
