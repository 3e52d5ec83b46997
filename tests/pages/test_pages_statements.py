"""Every statement of the pages is prepared against the migrated schema, and no page asks more often for more rows."""

import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import pytest
from visitors import Visitor

from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.web.pages import marks, reads, remembering
from bursar.web.pages.reads import search
from bursar.web.pages.reads.events import STATUSES, list_statement
from stage import charge, event, intent


def _statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for module_info in pkgutil.iter_modules(reads.__path__):
        module = import_module(f"{reads.__name__}.{module_info.name}")
        named = dict(vars(module))
        for which, statement in named.pop("_STATEMENTS", {}).items():
            named[f"_STATEMENTS_{which}".upper()] = statement
        for name, value in named.items():
            if isinstance(value, str) and name.isupper() and value.lstrip().startswith(("select", "with", "(select")):
                found[f"{module_info.name}{name}"] = value
    for status in (None, *STATUSES):
        for has_type in (False, True):
            found[f"events {status} {has_type}"] = list_statement(status, has_type=has_type)
    found |= {f"search {kind}": statement for kind, (_, statement) in search._KINDS.items()}
    # A list's template and a list's columns are no statements of their own.
    return {name: text for name, text in found.items() if "{source}" not in text and not name.endswith("_COLUMNS")}


async def test_every_statement_is_understood(db: Database):
    statements = _statements()
    assert len(statements) > 60
    async with db.tenant(ids.new()) as tx:
        for name, statement in statements.items():
            try:
                await tx.prepare(statement)
            except Exception as error:  # noqa: BLE001 - the name is what one needs to know
                pytest.fail(f"{name}: {error}")
    async with db.engine() as tx:
        await tx.prepare(marks._SHAPES)


RECOGNISED = 2
"""Statements that find out who is looking: the session, and whether the key that opened it is in force."""


_LOOKING: ContextVar[bool] = ContextVar("looking", default=False)
"""True in what a page's own request runs: the process also writes down, now and then, when keys were used."""


class Counting:
    """A transaction that counts what is asked of it."""

    def __init__(self, tx: Any, asked: list[str]) -> None:
        self._tx, self._asked = tx, asked

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tx, name)
        if name not in ("fetch", "fetchrow", "fetchval", "execute"):
            return found

        def counted(statement: str, *values: Any, **options: Any) -> Any:
            self._asked.append(" ".join(statement.split()))
            return found(statement, *values, **options)

        return counted


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/", 12),
        ("/events", 4),
        ("/payments", 2),
        ("/subscriptions", 3),
        ("/customers", 3),
        ("/unmatched", 2),
        ("/dead", 3),
        ("/books", 4),
        ("/catalog", 4),
    ],
)
async def test_a_page_asks_as_often_for_many_rows_as_for_few(
    lived: Visitor, monkeypatch: pytest.MonkeyPatch, path: str, most: int
):
    asked: list[str] = []
    opened = Database.tenant

    @asynccontextmanager
    async def counted(self: Database, tenant_id: Any) -> AsyncIterator[Any]:
        async with opened(self, tenant_id) as tx:
            yield Counting(tx, asked) if _LOOKING.get() else tx

    # Nothing is remembered from one look to the next, whatever the machine is busy with.
    monkeypatch.setattr(remembering, "_KEPT_S_MIN", 0.0)
    monkeypatch.setattr(remembering, "_KEPT_COSTS", 0)
    await lived.page("/")
    _LOOKING.set(True)
    with monkeypatch.context() as counting:
        counting.setattr(Database, "tenant", counted)
        await lived.page(path)
    few = len(asked)
    await lived.stage.tell(*(event("charge.succeeded", charge(f"m{n}", customer=f"cus_{n}")) for n in range(40)))
    await lived.stage.tell(
        *(event("payment_intent.succeeded", intent(f"m{n}", customer=f"cus_{n}")) for n in range(40))
    )

    asked.clear()
    monkeypatch.setattr(Database, "tenant", counted)
    await lived.page(path)

    assert len(asked) <= most + RECOGNISED, "\n".join(asked)
    assert len(asked) <= few
