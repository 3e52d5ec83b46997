"""Operators: the people who run the installation. They belong to no business; acting for one is explicit and ends by itself."""

from uuid import UUID

from bursar.kernel.db import Database

_IS_ACTIVE = "select true from operator where id = $1 and deactivated_at is null"


async def is_active(db: Database, operator_id: UUID) -> bool:
    """True unless the operator was deactivated."""
    async with db.engine() as tx:
        return bool(await tx.fetchval(_IS_ACTIVE, operator_id))
