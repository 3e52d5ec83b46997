"""Redaction: what a fact says without the person, and which texts of a body may name one. Pure.

What remains is what books, grants and the law need: ids of the gateway, amounts, states, times, what was bought. Free texts
go, because nobody can tell what stands in them. Redacting twice is redacting once. Source: decision 0015.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from bursar.money.gateways.facts import KINDS, AnyFact, Fact, Line
from bursar.money.gateways.fields import TEXT_LENGTH_MAX
from bursar.money.gateways.port import Translation

PSEUDONYM_DOMAIN: Final = "@erased.invalid"
_MARK_BYTES: Final = 16
_NAME_LENGTH_MIN: Final = 3

_GONE: Final = ("name", "phone", "description", "failure_message", "reason", "brand", "last4", "exp_month", "exp_year")
"""Fields that tell of a person, or in which somebody wrote what he liked."""

_TOKEN = re.compile(rb"[^\s\"'<>,;{}\[\]()\\]{3,255}")
_WORD = re.compile(r"[a-z.]+")
_ADDRESS = re.compile(r"[^\s\"'<>,;:()\[\]\\]{1,64}@[^\s\"'<>,;:()\[\]\\@]{1,190}")

AFact = TypeVar("AFact", bound=Fact)


class Marks:
    """Keyed hashes of e-mail addresses, and of gateway ids within their account. key: the tenant's, 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_email(self, email: str) -> bytes:
        """Return the mark of an address, however it is written."""
        return self._mark(b"email\n" + _normal(email).encode("utf-8", "replace"))

    def of_ref(self, account_id: UUID, ref: str) -> bytes:
        """Return the mark of a gateway's id."""
        return self._mark(account_id.bytes + ref.encode("utf-8", "replace"))

    def pseudonym(self, email: str) -> str:
        """Return what stands for an address from now on; a pseudonym stands for itself."""
        if is_pseudonym(email):
            return _normal(email)
        return f"erased-{self.of_email(email).hex()}{PSEUDONYM_DOMAIN}"

    def of_text(self, account_id: UUID, text: str) -> bytes:
        """Return the mark of a text that is an address or an id."""
        return self.of_email(text) if "@" in text else self.of_ref(account_id, text)

    def _mark(self, named: bytes) -> bytes:
        return hashlib.blake2b(named, key=self._key, digest_size=_MARK_BYTES).digest()


def is_pseudonym(email: str) -> bool:
    return _normal(email).endswith(PSEUDONYM_DOMAIN)


def redacted(fact: AFact, marks: Marks) -> AFact:
    """Return the fact without the person. Of several addresses each keeps a pseudonym of its own."""
    told = without_person(fact)
    email = getattr(fact, "email", None)
    return msgspec.structs.replace(told, email=marks.pseudonym(email)) if email else told


def without_person(fact: AFact) -> AFact:
    """Return the fact with everything gone that could tell of a person."""
    fields = _PERSONAL[type(fact)]
    changes: dict[str, Any] = {name: None for name in fields if getattr(fact, name) is not None}
    lines: tuple[Line, ...] = getattr(fact, "lines", ())
    if any(line.description is not None for line in lines):
        changes["lines"] = tuple(msgspec.structs.replace(line, description=None) for line in lines)
    return msgspec.structs.replace(fact, **changes) if changes else fact


def texts_of_value(value: Any) -> Iterator[str]:
    """Yield every text of a parsed body that may be an address or an id; words of a gateway's vocabulary are neither."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
        elif isinstance(found, str):
            yield from _names_in(found)


def texts_of_bytes(body: bytes) -> Iterator[str]:
    """Yield every text of a body that cannot be parsed, cut where no address and no id goes on."""
    for token in _TOKEN.findall(body):
        yield from _names_in(token.decode("utf-8", "replace").strip(".:"))


def body_of(translation: Translation | None) -> bytes:
    """Return the body that stands for a translation from now on; of None: for what could not be read."""
    if translation is None:
        return b'{"erased":true,"unreadable":true}'
    facts = [{"kind": fact.kind, "fact": fact} for fact in translation.facts]
    return msgspec.json.encode({"erased": True, "ignored": translation.is_ignored, "facts": facts})


def translation_of(payload: dict[str, Any]) -> Translation | None:
    """Return what a body of our own writing stands for; None: it could not be read before it was erased."""
    if payload.get("unreadable"):
        return None
    facts = tuple(_fact(told["kind"], told["fact"]) for told in payload["facts"])
    return Translation(facts, is_ignored=payload["ignored"])


def own_event_redacted(
    payload: dict[str, Any], marks: Marks, gone: Collection[str] = ("description", "reason")
) -> bytes:
    """Return the body of an event that Bursar wrote, without its free texts, in its own shape."""
    data = {key: value for key, value in payload.get("data", {}).items() if key not in gone}
    if isinstance(data.get("email"), str):
        data["email"] = marks.pseudonym(data["email"])
    return msgspec.json.encode(payload | {"data": data}, order="deterministic")


def _fact(kind: str, told: dict[str, Any]) -> AnyFact:
    found: AnyFact = msgspec.convert(told, KINDS[kind])  # type: ignore[assignment]
    return found


def _names_in(text: str) -> Iterator[str]:
    if "@" in text:
        yield from _ADDRESS.findall(text)
    if _NAME_LENGTH_MIN <= len(text) <= TEXT_LENGTH_MAX and _WORD.fullmatch(text) is None:
        yield text


def _normal(email: str) -> str:
    return email.strip().lower()


_PERSONAL: Final = {
    fact_type: tuple(name for name in (*_GONE, "email") if name in fact_type.__struct_fields__)
    for fact_type in KINDS.values()
}
