"""Logical backups: of a server of somebody else's, whose files and log we may not have. What they hold comes back, what they cannot is said."""

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from bursar import backups
from bursar.kernel import ids, migrations
from bursar.kernel.postgres import Cluster, Tools, wheel_bin
from bursar.money.intake.partitions import ensure_partitions
from bursar.operations import figures
from bursar.operations.fingerprint import fingerprint
from bursar.operations.snapshots import reading
from commanding import Done, command, installation
from databases import administer, opened, url_of
from stage import charge, event, session, set_stage

TO_EVERYBODY = (
    "the backups are logical: a disaster costs up to 24 h of changes, and no moment between two of them can be restored"
)


@dataclass
class External:
    """A database whose owner is no superuser and may not replicate, and a login that may read every row."""

    name: str
    owner: str
    reader: str
    app: str
    root: Path

    @property
    def settings(self) -> dict[str, str]:
        return installation(self.app, self.owner) | {
            "BURSAR_BACKUP_STORE": str(self.root / "store"),
            "BURSAR_BACKUP_KEY_FILE": str(self.root / "keys"),
            "BURSAR_BACKUP_DATABASE_URL": self.reader,
            "BURSAR_DATA": str(self.root / "data"),
            "BURSAR_DRILL_RTO_S": "600",
        }

    @property
    def vault(self) -> backups.Vault:
        return backups.Vault(backups.DirectoryStore(self.root / "store"), backups.read_keyring(self.root / "keys"))

    @property
    def place(self) -> backups.Place:
        tools = Tools(wheel_bin())
        return backups.Place(self.owner, tools, self.vault, "a key", figures.count, self.reader, figures.count_in)

    def bursar(self, *arguments: str, code: int = 0, **changes: str) -> Done:
        done = command(*arguments, **self.settings | changes)
        assert done.code == code, done.out + done.err
        return done


