"""One request's, or one due moment's, work in the sandbox: what it reads, writes, tells and leaves for later."""

import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import store
from bursar.sandbox.refusals import unknown

API_VERSION: Final = "2026-10-28.endive"
"""The layout of everything here, and of events."""

EVENTS_KEPT_S: Final = 30 * 86_400
_LETTERS: Final = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """Return a name that nobody can guess."""
    return f"{prefix}_{''.join(secrets.choice(_LETTERS) for _ in range(length))}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked: the request's id and its idempotency key, as events repeat them.

    base: the server's own address. ahead_s: how far the sandbox's clock is ahead of the caller's.
    """

    request: str | None = None
    key: str | None = None
    base: str = ""
    ahead_s: int = 0


class Work:
    """One transaction for one account at one moment of the sandbox's time."""

    def __init__(self, connection: Connection, account: str, now: int, asked: Asked) -> None:
        self.connection = connection
        self.account = account
        self.now = now
        self.asked = asked

    def find(self, kind: str, ref: str) -> Json | None:
        """Return an object, or None."""
        return store.find(self.connection, self.account, kind, ref)

    def need(self, kind: str, ref: str | None, *, param: str = "id") -> Json:
        """Return an object. Raises Refusal: 404 where it is what was asked for, 400 where it is a parameter."""
        item = self.find(kind, ref) if ref else None
        if item is None:
            raise unknown(kind, ref or "", param=param, status=404 if param == "id" else 400)
        return item

    def save(self, item: Json) -> Json:
        """Write an object down."""
        store.save(self.connection, self.account, item)
        return item

    def delete(self, ref: str) -> None:
        """Forget an object."""
        store.delete(self.connection, self.account, ref)

    def all(self, kind: str, **links: str) -> list[Json]:
        """Return all objects of a kind with these fields, newest first; at most a thousand."""
        return store.select(self.connection, self.account, kind, links=links, created={}, limit=1000)

    def tell(self, kind: str, item: Json, previous: Mapping[str, Any] | None = None) -> None:
        """Record that something happened, and send it to every endpoint that wants to know."""
        data: Json = {"object": shown(item)}
        if previous is not None:
            data["previous_attributes"] = dict(previous)
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.asked.request, "idempotency_key": self.asked.key},
            "type": kind,
        }
        wanting = [
            endpoint
            for endpoint in self.all("webhook_endpoint", status="enabled")
            if {"*", kind} & set(endpoint["enabled_events"])
        ]
        event["pending_webhooks"] = len(wanting)
        self.save(event)
        for endpoint in wanting:
            self.connection.execute(
                "insert into delivery (account, event, endpoint, due_at, created) values (?, ?, ?, ?, ?)",
                (self.account, event["id"], endpoint["id"], self.now, self.now),
            )

    def change(self, kind: str, item: Json, **changes: Any) -> Json:
        """Change an object and tell of it with what was before. Nothing is told of what stays as it is."""
        previous = {name: item.get(name) for name, value in changes.items() if item.get(name) != value}
        item |= changes
        self.save(item)
        if previous:
            self.tell(kind, item, {name: value for name, value in previous.items() if name[0] != "_"})
        return item

    def meant(self, at: int, *, first: int, last: int) -> int:
        """Return the moment that a caller means: one that cannot be, and could by his own clock, is moved by as much
        as the sandbox is ahead of that.
        """
        moved = at + self.asked.ahead_s
        return moved if not first <= at <= last and first <= moved <= last else at

    def later(self, at: int, kind: str, subject: str) -> None:
        """Leave something to be done at a moment; `timeline` says what each kind is."""
        self.connection.execute(
            "insert into due (at, account, kind, subject) values (?, ?, ?, ?)", (at, self.account, kind, subject)
        )

    def forget(self, subject: str, *kinds: str) -> None:
        """Take back what was left for later about an object."""
        for kind in kinds:
            self.connection.execute(
                "delete from due where account = ? and subject = ? and kind = ?", (self.account, subject, kind)
            )


def shown(item: Json) -> Json:
    """Return an object as the outside sees it."""
    return {name: value for name, value in json.loads(json.dumps(item)).items() if name[0] != "_"}


def listing(items: list[Json], url: str) -> Json:
    """Return Stripe's envelope of a whole list."""
    return {"object": "list", "data": items, "has_more": False, "url": url}
