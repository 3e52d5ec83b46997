"""The sandbox's file: its statements, what it finds by index, and what survives."""

import importlib
import pkgutil
import re
from pathlib import Path

import bursar.sandbox
from bursar.sandbox.store import Store

_SQL = re.compile(r"\s*(select|insert into|update|delete from)\s")


def statements() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(bursar.sandbox.__path__, "bursar.sandbox."):
        values = vars(importlib.import_module(module.name)).values()
        found |= {value for value in values if isinstance(value, str) and _SQL.match(value)}
    return found


def test_every_statement_fits_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "file")

    for statement in statements():
        store.connection.execute(f"explain {statement}", [None] * statement.count("?"))

    assert len(statements()) >= 6
    store.close()
