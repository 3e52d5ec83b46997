"""Who is looking: signed tokens that need no table. A *ticket* opens the door once shown, a *session* keeps it open.

Both are fixed-length bytes (tenant, expiry, nonce, API key) under HMAC-SHA256, each kind with a key of its own
derived from the installation's secret, so that a ticket can never pass for a session. They are proofs of
admission, not identities: a tenant's pages show everything of that tenant.
"""

import base64
import binascii
import hmac
import secrets
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bursar.kernel.errors import Unauthenticated
from bursar.kernel.seal import SecretKeyWrong

TICKET_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(hours=12)
TOKEN_LENGTH_MAX = 256

_FIELDS = struct.Struct("!16sq16s16s")
_SIGNATURE_BYTES = 32
_SECRET_BYTES = 32
_NO_KEY = UUID(int=0)


class TicketInvalid(Unauthenticated):
    """The address that `bursar up` printed is too old, or not ours."""

    code = "ticket_invalid"


@dataclass(frozen=True, slots=True)
class Session:
    """An admitted visitor. api_key_id: the key that was shown at the door; None for a ticket."""

    tenant_id: UUID
    api_key_id: UUID | None
    expires_at: datetime
    nonce: bytes


def make_ticket(secret_key: str, tenant_id: UUID, now: datetime) -> str:
    """Return the text that admits to one tenant's pages for ten minutes: `/enter?ticket=…`."""
    return _write(secret_key, "ticket", tenant_id=tenant_id, api_key_id=None, expires_at=now + TICKET_LIFE)


def read_ticket(secret_key: str, ticket: str, now: datetime) -> UUID:
    """Return the tenant that a ticket admits to. Raises TicketInvalid."""
    found = _read(secret_key, "ticket", ticket, now)
    if found is None:
        raise TicketInvalid(
            "this ticket has expired or is not ours", hint="Run `bursar up` again, or sign in with an API key."
        )
    return found.tenant_id


def make_session(secret_key: str, *, tenant_id: UUID, api_key_id: UUID | None, now: datetime) -> str:
    """Return the value of the session cookie; it is good for twelve hours."""
    return _write(secret_key, "session", tenant_id=tenant_id, api_key_id=api_key_id, expires_at=now + SESSION_LIFE)


def read_session(secret_key: str, token: str, now: datetime) -> Session | None:
    """Return the session behind a cookie; None when it has expired or is not ours."""
    return _read(secret_key, "session", token, now)


def form_token(secret_key: str, session: Session) -> str:
    """Return what every form of this session must carry."""
    return _encoded(hmac.digest(_key(secret_key, "form"), session.nonce + session.tenant_id.bytes, "sha256"))


def _write(secret_key: str, purpose: str, *, tenant_id: UUID, api_key_id: UUID | None, expires_at: datetime) -> str:
    key_bytes = (api_key_id or _NO_KEY).bytes
    payload = _FIELDS.pack(tenant_id.bytes, int(expires_at.timestamp()), secrets.token_bytes(16), key_bytes)
    return _encoded(payload + hmac.digest(_key(secret_key, purpose), payload, "sha256"))


def _read(secret_key: str, purpose: str, token: str, now: datetime) -> Session | None:
    if len(token) > TOKEN_LENGTH_MAX:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _FIELDS.size + _SIGNATURE_BYTES:
        return None
    payload, signature = raw[: _FIELDS.size], raw[_FIELDS.size :]
    if not hmac.compare_digest(signature, hmac.digest(_key(secret_key, purpose), payload, "sha256")):
        return None
    tenant, expiry, nonce, api_key = _FIELDS.unpack(payload)
    if expiry <= now.timestamp():
        return None
    key_id = UUID(bytes=api_key)
    return Session(
        UUID(bytes=tenant), None if key_id == _NO_KEY else key_id, datetime.fromtimestamp(expiry, UTC), nonce
    )


def _key(secret_key: str, purpose: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(secret_key + "=" * (-len(secret_key) % 4))
    except ValueError as error:
        raise SecretKeyWrong("BURSAR_SECRET_KEY is not base64url") from error
    if len(raw) != _SECRET_BYTES:
        raise SecretKeyWrong(
            "BURSAR_SECRET_KEY must be 32 bytes, base64url", hint="Make one with: openssl rand -base64 32"
        )
    return hmac.digest(raw, f"bursar.pages.{purpose}".encode(), "sha256")


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
