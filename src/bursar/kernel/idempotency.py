"""Requests that may be repeated: the answer to an `Idempotency-Key` is stored in the transaction of the effect.

So there is an answer exactly where there is an effect: whoever dies in between leaves neither, and the repetition does the
work. A lock that ends with the transaction lets one request of a key run at a time; the primary key stands behind it.

A route that must call somebody outside writes what it intends, in this transaction, and answers 202; a job calls later, and
the final answer takes the other's place. Nothing may wait for the network in here.

Source: draft-ietf-httpapi-idempotency-key-header; decision 0201.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid
from bursar.kernel.seal import Seal

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEY_LENGTH_MAX: Final = 255
BODY_BYTES_MAX: Final = 1_048_576
HEADERS_KEPT: Final = ("content-type", "location", "link", "etag")
CLEANED_MAX: Final = 1000
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_RUNNING_RETRY_S = 1


class IdempotencyKeyInvalid(Invalid):
    """An Idempotency-Key is one header of 1 to 255 visible ASCII characters."""

    code = "idempotency_key_invalid"
    status = 400


class IdempotencyRunning(Conflict):
    """A request with this Idempotency-Key is being worked on."""

    code = "idempotency_running"


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key came before, with another request."""

    code = "idempotency_key_reused"


class IdempotencyAnswerNotKept(Conflict):
    """The request was done before; its answer was too long, or a stream, and was not kept."""

    code = "idempotency_answer_not_kept"


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request with a key. holder: its actor. route: method and template. request_sha256: all that it asks for."""

    tenant_id: UUID
    holder: str
    route: str
    key: str
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: those that are kept. body: None when it is not kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long an answer is kept. name: its class, for which the tenant may have a number of its own. seconds: else this."""

    name: str
    seconds: int


_LOCK = "select pg_try_advisory_xact_lock($1)"

_ANSWER = """
select request_sha256, status, headers::text as headers, body from idempotency_answer
where tenant_id = $1 and holder = $2 and route = $3 and key = $4 and expires_at > $5
"""

_KEEP = """
insert into idempotency_answer (tenant_id, holder, route, key, request_sha256, status, headers, body, answered_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $9::timestamptz + make_interval(secs => coalesce(
  (select r.seconds from idempotency_retention r where r.tenant_id = $1 and r.class = $10), $11::integer)::float8))
on conflict (tenant_id, holder, route, key) do update
set request_sha256 = excluded.request_sha256, status = excluded.status, headers = excluded.headers, body = excluded.body,
  answered_at = excluded.answered_at, expires_at = excluded.expires_at
where idempotency_answer.expires_at <= excluded.answered_at
returning 1
"""

_REPLACE = """
update idempotency_answer set status = $6, headers = $7::text::jsonb, body = $8
where tenant_id = $1 and holder = $2 and route = $3 and key = $4 and request_sha256 = $5 and status = 202
"""

_CLEAN = """
with old as (
  select holder, route, key from idempotency_answer
  where tenant_id = $1 and expires_at <= $2
  order by expires_at limit $3 for update skip locked
)
delete from idempotency_answer a using old
where a.tenant_id = $1 and a.holder = old.holder and a.route = old.route and a.key = old.key
returning 1
"""


def key_of(given: Sequence[str]) -> str | None:
    """Return the key among the values of the header; None where there is none. Raises IdempotencyKeyInvalid."""
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise IdempotencyKeyInvalid(
            f"an {HEADER} is one header of 1 to {KEY_LENGTH_MAX} visible ASCII characters",
            hint="Send a new random UUID with each new request, and the same one when you repeat it.",
        )
    return given[0]


def digest(*, method: str, path: str, query: str, body: Any) -> bytes:
    """Return what tells two requests apart. body: raw bytes, or a JSON value, whose fields may come in any order."""
    raw = body if isinstance(body, bytes) else json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    parts = (method.encode(), path.encode(), query.encode(), raw)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


async def claim(tx: Transaction, keyed: Keyed, *, seal: Seal, now: datetime) -> Answer | None:
    """Take the key until the transaction ends; return what was answered before, or None: now it is to be done.

    Raises IdempotencyRunning, IdempotencyKeyReused, IdempotencyAnswerNotKept.
    """
    if not await tx.fetchval(_LOCK, _lock_of(keyed)):
        raise running()
    # A statement of its own: its snapshot must be newer than the lock, or it would miss whoever held it before.
    row = await tx.fetchrow(_ANSWER, keyed.tenant_id, keyed.holder, keyed.route, keyed.key, now)
    if row is None:
        return None
    if row["request_sha256"] != keyed.request_sha256:
        raise IdempotencyKeyReused(
            f"this {HEADER} came before, with another request",
            hint="Send a new key with a new request. To repeat one, send the very same method, path and body.",
        )
    if row["body"] is None:
        raise IdempotencyAnswerNotKept(
            "this was done before, and its answer was not kept",
            hint="Nothing was done again. Read what the first request made.",
        )
    body = seal.open(row["body"], purpose=_purpose(keyed)).encode()
    return Answer(row["status"], msgspec.json.decode(row["headers"]), body)


async def keep(
    tx: Transaction, keyed: Keyed, answer: Answer, *, seal: Seal, now: datetime, retention: Retention
) -> None:
    """Store the answer in the transaction of its effect. Some answers show a secret once, so they are sealed.

    Raises IdempotencyRunning when somebody else's answer is there, whatever the lock said; nothing may be committed then.
    """
    if not await tx.fetchval(_KEEP, *_columns(keyed, answer, seal), now, retention.name, retention.seconds):
        raise running()


async def replace(tx: Transaction, keyed: Keyed, answer: Answer, *, seal: Seal) -> None:
    """Put the final answer in the place of one of 202. One that is final already, or gone by now, stays as it is."""
    await tx.execute(_REPLACE, *_columns(keyed, answer, seal))


async def clean(tx: Transaction, *, tenant_id: UUID, now: datetime, limit: int = CLEANED_MAX) -> int:
    """Remove answers past their time, oldest first; return how many."""
    return len(await tx.fetch(_CLEAN, tenant_id, now, limit))


def running() -> IdempotencyRunning:
    """Return the answer to whoever comes while the first request of a key is under way."""
    return IdempotencyRunning(
        f"a request with this {HEADER} is being worked on",
        hint="Send it again after Retry-After; you will get the first one's answer.",
        retry_after_s=_RUNNING_RETRY_S,
    )


def _columns(keyed: Keyed, answer: Answer, seal: Seal) -> tuple[Any, ...]:
    """Return key, request, and answer as they are stored."""
    sealed = None if answer.body is None else seal.seal(answer.body.decode(), purpose=_purpose(keyed))
    headers = msgspec.json.encode(dict(answer.headers)).decode()
    named = (keyed.tenant_id, keyed.holder, keyed.route, keyed.key, keyed.request_sha256)
    return (*named, answer.status, headers, sealed)


def _lock_of(keyed: Keyed) -> int:
    """Return the lock's number. Two keys of one number merely wait for each other."""
    named = f"idempotency\n{keyed.tenant_id.hex}\n{keyed.holder}\n{keyed.route}\n{keyed.key}"
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big", signed=True)


def _purpose(keyed: Keyed) -> str:
    return f"idempotency:{keyed.tenant_id}:{keyed.holder}:{keyed.route}:{keyed.key}"
