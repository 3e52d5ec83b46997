"""A database that goes silent: what waits for it is told so, and never that something is wrong with Bursar."""

import socket

import asyncpg
import pytest

from bursar.cli.health import examine
from bursar.kernel.db import Database, DatabaseUnavailable
from bursar.kernel.settings import Settings

pytestmark = pytest.mark.anyio


async def test_a_statement_that_is_not_answered_is_an_unavailable_database(database_url):
    db = await Database.open(database_url, size=1)

    for door in (db.statement, db.engine):
        with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
            async with door() as tx:
                await tx.execute("select pg_sleep(30)", timeout=0.2)
    async with db.statement() as tx:
        again = await tx.fetchval("select 1")

    await db.close()
    assert again == 1


async def test_a_connection_that_is_given_back_too_late_does_not_hide_what_happened():
    class Connection:
        def is_in_transaction(self) -> bool:
            return False

        def is_closed(self) -> bool:
            return False

        def terminate(self) -> None:
            raise asyncpg.InterfaceError("the connection has been released back to the pool")

    class Pool:
        async def acquire(self, **told) -> Connection:
            return Connection()

        async def release(self, connection, **told) -> None:
            raise TimeoutError

    async with Database(Pool()).statement():
        pass
    with pytest.raises(KeyError):
        async with Database(Pool()).statement():
            raise KeyError


async def test_the_doctor_says_of_a_server_that_hangs_that_it_does(monkeypatch):
    monkeypatch.setattr("bursar.cli.health._CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/bursar?sslmode=disable"

        found = await examine(Settings(database_direct_url=address))

    assert [(one.check, one.ok, one.found) for one in found] == [
        ("database", False, "it takes the connection and does not answer within 0.2 s")
    ]
    assert "postgres.log" in found[0].advice