def _as(url: str, role: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:x@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture(scope="module")
def external(cluster: dict[str, str]) -> Iterator[External]:
    name = f"external_{secrets.token_hex(4)}"
    root = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    root.chmod(0o711)
    admin = cluster["admin"]
    administer(admin, f"create role {name} login createrole password 'x'")
    administer(admin, f"grant bursar_app, bursar_engine to {name} with admin true, inherit false, set false")
    administer(admin, f"create role {name}_reader login bypassrls password 'x' in role pg_read_all_data")
    administer(admin, f"create database {name} owner {name}")
    administer(admin, f"create database {name}_new owner {name}")
    owner = _as(url_of(admin, name), name)
    asyncio.run(migrations.migrate(owner, login="bursar_app", hooks=[ensure_partitions]))
    try:
        yield External(name, owner, _as(owner, f"{name}_reader"), url_of(cluster["app"], name), root)
    finally:
        for database in (name, f"{name}_new"):
            administer(admin, f"drop database {database} with (force)")
        administer(admin, f"drop role {name}_reader")
        administer(admin, f"revoke bursar_app, bursar_engine from {name} cascade")
        administer(admin, f"drop role {name}")
        shutil.rmtree(root)


async def _business(url: str, name: str) -> str:
    async with opened(url) as db:
        stage = await set_stage(db, url, name=name)
        await stage.tell(event("checkout.session.completed", session()), event("charge.succeeded", charge()))
        return ids.show(ids.TENANT, stage.tenant_id)


async def _print(url: str, tenant: str) -> str:
    async with reading(url) as connection:
        return (await fingerprint(connection, ids.parse(ids.TENANT, tenant))).fingerprint


async def _asked(url: str, statement: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_rows_are_backed_up_where_files_cannot_be_had_and_come_back_as_they_were(external):
    tenant = asyncio.run(_business(external.app, "Before"))
    before = asyncio.run(_print(external.app, tenant))
    external.bursar("backup", "key")

    said = external.bursar("backup", "now").out
    asyncio.run(_business(external.app, "After"))
    [taken] = json.loads(external.bursar("backup", "list", "--json").out)["data"]
    verified = json.loads(external.bursar("backup", "verify", "--all", "--json").out)
    restored = json.loads(external.bursar("restore", "--into", str(external.root / "back"), "--json").out)
    drilled = json.loads(external.bursar("drill", "--json").out)
    elsewhere = _as(url_of(external.owner, f"{external.name}_new"), external.name)
    loaded = external.bursar("restore", "--into", elsewhere).out
    doctor = command("doctor", **external.settings).out

    assert "This is a logical backup" in said
    assert "a disaster costs what was written since the last one: up to 24 h" in said
    assert (taken["kind"], taken["parent"]) == ("logical", None)
    assert verified["ok"]
    assert [finding["found"] for finding in verified["findings"] if finding["what"] == "log"] == ["none is kept"]
    point = datetime.fromisoformat(restored["recovery_point"])
    assert abs(point - datetime.fromisoformat(taken["began_at"])) < timedelta(seconds=5)
    with _running(external.root / "back") as cluster:
        assert asyncio.run(_print(cluster.app_url, tenant)) == before
        assert asyncio.run(_asked(cluster.admin_url, "select count(*) from tenant")) == 1
    assert (external.root / "back" / "secret.key").read_text().strip() == external.settings["BURSAR_SECRET_KEY"]
    assert drilled["state"] == "passed"
    assert {check["name"] for check in drilled["checks"]} >= {"application", "counts", "invariants", "recovery point"}
    assert "108000 s at most" in next(c["found"] for c in drilled["checks"] if c["name"] == "recovery point")
    assert not (external.root / "data" / "drill").exists()
    assert "what came later is not in it" in loaded
    assert asyncio.run(_print(url_of(external.app, f"{external.name}_new"), tenant)) == before
    assert TO_EVERYBODY in doctor
    taken_already = external.bursar("restore", "--into", elsewhere, code=1).err
    assert "the database holds public." in taken_already
    moment = (point + timedelta(seconds=1)).isoformat()
    refused = external.bursar("restore", "--to", moment, "--into", str(external.root / "never"), code=1).err
    assert "of no moment between two of them is there anything" in refused
    _one_bit_is_found(external, taken["backup"])


class _running:  # noqa: N801 - reads as a word
    def __init__(self, directory: Path) -> None:
        self._cluster = Cluster(directory)

    def __enter__(self) -> Cluster:
        self._cluster.start()
        return self._cluster

    def __exit__(self, *_: object) -> None:
        self._cluster.stop("immediate")


def _one_bit_is_found(external: External, name: str) -> None:
    """By verify, by a drill, and by a restore before anything is written; each names the object."""
    path = external.root / "store" / "backups" / name / "dump"
    whole = path.read_bytes()
    harmed = bytearray(whole)
    harmed[len(harmed) // 2] ^= 1
    path.write_bytes(harmed)

    verified = json.loads(external.bursar("backup", "verify", "--json", code=1).out)
    drilled = json.loads(external.bursar("drill", "--json", code=1).out)
    refused = external.bursar("restore", "--into", str(external.root / "never"), code=1).err
    path.write_bytes(whole)

    assert f"backups/{name}/dump" in verified["findings"][0]["found"]
    assert f"backups/{name}/dump is damaged" in drilled["complaint"]
    assert f"backups/{name}/dump is damaged" in refused
    assert not (external.root / "never").exists()


def test_a_role_that_does_not_see_every_row_is_refused_and_told_what_it_lacks(external, tmp_path):
    external.bursar("backup", "key", BURSAR_BACKUP_KEY_FILE=str(tmp_path / "keys"))
    own = {"BURSAR_BACKUP_KEY_FILE": str(tmp_path / "keys"), "BURSAR_BACKUP_STORE": str(tmp_path / "store")}

    refused = external.bursar("backup", "now", code=1, BURSAR_BACKUP_DATABASE_URL="", **own).err

    assert "bound by row-level security" in refused
    assert "create role bursar_backup login bypassrls" in refused
    assert not list((tmp_path / "store").rglob("dump"))


async def test_one_is_taken_when_it_is_due_and_what_fails_is_written_down(external, tmp_path):
    backups.add_key(tmp_path / "keys", rotate=False)
    vault = backups.Vault(backups.DirectoryStore(tmp_path / "store"), backups.read_keyring(tmp_path / "keys"))
    manner = backups.Manner(
        spool=Path("/nonexistent"),
        mark_s=1,
        rhythm=backups.Rhythm(full=timedelta(days=1), incremental=timedelta(hours=1)),
        keeping=backups.Keeping(whole=timedelta(days=7), days=0, weeks=0, months=0),
    )
    place = replace(external.place, vault=vault)

    await backups.Rounds(replace(place, dump_url=external.owner), manner).look_after()
    refused = (await _standing(external)).failure
    rounds = backups.Rounds(place, manner)
    await rounds.look_after()
    await rounds.look_after()

    assert refused == "the role that shall dump is bound by row-level security, so the backup would lack rows"
    assert (await _standing(external)).failure is None
    assert [one.kind for one in backups.list_backups(vault).backups] == ["logical"]
    later = backups.prune(vault, manner.keeping, now=datetime.now(UTC) + timedelta(days=99), only_shown=False)
    assert later.removed == []
    assert await _asked(external.owner, "select kind from backup_listed") == "logical"


async def _standing(external: External):
    async with backups.connected(external.owner) as connection:
        return await connection.standing()
