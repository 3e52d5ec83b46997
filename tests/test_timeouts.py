"""Nobody waits for ever: whoever connects, as whichever role, has limits for statements, locks and idle transactions."""

import ast
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

import bursar
from bursar import backups
from bursar.cli import health
from bursar.kernel import migrations
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.operations.snapshots import reading
from bursar.worker.applier import open_session

pytestmark = pytest.mark.anyio

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_SETTINGS = "select name, setting::int as ms from pg_settings where name = any($1)"
_SOURCE = Path(bursar.__file__).parent


async def limits(connection) -> dict[str, int]:
    return {row["name"]: row["ms"] for row in await connection.fetch(_SETTINGS, list(LIMITS))}


@asynccontextmanager
async def closing(connection):
    try:
        yield connection
    finally:
        await connection.close()


async def test_every_way_to_the_database_is_bounded(database_url, admin_url):
    found = {}
    db = await Database.open(database_url, size=2)
    async with db.tenant(UUID(int=0)) as tx:
        found["a tenant"] = await limits(tx)
    async with db.engine() as tx:
        found["the engine"] = await limits(tx)
    async with db.statement() as connection:
        found["the login"] = await limits(connection)
    await db.close()
    async with closing(await open_session(Settings(database_url=database_url))) as connection:
        found["a worker"] = await limits(connection)
    async with closing(await migrations._connect(admin_url)) as connection:
        found["a migration"] = await limits(connection)
    async with reading(database_url) as connection:
        found["a check"] = await limits(connection)
    async with backups.connected(admin_url) as connection:
        found["a backup"] = await limits(connection._raw)

    unbounded = {who: [name for name in LIMITS if not of.get(name)] for who, of in found.items()}
    assert {who: names for who, names in unbounded.items() if names} == {}
    assert max(of["lock_timeout"] for of in found.values()) <= 5000
    assert all(health._SESSION[name] for name in LIMITS)


def test_no_other_way_is_made_without_saying_so():
    """What the simulator does to its own servers is apart."""
    silent = [
        f"{path.relative_to(_SOURCE)}:{call.lineno}"
        for path in _SOURCE.rglob("*.py")
        if "simulate" not in path.parts
        for call in connects(path)
        if not any(keyword.arg == "server_settings" for keyword in call.keywords)
    ]

    assert silent == []


def connects(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("asyncpg.connect", "asyncpg.create_pool"):
            yield node
