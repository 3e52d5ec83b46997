"""The one way to PostgreSQL: explicit SQL over asyncpg, in transactions that have a role and a tenant.

The role and the tenant are settings local to the transaction, so a pooled connection (ours, or a
pgbouncer in transaction mode) carries nothing over to the next user. Code that forgets the tenant sees
no row: every policy compares with the setting.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from bursar.kernel.errors import Unavailable

Transaction = Any
"""An open transaction: an asyncpg connection or pool proxy (which ships no types)."""

TENANT_ROLE = "bursar_app"
ENGINE_ROLE = "bursar_engine"

_AS_TENANT = "select set_config('role', 'bursar_app', true), set_config('bursar.tenant', $1, true)"
_AS_ENGINE = "select set_config('role', 'bursar_engine', true), set_config('bursar.tenant', '', true)"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, or has no connection left for us."""

    code = "database_unavailable"


class Database:
    """A pool of connections and the two kinds of transaction that may be opened on it."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, size: int = 10, statement_timeout_ms: int = 15_000) -> "Database":
        """Connect. Raises DatabaseUnavailable when nobody answers."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=min(2, size),
                max_size=size,
                command_timeout=statement_timeout_ms / 1000 + 5,
                statement_cache_size=256,
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

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction that sees and writes the rows of one tenant, and no others."""
        async with self._transaction() as connection:
            await connection.execute(_AS_TENANT, str(tenant_id))
            yield connection

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Transaction]:
        """Open a transaction of the engine: the intake and queue tables of all tenants, nothing else."""
        async with self._transaction() as connection:
            await connection.execute(_AS_ENGINE)
            yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
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
        try:
            async with connection.transaction():
                yield connection
        except (
            asyncpg.PostgresConnectionError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            ConnectionError,
        ) as error:
            raise DatabaseUnavailable("the database connection was lost", retry_after_s=2) from error
        finally:
            await self._release(connection)

    async def _release(self, connection: Any) -> None:
        try:
            await self._pool.release(connection, timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            connection.terminate()


async def become_tenant(connection: Any, tenant_id: UUID) -> None:
    """Make the open transaction one tenant's."""
    await connection.execute(_AS_TENANT, str(tenant_id))


async def become_engine(connection: Any) -> None:
    """Make the open transaction the engine's."""
    await connection.execute(_AS_ENGINE)
