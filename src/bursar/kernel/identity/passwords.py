"""Passwords: kept as argon2id, hashed in threads and a few at a time, refused when they are easily guessed.

Lengths and lists follow OWASP ASVS 5.0, V6.2: eight characters or more, any characters, no rules of composition, checked
against lists of leaked passwords and the words of the business. Parameters: OWASP Password Storage Cheat Sheet (19 MiB, 2, 1).
"""

import asyncio
import unicodedata
from collections.abc import Iterable
from importlib import import_module
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bursar.kernel.errors import FieldError, Invalid, Unavailable

LENGTH_MIN: Final = 8
LENGTH_MAX: Final = 256
_GUESSES_LOG10_MIN: Final = 8.0
_LOOKED_AT: Final = 72
"""zxcvbn takes time with the square of the length; what begins well enough is good enough."""

AT_ONCE: Final = 2
WAITING_MAX: Final = 64

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16)


class PasswordRefused(Invalid):
    """The password is too short, too long, known from leaks, or easily guessed."""

    code = "password_refused"


class PasswordsBusy(Unavailable):
    """More passwords are to be checked at this moment than the process will queue."""

    code = "passwords_busy"


class Passwords:
    """Hashes and checks passwords, a few at once: each takes 19 MiB and some 50 ms of a core."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobody: str | None = None

    async def hashed(self, password: str) -> str:
        """Return what is kept of a password. Raises PasswordsBusy."""
        return str(await self._in_turn(_HASHER.hash, normal(password)))

    async def is_right(self, password: str, kept: str | None) -> bool:
        """Compare with what is kept. With None it takes as long, and is never right. Raises PasswordsBusy."""
        if kept is None:
            self._nobody = self._nobody or str(await self._in_turn(_HASHER.hash, "nobody's password"))
        is_equal = bool(await self._in_turn(_verified, self._nobody if kept is None else kept, normal(password)))
        return is_equal and kept is not None

    async def require_strong(self, password: str, *, words: Iterable[str] = ()) -> None:
        """Return if the password is good enough. words: names that are no secret here. Raises PasswordRefused."""
        await self._in_turn(require_strong, password, tuple(words))

    async def _in_turn(self, work: object, *arguments: object) -> object:
        if self._waiting >= WAITING_MAX:
            raise PasswordsBusy("too many people are signing in at this moment", hint="Try again.", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._places:
                return await asyncio.to_thread(work, *arguments)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1


def normal(password: str) -> str:
    """Return the password in the one normal form (NFC), so that two keyboards write the same one."""
    return unicodedata.normalize("NFC", password)


def is_outdated(kept: str) -> bool:
    """True when the parameters have changed since: hash again while the password is at hand."""
    return _HASHER.check_needs_rehash(kept)


def require_strong(password: str, words: tuple[str, ...] = ()) -> None:
    """Return if the password is good enough. Raises PasswordRefused."""
    text = normal(password)
    if len(text) < LENGTH_MIN:
        raise _refused("too_short", f"A password has at least {LENGTH_MIN} characters; a sentence is easy to remember.")
    if len(text) > LENGTH_MAX:
        raise _refused("too_long", f"A password has at most {LENGTH_MAX} characters.")
    if text.casefold() in _leaked():
        raise _refused("leaked", "This password is in lists of leaked ones; choose another.")
    own = [part for word in words for part in (word, *word.replace("@", " ").replace(".", " ").split()) if part]
    judged = import_module("zxcvbn").zxcvbn(text[:_LOOKED_AT], user_inputs=[part[:_LOOKED_AT] for part in own])
    if judged["guesses_log10"] < _GUESSES_LOG10_MIN:
        why = judged["feedback"]["warning"] or "This password is easily guessed."
        raise _refused("guessable", f"{why.rstrip('.')}. Add a few more words.")


def _verified(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def _leaked() -> dict[str, int]:
    ranked: dict[str, int] = import_module("zxcvbn.matching").RANKED_DICTIONARIES["passwords"]
    return ranked


def _refused(code: str, message: str) -> PasswordRefused:
    return PasswordRefused(message, fields=(FieldError("password", code, message),))
