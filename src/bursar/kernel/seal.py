"""Secrets at rest: sealed with the installation's key (AES-256-GCM), readable by nobody who only has the database."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bursar.kernel.errors import Unavailable

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SecretKeyWrong(Unavailable):
    """The installation's key is missing, malformed, or not the one that sealed this."""

    code = "secret_key_wrong"


class Seal:
    """Seals and opens short secrets. key: 32 bytes, base64url."""

    def __init__(self, key: str) -> None:
        try:
            raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        except ValueError as error:
            raise SecretKeyWrong("BURSAR_SECRET_KEY is not base64url") from error
        if len(raw) != _KEY_BYTES:
            raise SecretKeyWrong(
                "BURSAR_SECRET_KEY must be 32 bytes, base64url", hint="Make one with: openssl rand -base64 32"
            )
        self._cipher = AESGCM(raw)

    def seal(self, text: str, *, purpose: str) -> bytes:
        """Return nonce and ciphertext. purpose: bound to it, so that a value cannot be moved to another column or row."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> str:
        """Return the text. Raises SecretKeyWrong."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode()).decode()
        except InvalidTag as error:
            raise SecretKeyWrong(
                "a stored secret does not open with this installation's key",
                hint="Set BURSAR_SECRET_KEY to the key that was in force when the gateway account was added.",
            ) from error
