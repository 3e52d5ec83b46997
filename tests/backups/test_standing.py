"""How backups stand when something goes wrong: written down where `/health` and `bursar doctor` read it, and tried again."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import typer
from s3_server import S3

from bursar import backups
from bursar.alerts import look
from bursar.backups.buckets import BucketStore
from bursar.backups.drills import _LOCK, columns_of
from bursar.backups.keys import add_key
from bursar.backups.source import Connection, NoSlotFree, Verified, connected
from bursar.backups.streaming import drill_forever
from bursar.backups.wal import begins_object
from bursar.cli.backups import verify
from bursar.kernel.db import Database
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.postgres import Tools, wheel_bin
from bursar.kernel.settings import Settings

MANNER = backups.Manner(
    spool=Path("/nonexistent"),
    mark_s=1,
    rhythm=backups.Rhythm(full=timedelta(days=1), incremental=None),
    keeping=backups.Keeping(whole=timedelta(days=7), days=0, weeks=0, months=0),
)


@pytest.fixture
def keys(tmp_path: Path) -> backups.Keyring:
    add_key(tmp_path / "keys", rotate=False)
    return backups.read_keyring(tmp_path / "keys")


def _stream(admin_url: str, vault: backups.Vault) -> backups.Stream:
    return backups.Stream(backups.Place(admin_url, Tools(wheel_bin()), vault, ""), MANNER)


async def test_a_store_that_cannot_be_read_is_a_notice_and_another_try_not_the_end(admin_url, keys, tmp_path):
    vault = backups.Vault(backups.DirectoryStore(tmp_path / "store"), keys)
    vault.put(begins_object(), {"lsn": 0})
    harmed = tmp_path / "store" / begins_object()
    harmed.write_bytes(harmed.read_bytes()[:40])
    stream = _stream(admin_url, vault)
    async with connected(admin_url) as connection:
        source = await connection.source()

        await stream._look_after(source)
        standing = await connection.standing()
        await connection.well()
        await stream._look_after(source)
        at_once = await connection.standing()

    assert standing.failure == f"{begins_object()} is damaged: it ends too early"
    assert at_once.failure is None


class _Nobody:
    """Judges nothing: these drills do not come so far."""

    async def works(self, scene: backups.Scene) -> backups.Check:
        raise AssertionError(f"{scene.backup.id} was restored")

    async def judge(self, scene: backups.Scene) -> list[backups.Check]:
        raise AssertionError(f"{scene.backup.id} was restored")


def _drill(vault: backups.Vault, scratch: Path) -> backups.Drilled:
    return backups.drill(
        vault,
        Tools(wheel_bin()),
        scratch=scratch,
        known=backups.Known(0, datetime.now(UTC)),
        targets=backups.Targets(rpo_s=60, rto_s=600),
        judge=_Nobody(),
        tell=lambda _: None,
    )


@pytest.fixture
def small_disk() -> Iterator[Path]:
    # Where the server's user can reach it: a scratch server would lie elsewhere otherwise.
    disk = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    disk.chmod(0o711)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=False).returncode:
        disk.rmdir()
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()


async def test_a_full_disk_is_named_when_a_backup_is_taken_and_leaves_nothing(db, admin_url, keys, small_disk):
    vault = backups.Vault(backups.DirectoryStore(small_disk / "store"), keys)
    async with connected(admin_url) as connection:
        await connection.want(is_wanted=True)

        await _stream(admin_url, vault)._look_after(await connection.source())

    assert await _complaint(db) == (
        "backups are not well: "
        f"the last attempt failed (the backup store {small_disk}/store refuses: No space left on device)"
    )
    assert vault.names("backups") == []


async def test_a_drill_without_room_for_it_is_not_begun(admin_url, keys, small_disk, tmp_path):
    vault = backups.Vault(backups.DirectoryStore(tmp_path / "store"), keys)
    taken = await backups.take(backups.Place(admin_url, Tools(wheel_bin()), vault, "secret"), "full")

    drilled = await asyncio.to_thread(_drill, vault, small_disk / "drill")

    assert (drilled.backup, drilled.is_passed) == (taken.id, False)
    assert drilled.failure.startswith(f"there is no room for a drill in {small_disk}: ")
    assert list(small_disk.iterdir()) == []


async def test_what_a_killed_drill_leaves_is_removed_by_whoever_looks_next_and_not_at_the_next_start(
    admin_url, tmp_path, monkeypatch
):
    monkeypatch.setattr("bursar.backups.streaming.LOOK_EVERY_S", 0.05)
    scratch = tmp_path / "drill"
    drills = backups.Drills(timedelta(days=1), ["false"], {}, scratch)
    async with connected(admin_url) as connection, backups.noted(admin_url, backups.Targets(rpo_s=10, rto_s=10)):
        looking = asyncio.create_task(drill_forever(admin_url, drills))
        scratch.mkdir()
        (scratch / "postgres.new").mkdir()
        await asyncio.sleep(0.3)
        while_it_lives = scratch.exists()
        assert not looking.done(), looking.exception()
        await connection._raw.execute(
            """select pg_terminate_backend(pid) from pg_locks join pg_database d on d.oid = database
            where locktype = 'advisory' and datname = current_database() and pid <> pg_backend_pid()"""
        )

        async with asyncio.timeout(20):
            while scratch.exists():
                await asyncio.sleep(0.02)
        looking.cancel()
        state = await connection.newest_drill()

    assert while_it_lives
    assert state[0] == "broken_off"


async def _recycle(url: str) -> None:
    """Let the server be done with the log a base backup began in while it still reads the files, as with one that takes an hour."""
    async with connected(url) as connection:
        while not await connection._raw.fetch(
            "select from pg_stat_progress_basebackup where phase like 'streaming database%'"
        ):
            await asyncio.sleep(0.01)
        for _ in range(3):
            await connection.write_mark(1)
            await connection._raw.execute("select pg_switch_wal()")
            await connection._raw.execute("checkpoint")


async def test_a_backup_that_takes_longer_than_the_server_keeps_its_log_is_whole(admin_url, keys, tmp_path):
    vault = backups.Vault(backups.DirectoryStore(tmp_path / "store"), keys)
    recycling = asyncio.create_task(_recycle(admin_url))
    taken = await backups.take(backups.Place(admin_url, Tools(wheel_bin()), vault, "secret"), "full")
    await asyncio.wait_for(recycling, 10)

    backups.prove_backup(vault, taken)
    async with connected(admin_url) as connection:
        assert (
            await connection._raw.fetch("select from pg_replication_slots where slot_name like 'bursar_base_%'") == []
        )


async def test_a_server_without_a_slot_to_spare_says_what_to_raise():
    class Full:
        async def fetch(self, _: str) -> None:
            raise asyncpg.ConfigurationLimitExceededError("all replication slots are in use")

    with pytest.raises(NoSlotFree) as refused:
        async with Connection(Full()).keeping_log():
            pass

    assert refused.value.message == "PostgreSQL refuses: all replication slots are in use"
    assert "max_replication_slots" in refused.value.hint


async def test_credentials_revoked_while_a_backup_is_taken_or_drilled_are_named(db, admin_url, keys, s3: S3, tmp_path):
    vault = backups.Vault(BucketStore(s3.bucket), keys)
    stream = _stream(admin_url, vault)
    async with connected(admin_url) as connection:
        await connection.want(is_wanted=True)
        source = await connection.source()
        s3.revoke(after=7)

        await stream._look_after(source)
        first = await _complaint(db)
        s3.revoke(after=10**9)
        taken = await backups.take(backups.Place(admin_url, Tools(wheel_bin()), vault, "secret"), "full")
        await stream._look_after(source)
    s3.revoke()
    drilled = await asyncio.to_thread(_drill, vault, tmp_path / "drill")
    s3.revoke(after=10**9)

    assert drilled.failure == "the backup store s3://kept/of/bursar refuses: 403 Forbidden InvalidAccessKeyId"
    assert first.endswith(
        "the last attempt failed (the backup store s3://kept/of/bursar refuses: 403 Forbidden InvalidAccessKeyId)"
    )
    backups.prove_backup(vault, taken)
    assert [one.id for one in backups.list_backups(vault).backups] == [taken.id]


async def test_what_is_wrong_with_backups_is_an_alert_that_names_it(db, admin_url, keys, database_url, tmp_path):
    store, now = tmp_path / "store", datetime.now(UTC)
    vault = backups.Vault(backups.DirectoryStore(store), keys)
    settings = Settings(database_url=database_url, secret_key="A" * 43, data=tmp_path)
    taken = await backups.take(backups.Place(admin_url, Tools(wheel_bin()), vault, "secret"), "full")
    _flip(store / taken.base)
    async with backups.noted(admin_url, backups.Targets(rpo_s=60, rto_s=600)) as notes:
        await notes.end(await asyncio.to_thread(_drill, vault, tmp_path / "drill"))
    _flip(store / f"backups/{taken.id}/backup")
    async with connected(admin_url) as connection:
        await connection.want(is_wanted=True)
        (store / "installation").write_bytes(b"")
        await _stream(admin_url, vault)._look_after(await connection.source())

    await look(db, settings, now=now)
    raised = await _alerts(db)

    assert f"{taken.base} is damaged" in raised["drill_failed"]
    assert f"backups/{taken.id}/backup is damaged" in raised["backup_damaged"]
    assert "installation is damaged" in raised["backup_failed"]

    vault.remove("installation")
    vault.remove(f"backups/{taken.id}/backup")
    async with connected(admin_url) as connection:
        await _stream(admin_url, vault)._look_after(await connection.source())
    passed = replace(await asyncio.to_thread(_drill, vault, tmp_path / "drill"), failure="", checks=())
    async with backups.noted(admin_url, backups.Targets(rpo_s=60, rto_s=600)) as notes:
        await notes.end(passed)
    for minute in range(1, 8):
        await look(db, settings, now=now + timedelta(minutes=minute))
    assert not {"drill_failed", "backup_damaged", "backup_failed"} & (await _alerts(db)).keys()


async def test_what_verify_finds_damaged_is_an_alert_until_it_finds_it_whole(
    db, admin_url, keys, tmp_path, monkeypatch
):
    now, store = datetime.now(UTC), tmp_path / "store"
    vault = backups.Vault(backups.DirectoryStore(store), keys)
    settings = Settings(database_url=admin_url, secret_key="A" * 43, data=tmp_path)
    taken = await backups.take(backups.Place(admin_url, Tools(wheel_bin()), vault, "secret"), "full")
    for name, value in {
        "DATABASE_URL": admin_url, "BACKUP_STORE": str(store), "BACKUP_KEY_FILE": str(tmp_path / "keys"),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"BURSAR_{name}", value)

    _flip(store / taken.base)
    assert await _verify(tmp_path) == 1
    async with connected(admin_url) as connection:
        await connection.want(is_wanted=True)
        await connection.write_listed(columns_of(backups.list_backups(vault)))
    await look(db, settings, now=now)
    raised, said = await _alerts(db), await _complaint(db)
    async with db.engine() as tx:
        (listed,) = await backups.listed(tx)

    assert raised["backup_damaged"].startswith(f"{taken.base} is damaged")
    assert f"what is in the store is not whole ({taken.base} is damaged" in said
    assert listed.failure == raised["backup_damaged"]

    monkeypatch.setenv("BURSAR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert await _verify(tmp_path) == 1

    monkeypatch.setenv("BURSAR_DATABASE_URL", admin_url)
    _flip(store / taken.base)
    assert await _verify(tmp_path) == 0
    for minute in range(1, 8):
        await look(db, settings, now=now + timedelta(minutes=minute))
    assert "backup_damaged" not in await _alerts(db)
    assert await _complaint(db) == ""


async def _verify(data: Path) -> int:
    """Run `bursar backup verify`; return what it exits with."""
    with pytest.raises(typer.Exit) as ended:
        await asyncio.to_thread(verify, None, data)
    return ended.value.exit_code


async def test_damage_is_forgotten_by_a_look_as_close_as_that_which_found_it_or_with_what_was_damaged(db, admin_url):
    async with connected(admin_url) as connection:

        async def left(*looked: Verified) -> list[str]:
            await connection.write_verified(looked)
            return [row["what"] for row in await connection._raw.fetch("select what from backup_damage order by what")]

        both = (Verified("a", "flipped", is_read=True), Verified("log", "a segment is flipped", is_read=True))
        assert await left(*both) == ["a", "log"]
        assert await left(Verified("a", None, is_read=False), Verified("log", None, is_read=False)) == ["a", "log"]
        assert await left(Verified("a", None, is_read=None), Verified("log", None, is_read=True)) == ["a"]
        assert await left(Verified("log", None, is_read=False)) == []
        assert await left(*both) == ["a", "log"]

        await connection.write_listed([[] for _ in range(8)])

        assert await left(Verified("log", None, is_read=False)) == ["log"]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


async def _alerts(db: Database) -> dict[str, str]:
    """Return what is open for the installation, by rule."""
    async with db.tenant(INSTALLATION) as tx:
        rows = await tx.fetch("select rule, detail from alert where state <> 'resolved'")
    return {row["rule"]: row["detail"] for row in rows}


async def _complaint(db: Database) -> str:
    """Return what health says, without what is late."""
    async with db.engine() as tx:
        found = await backups.ages(tx)
    return backups.complaint(found, Settings()).partition("; ")[0]


async def test_a_drill_waits_for_who_tidies_up_after_another_and_not_for_another(admin_url):
    targets = backups.Targets(rpo_s=60, rto_s=600)
    tidying = await asyncpg.connect(admin_url)
    await tidying.execute("select pg_advisory_lock($1)", _LOCK)

    async def tidy() -> None:
        await asyncio.sleep(0.5)
        await tidying.close()

    tidied = asyncio.create_task(tidy())
    async with asyncio.timeout(20), backups.noted(admin_url, targets):
        assert tidied.done() or tidying.is_closed()
        await tidied
        with pytest.raises(backups.DrillUnderWay):
            async with backups.noted(admin_url, targets):
                pass
