"""Where the sandbox keeps what it knows: one SQLite file, outside of Bursar's database, as a real gateway's is.

A commit survives the death of the process, even by SIGKILL (write-ahead log); the last commits before a power cut may
be lost. Fields whose name begins with `_` are the sandbox's own and are never shown.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bursar.money.gateways.fields import Json

LINKS: Final = (
    "customer",
    "payment_intent",
    "charge",
    "subscription",
    "invoice",
    "status",
    "type",
    "product",
    "lookup_key",
    "source",
    "email",
    "currency",
    "active",
    "purpose",
    "payment_method",
)
"""Fields by which objects are found; SQLite reads them out of the body."""


def _path(name: str) -> str:
    at = f"json_extract(body, '$.{name}')"
    # An invoice names its subscription deeper than everything else does, and an invoice payment its payment.
    deeper = {
        "subscription": "$.parent.subscription_details.subscription",
        "payment_intent": "$.payment.payment_intent",
    }
    return f"coalesce({at}, json_extract(body, '{deeper[name]}'))" if name in deeper else at


_INDEXED: Final = ("customer", "payment_intent", "charge", "subscription", "invoice", "type", "lookup_key", "source")

_SCHEMA: Final = f"""
create table if not exists object (
  number integer primary key,
  account text not null,
  id text not null,
  kind text not null,
  created integer not null,
  body text not null,
  private text,
  {"".join(f"{name} generated always as ({_path(name)}) virtual, " for name in LINKS)}
  unique (account, id)
);
create index if not exists object_by_time on object (account, kind, created, number);
{"".join(f"create index if not exists object_by_{name} on object (account, kind, {name}, created, number) where {name} is not null;" for name in _INDEXED)}
create table if not exists answer (
  account text not null,
  key text not null,
  asked text not null,
  status integer not null,
  body blob not null,
  request text not null,
  stored_at integer not null,
  primary key (account, key)
) without rowid;
create table if not exists due (
  number integer primary key,
  at integer not null,
  account text not null,
  kind text not null,
  subject text not null
);
create index if not exists due_by_time on due (at, number);
create index if not exists due_by_subject on due (account, subject, kind);
create table if not exists delivery (
  number integer primary key,
  account text not null,
  event text not null,
  endpoint text not null,
  due_at integer not null,
  created integer not null,
  attempts integer not null default 0,
  state text not null default 'waiting'
);
create index if not exists delivery_waiting on delivery (due_at) where state = 'waiting';
create index if not exists delivery_of_event on delivery (account, event);
create table if not exists attempt (
  number integer primary key,
  delivery integer not null,
  at integer not null,
  status integer,
  said text not null
);
create index if not exists attempt_of_delivery on attempt (delivery);
create table if not exists account (
  id text primary key,
  key text not null unique
);
create table if not exists setting (
  name text primary key,
  value text not null
);
"""

_SAVE: Final = """
insert into object (account, id, kind, created, body, private) values (?, ?, ?, ?, ?, ?)
on conflict (account, id) do update set body = excluded.body, private = excluded.private
"""
_FIND: Final = "select kind, body, private from object where account = ? and id = ?"
_PLACE: Final = "select created, number from object where account = ? and kind = ? and id = ?"


class Store:
    """The file, opened. One thread uses it, one transaction at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.connection = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self.connection.execute("pragma journal_mode = wal")
        self.connection.execute("pragma synchronous = normal")
        self.connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it."""
        self.connection.execute("begin immediate")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")

    def setting(self, name: str) -> Any:
        """Return a kept value, or None."""
        row = self.connection.execute("select value from setting where name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep(self, name: str, value: Any) -> None:
        """Keep a value under a name."""
        self.connection.execute("insert or replace into setting (name, value) values (?, ?)", (name, json.dumps(value)))


def save(connection: sqlite3.Connection, account: str, item: Json) -> None:
    """Write an object, new or changed."""
    body = json.dumps({name: value for name, value in item.items() if name[0] != "_"}, separators=(",", ":"))
    private = {name: value for name, value in item.items() if name[0] == "_"}
    kept = json.dumps(private, separators=(",", ":")) if private else None
    connection.execute(_SAVE, (account, item["id"], item["object"], item.get("created", 0), body, kept))


def find(connection: sqlite3.Connection, account: str, kind: str, ref: str) -> Json | None:
    """Return an object of a kind by its name."""
    row = connection.execute(_FIND, (account, ref)).fetchone()
    return _read(row[1], row[2]) if row is not None and row[0] == kind else None


def find_any(connection: sqlite3.Connection, account: str, ref: str) -> Json | None:
    """Return an object of whatever kind by its name."""
    row = connection.execute(_FIND, (account, ref)).fetchone()
    return None if row is None else _read(row[1], row[2])


def delete(connection: sqlite3.Connection, account: str, ref: str) -> None:
    """Forget an object."""
    connection.execute("delete from object where account = ? and id = ?", (account, ref))


def place(connection: sqlite3.Connection, account: str, kind: str, ref: str) -> tuple[int, int] | None:
    """Return where an object stands in lists of its kind."""
    row = connection.execute(_PLACE, (account, kind, ref)).fetchone()
    return None if row is None else (row[0], row[1])


def select(
    connection: sqlite3.Connection,
    account: str,
    kind: str,
    *,
    links: Mapping[str, str | Sequence[str]],
    created: Mapping[str, int],
    after: tuple[int, int] | None = None,
    before: tuple[int, int] | None = None,
    limit: int,
) -> list[Json]:
    """Return objects of a kind, newest first, before `before` oldest first.

    created: bounds by `gt`, `gte`, `lt`, `lte`. after, before: places, as `place` returns them.
    """
    statement, values = selection(account, kind, links=links, created=created, after=after, before=before, limit=limit)
    return [_read(body, private) for body, private in connection.execute(statement, values).fetchall()]


def selection(
    account: str,
    kind: str,
    *,
    links: Mapping[str, str | Sequence[str]],
    created: Mapping[str, int],
    after: tuple[int, int] | None,
    before: tuple[int, int] | None,
    limit: int,
) -> tuple[str, list[str | int]]:
    """Return the statement of `select` and its values."""
    conditions, values = ["account = ?", "kind = ?"], list[str | int]([account, kind])
    for name, value in links.items():
        assert name in LINKS
        listed = [value] if isinstance(value, str) else list(value)
        conditions.append(f"{name} = ?" if len(listed) == 1 else f"{name} in ({', '.join('?' * len(listed))})")
        values += listed
    for name, sign in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
        if name in created:
            conditions.append(f"created {sign} ?")
            values.append(created[name])
    for at, sign in ((after, "<"), (before, ">")):
        if at is not None:
            conditions.append(f"(created, number) {sign} (?, ?)")
            values += at
    direction = "asc" if before is not None else "desc"
    statement = f"""
select body, private from object where {" and ".join(conditions)}
order by created {direction}, number {direction} limit ?
"""
    return statement, [*values, limit]


def _read(body: str, private: str | None) -> Json:
    item: Json = json.loads(body)
    return item | json.loads(private) if private else item
