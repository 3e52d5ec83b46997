"""Which user of this machine runs the server: PostgreSQL refuses root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.kernel.errors import Unavailable

_CANDIDATES = ("bursar", "nobody")
"""As root, the first of these that exists: a user made for Bursar, else the one that owns nothing.

Not `postgres`: that user may administer another server of this machine.
"""


class NoAccount(Unavailable):
    """There is no user that PostgreSQL could run as."""

    code = "postgres_account_missing"


@dataclass(frozen=True, slots=True)
class Account:
    """A user. identity: arguments for `subprocess` that make a child run as that user, with no other group."""

    uid: int
    gid: int
    name: str

    @property
    def is_other(self) -> bool:
        return self.uid != os.geteuid()

    @property
    def identity(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}

    def own(self, path: Path) -> None:
        """Give a path of ours to this user."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)


def account_for(data: Path | None) -> Account:
    """Return who runs the server: the owner of its data if there is any, ourselves unless we are root.

    Raises: NoAccount.
    """
    if data is not None and data.exists():
        return _owner_of(data)
    if os.geteuid() != 0:
        return _account(os.geteuid(), os.getegid())
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, name)
    raise NoAccount(
        "PostgreSQL does not run as root, and there is no user 'nobody' to run it as",
        hint="Start Bursar as an ordinary user.",
    )


def _owner_of(data: Path) -> Account:
    owner = data.stat()
    if os.geteuid() not in (0, owner.st_uid):
        account = _account(owner.st_uid, owner.st_gid)
        raise NoAccount(f"{data} belongs to user {account.name}", hint=f"Start Bursar as {account.name}, or as root.")
    if owner.st_uid == 0:
        raise NoAccount(f"{data} belongs to root, as whom PostgreSQL does not run", hint=f"chown -R nobody {data}")
    return _account(owner.st_uid, owner.st_gid)


def _account(uid: int, gid: int) -> Account:
    try:
        return Account(uid, gid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Account(uid, gid, str(uid))
