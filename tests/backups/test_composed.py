"""The database of deploy/compose, made by its own script: whoever migrates, cleans up and makes backups there may do so, and what is kept comes back."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from bursar.kernel.postgres import wheel_bin
from commanding import Done, command, installation
from databases import administer, end_cluster, start_cluster

ROLES = Path(__file__).parents[2] / "deploy" / "compose" / "roles.sh"
OWNER, LOGIN = "ownerspassword", "loginspassword"


class Composed:
    """admin, owner, login: addresses of the one database, for the services of compose that get them."""

    def __init__(self, admin: str, root: Path) -> None:
        where = admin.rpartition("@")[2]
        self.admin = admin
        self.owner = f"postgresql://bursar_owner:{OWNER}@{where}"
        self.login = f"postgresql://bursar_login:{LOGIN}@{where}"
        self._settings = {
            "BURSAR_DATA": str(root / "kept"),
            "BURSAR_BACKUP_STORE": str(root / "store"),
            "BURSAR_DRILL_RTO_S": "600",
            "BURSAR_DRILL_RPO_S": "600",
        }

    def run(self, *arguments: str, admin: str) -> Done:
        return command(*arguments, **self._settings | installation(self.login, admin))

    def standing(self) -> asyncpg.Record:
        return asyncio.run(_asked(self.admin, "select is_wanted, failure, is_logical from backup_standing"))


async def _asked(url: str, statement: str) -> asyncpg.Record:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchrow(statement)
    finally:
        await connection.close()


@pytest.fixture
def composed() -> Iterator[Composed]:
    cluster, directory = start_cluster()
    try:
        administer(cluster.admin_url, "drop database bursar")
        administer(cluster.admin_url, "drop role bursar_app")
        parts = urlsplit(cluster.admin_url)
        told = {
            "PATH": f"{wheel_bin()}:{os.environ['PATH']}",
            "PGHOST": str(parts.hostname),
            "PGPORT": str(parts.port),
            "PGPASSWORD": str(parts.password),
            "PGDATA": str(directory),
            "BURSAR_OWNER_PASSWORD": OWNER,
            "BURSAR_LOGIN_PASSWORD": LOGIN,
        }
        subprocess.run(["/bin/sh", str(ROLES)], env=told, check=True, capture_output=True)
        assert "host replication postgres all" in (directory / "pg_hba.conf").read_text()
        yield Composed(cluster.admin_url, directory)
    finally:
        end_cluster(cluster, directory)


def test_what_compose_runs_may_do_what_it_is_for(composed: Composed):
    for arguments in (("migrate",), ("retention", "--apply")):
        done = composed.run(*arguments, admin=composed.owner)
        assert done.code == 0, done.err

    refused = composed.run("backup", "run", admin=composed.admin)
    noted = composed.standing()
    key = composed.run("backup", "key", admin=composed.admin)
    taken = composed.run("backup", "now", "--json", admin=composed.admin)
    drilled = composed.run("drill", "--json", admin=composed.admin)

    assert refused.code == 1
    assert noted["is_wanted"]
    assert "there is no backup key in" in noted["failure"]
    assert key.code == 0, key.err
    assert taken.code == 0, taken.err
    assert json.loads(taken.out)["kind"] == "full"
    assert drilled.code == 0, drilled.out + drilled.err
    assert json.loads(drilled.out)["state"] == "passed"
    assert not composed.standing()["is_logical"]
