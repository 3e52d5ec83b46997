"""Secrets that people carry: in a cookie, in a mailed link. 256 random bits after the name of their row.

The text says whose it is, so that it is looked up under that tenant's own row-level security; only its hash is kept.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bursar.kernel import ids

INSTALLATION: Final = UUID(int=0)
"""Stands for the tenant in tokens of those who belong to none."""

_FORM: Final = re.compile(r"([0-9a-z]{26})([0-9a-z]{26})_([A-Za-z0-9_-]{43})", re.ASCII)
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody showed. id: its row. sha256: what its row must hold."""

    tenant_id: UUID
    id: UUID
    sha256: bytes


def make(tenant_id: UUID, row_id: UUID) -> tuple[str, bytes]:
    """Return a new token's text, to be given away once, and the hash to keep."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).rstrip(b"=").decode()
    return f"{ids.encode(tenant_id)}{ids.encode(row_id)}_{secret}", _hashed(secret)


def read(text: str) -> Token | None:
    """Return what a text names; None when it is no token."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    try:
        return Token(ids.decode(form[1]), ids.decode(form[2]), _hashed(form[3]))
    except ValueError:
        return None


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
