"""`bursar fingerprint`: the canonical state of a tenant, in one line."""

from bursar.cli.acting import TenantText, act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.operations.fingerprint import Fingerprint
from bursar.operations.fingerprint import fingerprint as fingerprint_of
from bursar.operations.snapshots import reading


def fingerprint(tenant: TenantText, data: Data = None, *, as_json: Json = False) -> None:
    """Name what a tenant holds: equal for equal reports, in whatever order and number they came."""

    async def work(db: Database, settings: Settings) -> Fingerprint:
        async with reading(settings.database_url) as connection:
            return await fingerprint_of(connection, await tenant_of(db, tenant))

    found = act(data, work)
    rows = [f"{digest.sha256[:16]}  {digest.rows:>9}  {name}" for name, digest in found.tables.items()]
    answer(found.report(), "\n".join([*rows, found.fingerprint]), as_json=as_json)
