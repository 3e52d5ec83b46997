"""The control of the sandbox, below /_sandbox/: the clock, the switches, the log of deliveries, whole objects put in.

Only who has the token of the sandbox's directory gets in. The page keeps it in a cookie of its own.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl

from bursar.kernel.errors import DomainError, Invalid
from bursar.money.gateways.fields import Json
from bursar.sandbox import endpoints, pages, store
from bursar.sandbox.gateway import Answer, Gateway
from bursar.sandbox.work import Asked, Work

ADVANCE_S_MAX: Final = 5 * 366 * 86_400
OBJECTS_MAX: Final = 10_000
_COOKIE: Final = "sandbox_token"

_DELIVERIES: Final = """
select d.number, d.account, d.event, e.type, w.body, d.state, d.attempts, d.due_at, d.created
from delivery d
left join object e on e.account = d.account and e.id = d.event
left join object w on w.account = d.account and w.id = d.endpoint
order by d.number desc limit ?
"""
_ATTEMPTS: Final = "select at, status, said from attempt where delivery = ? order by number"


class ControlInvalid(Invalid):
    """The sandbox cannot be told that."""

    code = "sandbox_control_invalid"


class Control:
    """Answers those who hold the token. wake: called when there may be something to do at once."""

    def __init__(self, gateway: Gateway, *, token: str, wake: Callable[[], None]) -> None:
        self._gateway = gateway
        self._token = token
        self._wake = wake

    def answer(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to a request below /_sandbox."""
        offered = parse_qs(query).get("token", [""])[0]
        if method == "GET" and offered and self._opens(offered):
            cookie = f"{_COOKIE}={offered}; Path=/_sandbox; HttpOnly; SameSite=Strict"
            return Answer(303, b"", {"location": "/_sandbox/", "set-cookie": cookie})
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._opens(bearer):
            return self._told(method, path.removeprefix("/_sandbox").strip("/"), query, body)
        if self._opens(_cookie(headers)):
            return self._shown(method, path.removeprefix("/_sandbox").strip("/"), body)
        said = "This needs the sandbox's token. Run: bursar sandbox show"
        return Answer(401, json.dumps({"error": {"message": said}}).encode(), {"content-type": "application/json"})

    def _opens(self, offered: str) -> bool:
        return hmac.compare_digest(offered.encode(), self._token.encode())

    def _told(self, method: str, name: str, query: str, body: bytes) -> Answer:
        try:
            asked = json.loads(body) if body else {}
            if not isinstance(asked, dict):
                raise ControlInvalid("the body is a JSON object")
            limit = min(1000, int(parse_qs(query).get("limit", ["100"])[0]))
            result = self._done(method, name, asked, limit)
        except (ValueError, KeyError, TypeError) as error:
            result, status = {"error": {"code": "sandbox_control_invalid", "message": str(error)}}, 400
        except DomainError as refusal:
            told = {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}
            result, status = {"error": told}, refusal.status
        else:
            status = 200 if result is not None else 404
        self._wake()
        return Answer(status, json.dumps(result).encode(), {"content-type": "application/json"})

    def _done(self, method: str, name: str, asked: Json, limit: int) -> Json | None:
        doing: dict[tuple[str, str], Callable[[], Json]] = {
            ("GET", ""): self.state,
            ("GET", "deliveries"): lambda: {"data": self.deliveries(limit)},
            ("POST", "advance"): lambda: self.advance(int(asked["seconds"])),
            ("POST", "misbehave"): lambda: asdict(self._gateway.misbehaviour.set(asked)),
            ("POST", "behave"): lambda: asdict(self._gateway.misbehaviour.reset()),
            ("POST", "accounts"): lambda: self.open_account(**asked),
            ("POST", "objects"): lambda: self.put(**asked),
        }
        act = doing.get((method, name))
        return act() if act else None

    def state(self) -> Json:
        """Return the sandbox's time, its switches, and how much waits."""
        connection = self._gateway.store.connection
        waiting = connection.execute("select count(*) from delivery where state = 'waiting'").fetchone()[0]
        next_due = connection.execute("select min(at) from due").fetchone()[0]
        return {
            "now": self._gateway.clock.now(),
            "ahead_s": self._gateway.clock.ahead_s,
            "advancing_to": self._gateway.store.setting("advancing_to"),
            "next_due": next_due,
            "deliveries_waiting": waiting,
            "switches": asdict(self._gateway.misbehaviour.switches),
        }

    def deliveries(self, limit: int) -> list[Json]:
        """Return the newest deliveries, each with its attempts."""
        connection = self._gateway.store.connection
        found = []
        for number, account, event, kind, endpoint, state, attempts, due_at, created in connection.execute(
            _DELIVERIES, (limit,)
        ).fetchall():
            found.append(
                {
                    "account": account,
                    "event": event,
                    "type": kind,
                    "url": json.loads(endpoint)["url"] if endpoint else None,
                    "state": state,
                    "attempts": attempts,
                    "due_at": due_at,
                    "created": created,
                    "log": [
                        {"at": at, "status": status, "said": said}
                        for at, status, said in connection.execute(_ATTEMPTS, (number,)).fetchall()
                    ],
                }
            )
        return found

    def advance(self, seconds: int) -> Json:
        """Let the sandbox's time move on by so many seconds; what falls due happens on the way."""
        if not 0 < seconds <= ADVANCE_S_MAX:
            raise ControlInvalid("the clock moves forward only", hint="By at most five years at a time.")
        begin = self._gateway.store.setting("advancing_to") or self._gateway.clock.now()
        self._gateway.store.keep("advancing_to", begin + seconds)
        return self.state()

    def open_account(self, *, key: str, deliver_to: str | None = None, secret: str | None = None) -> Json:
        """Make an API key known, and tell an address of all its events. Doing it again changes the address."""
        if not key.startswith(("sk_test_", "rk_test_")):
            raise ControlInvalid("an API key of the sandbox begins with sk_test_")
        account = self._gateway.open_account(key)
        if deliver_to and secret:
            with self._gateway.store.transaction() as connection:
                work = Work(connection, account, self._gateway.clock.now(), Asked())
                known = next((one for one in work.all("webhook_endpoint") if one["_secret"] == secret), None)
                if known:
                    work.save(known | {"url": deliver_to})
                else:
                    endpoints.add(work, url=deliver_to, secret=secret, events=["*"])
        return {"account": account}

    def put(self, *, key: str, objects: list[Json]) -> Json:
        """Put whole objects in as they are, without telling anybody. Each names its `id` and `object`."""
        if len(objects) > OBJECTS_MAX:
            raise ControlInvalid(f"at most {OBJECTS_MAX} objects at a time")
        account = self._gateway.open_account(key)
        with self._gateway.store.transaction() as connection:
            for item in objects:
                if not isinstance(item.get("id"), str) or not isinstance(item.get("object"), str):
                    raise ControlInvalid("an object has an id and names what it is in `object`")
                store.save(connection, account, item)
        return {"put": len(objects)}

    def _shown(self, method: str, name: str, body: bytes) -> Answer:
        problem = None
        if method == "POST":
            form = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=50))
            try:
                self._do_for_page(name, form)
            except (DomainError, ValueError) as refusal:
                problem = refusal.message if isinstance(refusal, DomainError) else "That is not a number."
            else:
                self._wake()
                return Answer(303, b"", {"location": "/_sandbox/"})
        state = self.state()
        html = pages.render(
            "control.html",
            state=state,
            now=datetime.fromtimestamp(state["now"], UTC),
            deliveries=self.deliveries(50),
            problem=problem,
        )
        policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        told = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": policy,
            "cache-control": "no-store",
        }
        return Answer(400 if problem else 200, html.encode(), told)

    def _do_for_page(self, name: str, form: dict[str, str]) -> None:
        if name == "advance":
            self.advance(int(float(form.get("days", "0")) * 86_400))
        elif name == "behave":
            self._gateway.misbehaviour.reset()
        elif name == "misbehave":
            self._gateway.misbehaviour.set(_switches(form))


def _switches(form: dict[str, str]) -> dict[str, Any]:
    """Return what the page's form turns. A box that is not ticked is not sent."""
    turned: dict[str, Any] = {name: name in form for name in ("fail_is_kept", "rate_limit", "writes_only")}
    for name, value in form.items():
        if name == "down":
            turned[name] = value
        elif name not in turned:
            turned[name] = int(value) if name == "seed" else float(value)
    return turned


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
