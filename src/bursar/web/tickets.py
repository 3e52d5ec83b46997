"""Signed texts that need no table: the ticket that `bursar up` prints, and what every form must carry.

A ticket is fixed-length bytes (tenant, expiry, nonce) under HMAC-SHA256. Ticket and form token have a key of their own
each, derived from the installation's secret, so that one can never pass for the other.
"""

import base64
import binascii
import hmac
import secrets
import struct
from datetime import datetime, timedelta
from uuid import UUID

from bursar.kernel.errors import Unauthenticated
from bursar.kernel.seal import SecretKeyWrong

TICKET_LIFE = timedelta(minutes=10)
TICKET_LENGTH_MAX = 256

_FIELDS = struct.Struct("!16sq16s")
_SIGNATURE_BYTES = 32
_SECRET_BYTES = 32


class TicketInvalid(Unauthenticated):
    """The address that `bursar up` printed is too old, or not ours."""

    code = "ticket_invalid"


def make_ticket(secret_key: str, tenant_id: UUID, now: datetime) -> str:
    """Return the text that admits to one tenant's pages for ten minutes: `/enter?ticket=…`."""
    expiry = int((now + TICKET_LIFE).timestamp())
    payload = _FIELDS.pack(tenant_id.bytes, expiry, secrets.token_bytes(16))
    return _encoded(payload + hmac.digest(_key(secret_key, "ticket"), payload, "sha256"))


def read_ticket(secret_key: str, ticket: str, now: datetime) -> UUID:
    """Return the tenant that a ticket admits to. Raises TicketInvalid."""
    payload = _signed(_key(secret_key, "ticket"), ticket)
    if payload is not None:
        tenant, expiry, _ = _FIELDS.unpack(payload)
        if expiry > now.timestamp():
            return UUID(bytes=tenant)
    raise TicketInvalid("this ticket has expired or is not ours", hint="Run `bursar up` again, or sign in.")


def form_token(secret_key: str, session_id: UUID) -> str:
    """Return what every form of this session must carry."""
    return _encoded(hmac.digest(_key(secret_key, "form"), session_id.bytes, "sha256"))


def _signed(key: bytes, text: str) -> bytes | None:
    if len(text) > TICKET_LENGTH_MAX:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _FIELDS.size + _SIGNATURE_BYTES:
        return None
    payload, signature = raw[: _FIELDS.size], raw[_FIELDS.size :]
    return payload if hmac.compare_digest(signature, hmac.digest(key, payload, "sha256")) else None


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
