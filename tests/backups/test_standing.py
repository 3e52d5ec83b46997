"""How backups stand when something goes wrong: written down where `/health` and `bursar doctor` read it, and tried again."""

from datetime import timedelta
from pathlib import Path

import pytest

from bursar import backups
from bursar.backups.keys import add_key
from bursar.backups.source import connected
from bursar.backups.wal import begins_object
from bursar.kernel.postgres import Tools, wheel_bin

MANNER = backups.Manner(
    spool=Path("/nonexistent"),
    mark_s=1,
    rhythm=backups.Rhythm(full=timedelta(days=1), incremental=None),
    keeping=backups.Keeping(whole=timedelta(days=7), days=0, weeks=0, months=0),
)


@pytest.fixture
def store(tmp_path: Path) -> backups.DirectoryStore:
    add_key(tmp_path / "keys", rotate=False)
    return backups.DirectoryStore(tmp_path / "store")


async def test_a_store_that_cannot_be_read_is_a_notice_and_another_try_not_the_end(admin_url, store, tmp_path):
    vault = backups.Vault(store, backups.read_keyring(tmp_path / "keys"))
    vault.put(begins_object(), {"lsn": 0})
    harmed = store.root / begins_object()
    harmed.write_bytes(harmed.read_bytes()[:40])
    stream = backups.Stream(backups.Place(admin_url, Tools(wheel_bin()), vault, ""), MANNER)
    async with connected(admin_url) as connection:
        source = await connection.source()

        await stream._look_after(source)
        standing = await connection.standing()
        await connection.well()
        await stream._look_after(source)
        at_once = await connection.standing()

    assert standing.failure == f"{begins_object()} is damaged: it ends too early"
    assert at_once.failure is None
