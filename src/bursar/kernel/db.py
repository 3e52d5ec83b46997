"""The one way to PostgreSQL: explicit SQL over asyncpg, in transactions that have a role and a tenant.

The role and the tenant are settings local to the transaction, so a pooled connection (ours, or a
pgbouncer in transaction mode) carries nothing over to the next user. Code that forgets the tenant sees
no row: every policy compares with the setting.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.protocol import protocol

from bursar.kernel import tracing
from bursar.kernel.errors import Unavailable

# asyncpg asks each element of an array parameter whether it is an array too, of two abstract base classes; a batch has
# tens of thousands of elements, and the question costs more than sending them. Ours are lists or tuples, or no arrays.
protocol.IterableABC = protocol.SizedABC = (list, tuple)

Transaction = Any
"""An open transaction: an asyncpg connection or pool proxy (which ships no types)."""

TENANT_ROLE = "bursar_app"
ENGINE_ROLE = "bursar_engine"

_AS_TENANT = "set local role bursar_app; set local bursar.tenant = '{}'"
_AS_ENGINE = "set local role bursar_engine; set local bursar.tenant = ''"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, or has no connection left for us."""

    code = "database_unavailable"


class Database:
    """A pool of connections and the two kinds of transaction that may be opened on it."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls, url: str, *, size: int = 10, statement_timeout_ms: int = 15_000, watch: Callable[[Any], None] | None = None
    ) -> "Database":
        """Connect. watch: is told of every connection that is made. Raises DatabaseUnavailable when nobody answers."""

        async def watched(connection: Any) -> None:
            tracing.watch(connection)
            if watch:
                watch(connection)

        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=min(2, size),
                max_size=size,
                command_timeout=statement_timeout_ms / 1000 + 5,
                statement_cache_size=256,
                reset=_nothing_to_reset,
                init=watched,
                server_settings={
                    "application_name": "bursar",
                    "statement_timeout": str(statement_timeout_ms),
                    "lock_timeout": "5000",
                    "idle_in_transaction_session_timeout": "15000",
                    "jit": "off",
                },
            )
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise DatabaseUnavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error
        return cls(pool)

    @property
    def connections(self) -> dict[str, int]:
        """How many connections of the pool are lent, idle, and may be open at most."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return {"lent": size - idle, "idle": idle, "max": self._pool.get_max_size()}

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction that sees and writes the rows of one tenant, and no others."""
        async with self._connection() as connection, _transaction(connection, _AS_TENANT.format(tenant_id)):
            yield connection

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Transaction]:
        """Open a transaction of the engine: the intake and queue tables of all tenants, nothing else."""
        async with self._connection() as connection, _transaction(connection, _AS_ENGINE):
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """Lend a connection for one statement, which is a transaction of its own: one round trip, commit included.

        It has neither role nor tenant and sees nothing, unless the statement calls a function that takes a role.
        """
        async with self._connection() as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            connection = await self._pool.acquire(timeout=5)
        except (
            OSError,
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            TimeoutError,
        ) as error:
            raise DatabaseUnavailable("no database connection within 5 s", retry_after_s=2) from error
        is_silent = False
        try:
            # A statement that is to be a transaction of its own must never land inside one that somebody left open.
            assert not connection.is_in_transaction(), "the pool lent a connection in the middle of a transaction"
            yield connection
        except (
            asyncpg.PostgresConnectionError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            ConnectionError,
        ) as error:
            raise DatabaseUnavailable("the database connection was lost", retry_after_s=2) from error
        except TimeoutError as error:
            is_silent = True
            raise DatabaseUnavailable("the database did not answer in time", retry_after_s=2) from error
        finally:
            await self._release(connection, is_silent=is_silent)

    async def _release(self, connection: Any, *, is_silent: bool) -> None:
        """Give a connection back. One still inside a transaction (whose rollback failed) is dropped, as is a silent one:

        nobody knows what its server still does with the statement.
        """
        if is_silent or (not connection.is_closed() and connection.is_in_transaction()):
            connection.terminate()
        try:
            await self._pool.release(connection, timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            # The pool may have taken it back before it failed; it then drops the connection by itself.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()


def storable(text: str, *, length_max: int) -> str:
    """Return somebody's words as PostgreSQL can keep them, shortened: without what is no text, and without NUL."""
    return text[:length_max].replace("\x00", "").encode("utf-8", "replace").decode()


@asynccontextmanager
async def tenant_transaction(connection: Any, tenant_id: UUID) -> AsyncIterator[None]:
    """Make what is done on a connection of one's own one transaction of one tenant."""
    async with _transaction(connection, _AS_TENANT.format(tenant_id)):
        yield


async def become_tenant(connection: Any, tenant_id: UUID) -> None:
    """Make the open transaction one tenant's."""
    await connection.execute(_AS_TENANT.format(tenant_id))


async def become_engine(connection: Any) -> None:
    """Make the open transaction the engine's."""
    await connection.execute(_AS_ENGINE)


@asynccontextmanager
async def attempt(tx: Transaction) -> AsyncIterator[None]:
    """Take back what is written within, if something is raised; the transaction can go on, for whoever catches it."""
    await tx.execute("savepoint attempt")
    try:
        yield
    except BaseException:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await tx.execute("rollback to savepoint attempt")
        raise
    await tx.execute("release savepoint attempt")


@asynccontextmanager
async def _transaction(connection: Any, role: str) -> AsyncIterator[None]:
    """Begin and take a role in one round trip, and commit. Within, only `attempt` takes a part back: one request or job, one transaction."""
    await connection.execute(f"begin; {role}")
    try:
        yield
    except TimeoutError:
        raise  # A silent server would not hear a rollback either.
    except BaseException:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await connection.execute("rollback")
        raise
    # A transaction in which an error was swallowed "commits" as a rollback, and says so only here.
    status = await connection.execute("commit")
    assert status == "COMMIT", "the transaction had failed before its end"


async def _nothing_to_reset(connection: Any) -> None:
    """Keep the pool from a round trip after each use: role and tenant ended with the transaction."""
