"""Passwords: which are refused and why, and that checking takes as long for nobody as for somebody."""

import statistics
import time
import unicodedata

import pytest
from argon2 import PasswordHasher, extract_parameters

from bursar.kernel.identity.passwords import (
    LENGTH_MAX,
    PasswordRefused,
    Passwords,
    PasswordsBusy,
    is_outdated,
    require_strong,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("costly_passwords")]

WORDS = ("ann@harbour-yoga.example", "Ann Abara", "Harbour Yoga", "bursar")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("x7#kQ2p", "too_short"),
        ("a" * (LENGTH_MAX + 1), "too_long"),
        ("password1", "leaked"),
        ("PASSWORD1", "leaked"),
        ("Liverpool1", "leaked"),
        ("aaaaaaaaaaaaaaaaaaaa", "guessable"),
        ("harbouryoga", "guessable"),
        ("AnnAbara1", "guessable"),
        ("bursar123", "guessable"),
        ("20261121", "guessable"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_and_says_why(password: str, code: str):
    with pytest.raises(PasswordRefused) as refused:
        require_strong(password, WORDS)

    assert refused.value.fields[0].code == code
    assert password not in refused.value.message or not password


@pytest.mark.parametrize(
    "password", ["nine green bottles", "correct horse battery staple", "x7#kQ2p!", "пароль на стене", "  two  spaces  "]
)
def test_length_is_enough_whatever_the_characters(password: str):
    require_strong(password, WORDS)


async def test_the_same_letters_from_another_keyboard_are_the_same_password():
    passwords, text = Passwords(), "crème brûlée für alle"

    kept = await passwords.hashed(unicodedata.normalize("NFD", text))

    assert await passwords.is_right(unicodedata.normalize("NFC", text), kept)


async def test_what_is_kept_is_argon2id_with_the_recommended_parameters_and_old_ones_are_noticed():
    kept = await Passwords().hashed("nine green bottles")

    found = extract_parameters(kept)
    assert (found.type.name, found.memory_cost, found.time_cost, found.parallelism) == ("ID", 19_456, 2, 1)
    assert not is_outdated(kept)
    assert is_outdated(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("nine green bottles"))


async def test_nothing_that_is_no_hash_is_ever_right():
    passwords = Passwords()

    for kept in ("", "x", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$x"):
        assert not await passwords.is_right("", kept)
    assert not await passwords.is_right("nobody's password", None)


async def test_nobody_s_password_takes_as_long_as_somebody_s():
    passwords = Passwords()
    kept = await passwords.hashed("nine green bottles")
    await passwords.is_right("x", None)
    took: dict[bool, list[float]] = {True: [], False: []}

    for turn in range(60):
        is_known = turn % 2 == 0
        began = time.process_time()
        await passwords.is_right("wrong", kept if is_known else None)
        took[is_known].append(time.process_time() - began)

    known, unknown = statistics.median(took[True]), statistics.median(took[False])
    assert unknown > 0.01, "argon2 ran for nobody, too"
    assert 0.6 < known / unknown < 1.67


async def test_more_than_can_be_checked_soon_are_refused_and_not_queued(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bursar.kernel.identity.passwords.WAITING_MAX", 0)

    with pytest.raises(PasswordsBusy) as refused:
        await Passwords().hashed("nine green bottles")

    assert refused.value.retry_after_s == 2
