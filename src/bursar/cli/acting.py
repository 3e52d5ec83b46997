"""What commands that work on the database share: the instance, an open database, ids as people type them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from bursar.cli.connection import ADDRESSES, instance, is_up, settings_for
from bursar.cli.listening import base_url
from bursar.cli.supervisor import migrate
from bursar.kernel import ids, migrations, tenancy
from bursar.kernel.db import Database
from bursar.kernel.errors import NotFound
from bursar.kernel.files import read_json
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.settings import Settings

ACTOR = "operator"

Found = TypeVar("Found")

TenantText = Annotated[str, typer.Option("--tenant", help="Whose: ten_…")]
Whose = Annotated[str | None, typer.Option("--tenant", help="Whose: ten_…; without it the installation's own.")]


class TenantNotFound(NotFound):
    """No tenant of this installation has this id."""

    code = "tenant_not_found"


def act(data: Path | None, work: Callable[[Database, Settings], Awaitable[Found]]) -> Found:
    """Do something with the instance's database.

    The embedded one is brought to this version's schema first. Neither a database of one's own is migrated unasked, nor one
    on which `bursar up` works: where that is of an older version, it would answer nothing any more.
    """
    is_embedded = not settings_for(data).database_url

    async def working(settings: Settings) -> Found:
        if is_embedded and not is_up(settings):
            await migrate(settings)
        db = await Database.open(settings.database_url, size=2)
        try:
            async with db.engine() as tx:
                await migrations.require_current(tx)
            return await work(db, settings)
        finally:
            await db.close()

    with instance(data) as settings:
        return asyncio.run(working(settings))


async def tenant_of(db: Database, text: str) -> UUID:
    """Return the tenant that a person named. Raises IdInvalid, TenantNotFound."""
    tenant_id = ids.parse(ids.TENANT, text)
    async with db.tenant(tenant_id) as tx:
        if await tenancy.tenant(tx, tenant_id=tenant_id) is None:
            raise TenantNotFound(f"there is no tenant {text}", hint="See bursar tenant list.")
    return tenant_id


async def whose(db: Database, text: str | None) -> UUID:
    """Return the tenant that a person named, or the installation where none is named. Raises IdInvalid, TenantNotFound."""
    return INSTALLATION if text is None else await tenant_of(db, text)


def public_base(settings: Settings) -> str:
    """Return the address under which gateways reach this installation, as far as it is known."""
    running = read_json(settings.data / ADDRESSES) or {}
    return settings.public_url or str(running.get("url") or base_url(settings.host, settings.port))
