"""Reading one tenant as of one instant: a transaction that sees a single snapshot and can write nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from bursar.kernel import ids
from bursar.kernel.db import DatabaseUnavailable, Transaction, become_engine, become_tenant
from bursar.kernel.errors import NotFound

_STATEMENT_TIMEOUT = "30min"
_TENANTS = "select tenant_id from tenant order by tenant_id"
_TENANT = "select true from tenant where tenant_id = $1"


class TenantUnknown(NotFound):
    """No tenant has this id."""

    code = "tenant_not_found"


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Transaction]:
    """Open a connection of its own for long reads. Raises DatabaseUnavailable."""
    settings = {
        "application_name": "bursar operations",
        "statement_timeout": _STATEMENT_TIMEOUT,
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "5min",
        "jit": "off",
    }
    try:
        # Tenant after tenant is asked the same: more statements than the hundred that are kept otherwise.
        connection = await asyncpg.connect(url, server_settings=settings, statement_cache_size=512)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {type(error).__name__}") from error
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def snapshot(connection: Transaction, tenant_id: UUID) -> AsyncIterator[Transaction]:
    """See one tenant as of now, for as long as the block lasts. Raises TenantUnknown."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await become_tenant(connection, tenant_id)
        if not await connection.fetchval(_TENANT, tenant_id):
            raise TenantUnknown(
                f"there is no tenant {ids.show(ids.TENANT, tenant_id)}",
                hint="See the id that bursar tenant create printed.",
            )
        yield connection


async def tenants(connection: Transaction) -> list[UUID]:
    """Return every tenant of the installation, oldest first."""
    async with connection.transaction(readonly=True):
        await become_engine(connection)
        return [row["tenant_id"] for row in await connection.fetch(_TENANTS)]
