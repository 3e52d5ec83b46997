"""The keys that backups are sealed with: a file apart from the store, newest key first, each named by its own hash."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from bursar.kernel.errors import Conflict, Invalid, NotFound
from bursar.kernel.files import write_private

KEY_BYTES = 32
_NAME_CHARACTERS = 16


class BackupKeyMissing(NotFound):
    """There is no file of backup keys where one is needed."""

    code = "backup_key_missing"


class BackupKeyInvalid(Invalid):
    """The file of backup keys holds something that is no key."""

    code = "backup_key_invalid"


class BackupKeyExists(Conflict):
    """There are keys already; another first one would hide them."""

    code = "backup_key_exists"


class BackupKeyUnknown(Invalid):
    """Something was sealed with a key that is not in the file."""

    code = "backup_key_unknown"


@dataclass(frozen=True, slots=True)
class Keyring:
    """keys: by name; the first one seals, all of them open."""

    keys: dict[str, bytes]

    @property
    def newest(self) -> str:
        return next(iter(self.keys))

    def key(self, name: str, *, of: str) -> bytes:
        """Return a key. of: what it is to open, for the refusal. Raises: BackupKeyUnknown."""
        if name not in self.keys:
            raise BackupKeyUnknown(
                f"{of} is sealed with the key {name[:_NAME_CHARACTERS]}, and the key file has {', '.join(self.keys)}",
                hint="Name the right key file with BURSAR_BACKUP_KEY_FILE; its recovery copy was printed when it was made.",
            )
        return self.keys[name]


def key_name(key: bytes) -> str:
    """Return the name of a key, from which nothing follows about the key."""
    return hashlib.sha256(b"bursar backup key name\0" + key).hexdigest()[:_NAME_CHARACTERS]


def read_keyring(path: Path) -> Keyring:
    """Return the keys of a file. Raises: BackupKeyMissing, BackupKeyInvalid."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        raise BackupKeyMissing(
            f"there is no backup key in {path}",
            hint="Make one with bursar backup key, or write its recovery copy into that file.",
        ) from None
    except UnicodeDecodeError:
        raise _invalid(path) from None
    keys = [_key(line.split()[-1], path) for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise _invalid(path)
    return Keyring({key_name(key): key for key in keys})


def add_key(path: Path, *, rotate: bool) -> str:
    """Make a key, put it before those of the file, and return its line, which is the recovery copy.

    rotate: there must be keys already, which stay and still open what they sealed.
    Raises: BackupKeyExists, BackupKeyMissing, BackupKeyInvalid.
    """
    older = ""
    if rotate:
        read_keyring(path)
        older = path.read_text(encoding="ascii")
    elif path.exists():
        raise BackupKeyExists(f"{path} holds backup keys already", hint="Add --rotate for a new one beside them.")
    key = secrets.token_bytes(KEY_BYTES)
    line = f"{key_name(key)} {base64.urlsafe_b64encode(key).decode()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, f"{line}\n{older}")
    return line


def _key(text: str, path: Path) -> bytes:
    try:
        key = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(path) from None
    if len(key) != KEY_BYTES:
        raise _invalid(path)
    return key


def _invalid(path: Path) -> BackupKeyInvalid:
    return BackupKeyInvalid(
        f"{path} is no file of backup keys", hint="Each line is a key's name and 32 bytes as base64url."
    )
