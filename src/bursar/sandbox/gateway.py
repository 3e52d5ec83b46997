"""The gateway itself: a request in, an answer out, both within one transaction; and moments that come due.

Invariants:
- what a request did and the answer under its idempotency key are committed together, or neither is;
- the same key with the same parameters gets the same bytes; with others it is refused, and nothing is done;
- a request that was refused before anything was done leaves its key free.

Source: Stripe API reference, "Idempotent requests", "Request IDs", "Versioning".
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import files, reading, timeline
from bursar.sandbox.clock import Clock
from bursar.sandbox.forms import Params, decode
from bursar.sandbox.misbehaviour import Misbehaviour
from bursar.sandbox.refusals import Refusal, broken, invalid, unauthenticated
from bursar.sandbox.routes import route
from bursar.sandbox.store import Store
from bursar.sandbox.work import API_VERSION, EVENTS_KEPT_S, Asked, Work, new_id

KEY_LENGTH_MAX: Final = 255
ANSWERS_KEPT_S: Final = 86_400
_OLDEST: Final = "2025-03-31"
"""The first version ("basil") whose layout this is."""

_KEYS: Final = ("sk_test_", "rk_test_")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to the API. base: the address it was sent to."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Gateway:
    """Everything that the sandbox knows and does, without the network.

    is_open: any test key opens an account of its own; else only keys that were made known.
    """

    def __init__(self, store: Store, clock: Clock, *, is_open: bool) -> None:
        self.store = store
        self.clock = clock
        self.misbehaviour = Misbehaviour(store)
        self._is_open = is_open

    def account_of(self, headers: Mapping[str, str]) -> str:
        """Return whose API key this is. Raises Refusal."""
        key = _api_key(headers.get("authorization", ""))
        row = self.store.connection.execute("select id from account where key = ?", (_hash(key),)).fetchone()
        if row is not None:
            return str(row[0])
        if not self._is_open or not key.startswith(_KEYS) or len(key) < 16:  # noqa: PLR2004 - nobody's guess
            raise unauthenticated(f"Invalid API Key provided: {key[:8]}{'*' * 8}")
        return self.open_account(key)

    def open_account(self, key: str) -> str:
        """Make an API key known; return its account."""
        ref = f"acct_{_hash(key)[:16]}"
        self.store.connection.execute("insert or ignore into account (id, key) values (?, ?)", (ref, _hash(key)))
        return ref

    def answer(self, request: Request, account: str, request_id: str) -> Answer:
        """Do what is asked and say what became of it."""
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        try:
            _check(request, key)
            kept = self._kept(account, key, request) if key else None
            return kept or self._done(request, account, request_id, key)
        except Refusal as refusal:
            return _refused(refusal, request_id)

    def fail(self, request: Request, account: str, request_id: str) -> Answer:
        """Answer 500 without doing anything; keep that under the key where the switches say so."""
        answer = _refused(broken(), request_id)
        key = request.headers.get("idempotency-key")
        if key and self.misbehaviour.switches.fail_is_kept:
            with self.store.transaction():
                self._keep(account, key, request, answer, request_id)
        return answer

    def run_due(self, base: str) -> int:
        """Do what has come due by now, each in a transaction of its own; return how much that was."""
        done = 0
        while self._run_next(self.clock.now(), base):
            done += 1
        return done

    def advance(self, base: str, *, steps_max: int) -> bool:
        """Move the clock to where it was told to go, stopping wherever something is due. Return whether it has arrived."""
        target = self.store.setting("advancing_to")
        for _ in range(steps_max):
            if not self._run_next(target, base):
                self.clock.move_to(target)
                self.store.keep("advancing_to", None)
                return True
        return False

    def purge(self) -> None:
        """Forget events, answers and deliveries that nobody may ask for any more."""
        now = self.clock.now()
        with self.store.transaction() as connection:
            connection.execute("delete from object where kind = 'event' and created < ?", (now - EVENTS_KEPT_S,))
            connection.execute("delete from answer where stored_at < ?", (int(self.clock.real()) - ANSWERS_KEPT_S,))
            connection.execute("delete from delivery where created < ? and state <> 'waiting'", (now - EVENTS_KEPT_S,))
            connection.execute("delete from attempt where delivery not in (select number from delivery)")

    def _run_next(self, until: int, base: str) -> bool:
        """Do the next thing that is due; return whether there was one."""
        row = self.store.connection.execute(
            "select number, at, account, kind, subject from due where at <= ? order by at, number limit 1", (until,)
        ).fetchone()
        if row is None:
            return False
        number, at, account, kind, subject = row
        self.clock.move_to(at)
        with self.store.transaction() as connection:
            connection.execute("delete from due where number = ?", (number,))
            timeline.run(Work(connection, account, at, Asked(base=base)), kind, subject)
        return True

    def _done(self, request: Request, account: str, request_id: str, key: str | None) -> Answer:
        asked = Asked(request_id, key, request.base, self.clock.ahead_s)
        with self.store.transaction() as connection:
            work = Work(connection, account, self.clock.now(), asked)
            try:
                status, body = 200, _result(work, request)
            except Refusal as refusal:
                if not refusal.keeps:
                    raise
                status, body = refusal.status, refusal.body()
            answer = Answer(status, json.dumps(body, indent=2).encode(), {"request-id": request_id})
            if key:
                self._keep(account, key, request, answer, request_id)
        return answer

    def _kept(self, account: str, key: str, request: Request) -> Answer | None:
        row = self.store.connection.execute(
            "select asked, status, body, request from answer where account = ? and key = ?", (account, key)
        ).fetchone()
        if row is None:
            return None
        asked, status, body, first = row
        if asked != _fingerprint(request):
            raise Refusal(
                400,
                "idempotency_error",
                f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
            )
        headers = {"request-id": new_id("req", 14), "original-request": first, "idempotent-replayed": "true"}
        return Answer(status, body, headers)

    def _keep(self, account: str, key: str, request: Request, answer: Answer, request_id: str) -> None:
        self.store.connection.execute(
            "insert into answer (account, key, asked, status, body, request, stored_at) values (?, ?, ?, ?, ?, ?, ?)",
            (account, key, _fingerprint(request), answer.status, answer.body, request_id, int(self.clock.real())),
        )


def _result(work: Work, request: Request) -> Json:
    found = route(request.method, request.path)
    if found is None:
        raise Refusal(404, "invalid_request_error", f"Unrecognized request URL ({request.method}: {request.path}).")
    params = _params(request)
    result = found.handler(work, params, *found.names)
    expands = params.texts("expand")
    params.refuse_others()
    return reading.answer(work, result, expands)


def _params(request: Request) -> Params:
    values = decode(request.query)
    kind = request.headers.get("content-type", "")
    if request.body and kind.lower().startswith("multipart/form-data"):
        values |= files.parts(kind, request.body)
    elif request.body:
        try:
            values |= decode(request.body.decode())
        except UnicodeDecodeError as error:
            raise invalid("The body is not UTF-8.") from error
    return Params(values)


def _check(request: Request, key: str | None) -> None:
    version = request.headers.get("stripe-version", API_VERSION)
    if version[:10] < _OLDEST:
        raise invalid(f"The sandbox renders versions from {_OLDEST} on, not {version[:40]}.")
    if key is not None and not 0 < len(key) <= KEY_LENGTH_MAX:
        raise Refusal(400, "idempotency_error", f"The idempotency key has more than {KEY_LENGTH_MAX} characters.")


def _api_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except ValueError:
            return ""
    raise unauthenticated(
        "You did not provide an API key. You need to provide your API key in the Authorization header."
    )


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _fingerprint(request: Request) -> str:
    told = f"{request.method} {request.path}?{request.query}\n".encode() + request.body
    return hashlib.sha256(told).hexdigest()


def _refused(refusal: Refusal, request_id: str) -> Answer:
    body = refusal.body()
    return Answer(refusal.status, json.dumps(body, indent=2).encode(), {"request-id": request_id})
