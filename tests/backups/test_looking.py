"""What did that DELETE take? A backup restored beside the living database, compared with it, and what is missing put back."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api.conftest import lived
from bursar.backups.keys import add_key
from bursar.kernel import ids, migrations
from bursar.kernel.postgres import Cluster
from bursar.kernel.processes import working_in
from bursar.money.intake.partitions import ensure_partitions
from commanding import command, installation
from databases import MEMORY, MEMORY_FREE_MIN, opened
from serving import KEY
from stage import set_stage
from test_up import eventually


@dataclass
class Bitten:
    """An installation of two businesses, backed up; afterwards somebody deleted and changed rows by hand."""

    root: Path
    admin_url: str
    environment: dict[str, str]
    mine: str
    theirs: str
    before: str
    theirs_before: str

    def run(self, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
        done = command(*arguments, "--json", timeout_s=120, **self.environment | environment)
        assert done.code == code, done.out + done.err
        return json.loads(done.out.splitlines()[-1])

    @property
    def scratch(self) -> Path:
        return self.root / "data" / "looking"


async def _two(url: str) -> list[str]:
    async with opened(url) as db:
        stages = [await set_stage(db, url, name="Mine"), await set_stage(db, url, name="Theirs")]
        for stage in stages:
            await lived(stage)
        return [ids.show(ids.TENANT, stage.tenant_id) for stage in stages]


def do(url: str, *statements: str) -> list[Any]:
    async def doing() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetch(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(doing())


@pytest.fixture(scope="module")
def bitten() -> Iterator[Bitten]:
    # A restored server syncs every file, which costs a disk most of the time that these tests take.
    has_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN
    root = Path(tempfile.mkdtemp(prefix="bursar-test-", dir=MEMORY if has_memory else None))
    root.chmod(0o711)
    cluster = Cluster(root / "server", durable=False)
    cluster.start()
    try:
        asyncio.run(migrations.migrate(cluster.admin_url, login="bursar_app", hooks=[ensure_partitions]))
        mine, theirs = asyncio.run(_two(cluster.app_url))
        add_key(root / "keys", rotate=False)
        environment = installation(cluster.app_url, cluster.admin_url) | {
            "BURSAR_SECRET_KEY": KEY,
            "BURSAR_BACKUP_STORE": str(root / "store"),
            "BURSAR_BACKUP_KEY_FILE": str(root / "keys"),
            "BURSAR_DATA": str(root / "data"),
        }
        made = Bitten(root, cluster.admin_url, environment, mine, theirs, "", "")
        made.before, made.theirs_before = (
            made.run("fingerprint", "--tenant", one)["fingerprint"] for one in (mine, theirs)
        )
        assert made.run("backup", "now")["kind"] == "full"
        do(
            cluster.admin_url,
            "delete from refund",
            "delete from dispute",
            "delete from payment",
            "update customer set name = 'Somebody'",
        )
        yield made
    finally:
        cluster.stop("immediate")
        shutil.rmtree(root)


def test_what_a_delete_took_is_shown_and_put_back_and_a_killed_look_leaves_nothing(bitten):
    held = do(bitten.admin_url, "select count(*) from credit_lot", "select count(*) from customer")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    killed = subprocess.Popen(
        [sys.executable, "-m", "bursar", "diff"], env=clean | bitten.environment, stdout=subprocess.DEVNULL
    )
    assert eventually((bitten.scratch / "restore.sockets").exists, within_s=60)
    sockets = Path((bitten.scratch / "restore.sockets").read_text())
    killed.kill()
    killed.wait()
    assert bitten.scratch.exists()

    everybody = bitten.run("diff")
    assert not bitten.scratch.exists() and not sockets.exists()
    assert not [
        pid for name in ("postgres", "postgres.new") for pid in working_in(bitten.scratch / name, program="postgres")
    ]
    (bitten.root / "data" / "looking-999999999.archive").touch()
    tables = [word for name in ("payment", "refund", "dispute", "customer") for word in ("--table", name)]
    told = bitten.run("diff", "--tenant", bitten.mine, *tables, "--rows", "50", "--put-back")

    # Whoever asks for all is told how many of all, and nobody's rows.
    all_gone = {one["table"]: one["gone"] for one in everybody["tables"] if one["gone"]}
    mine_gone = {one["table"]: one["gone"] for one in told["tables"] if one["gone"]}
    assert {name: all_gone[name] for name in mine_gone} == {name: 2 * count for name, count in mine_gone.items()}
    assert mine_gone.keys() == {"payment", "refund", "dispute"}
    assert not any("rows_gone" in one for one in everybody["tables"])
    rows = {one["table"]: one for one in told["tables"]}
    assert len(rows["payment"]["rows_gone"]) == mine_gone["payment"]
    assert {row["tenant_id"] for row in rows["payment"]["rows_gone"]} == {str(ids.parse(ids.TENANT, bitten.mine))}
    assert {row["gateway_ref"] for row in rows["refund"]["rows_gone"]} == {"re_1"}
    changed = rows["customer"]["rows_changed"]
    assert rows["customer"]["changed"] == len(changed) > 0
    assert {change["now"]["name"] for change in changed} == {"Somebody"}
    assert "Somebody" not in {change["before"]["name"] for change in changed}
    # What is missing is back, what is there stays as it is.
    assert told["put_back"] == mine_gone | {"customer": 0}
    do(bitten.admin_url, "update customer set name = null")
    after = bitten.run("fingerprint", "--tenant", bitten.mine)
    assert after["fingerprint"] == bitten.before
    assert bitten.run("verify", "--tenant", bitten.mine)["ok"]
    assert bitten.run("fingerprint", "--tenant", bitten.theirs)["tables"]["payment"]["rows"] == 0
    assert held == do(bitten.admin_url, "select count(*) from credit_lot", "select count(*) from customer")
    acts = "select array_agg(action order by id) as done from audit_record where action like 'tenant.%'"
    assert do(bitten.admin_url, acts)[0][0]["done"] == ["tenant.compared", "tenant.rows_put_back"]


def test_one_business_comes_out_of_a_backup_of_all(bitten):
    into, files = bitten.root / "alone", bitten.root / "files"

    restored = bitten.run("restore", "--tenant", bitten.mine, "--into", str(into), "--take-over")
    taken = bitten.run("restore", "--tenant", bitten.mine, "--tables", "refund,payment", "--into", str(files))
    again = bitten.run("restore", "--tenant", bitten.mine, "--into", str(into), code=1)
    missing = ("restore", "--tenant", bitten.theirs, "--tables", "dispute,refund,payment")
    put = bitten.run(*missing, "--into", bitten.admin_url)

    alone = {"BURSAR_DATABASE_URL": "", "BURSAR_DATABASE_ADMIN_URL": "", "BURSAR_DATA": str(into)}
    assert bitten.run("fingerprint", "--tenant", bitten.mine, **alone)["fingerprint"] == bitten.before
    assert [one["id"] for one in bitten.run("tenant", "list", **alone)["data"]] == [bitten.mine]
    assert restored["rows"]["payment"] == taken["rows"]["payment"] > 0
    assert again["error"]["code"] == "directory_taken"
    do(bitten.admin_url, "update customer set name = null")
    assert bitten.run("fingerprint", "--tenant", bitten.theirs)["fingerprint"] == bitten.theirs_before
    assert put["rows"].keys() == {"payment", "refund", "dispute"} and put["rows"]["payment"] > 0
    lines = (files / "payment.ndjson").read_text().splitlines()
    assert len(lines) == taken["rows"]["payment"]
    assert {json.loads(line)["tenant_id"] for line in lines} == {str(ids.parse(ids.TENANT, bitten.mine))}
    assert not bitten.scratch.exists() and not list((bitten.root / "data").glob("*.archive"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("diff", "--rows", "5"), "tenant_needed"),
        (("diff", "--tenant", "{mine}", "--put-back"), "table_unknown"),
        (("restore", "--tenant", "{mine}", "--tables", "payment", "--into", "postgresql://x/y"), "secret_key_missing"),
        (("diff", "--backup", "yesterday"), "restore_target_invalid"),
        (("restore", "--tables", "payment", "--into", "{root}/x"), "restore_of_tables"),
        (("restore", "--tenant", "{mine}", "--into", "{root}/store"), "directory_taken"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_restored(bitten, arguments, code):
    unsaid = {"BURSAR_SECRET_KEY": ""} if code == "secret_key_missing" else {}

    told = bitten.run(*(each.format(mine=bitten.mine, root=bitten.root) for each in arguments), code=1, **unsaid)

    assert told["error"]["code"] == code
