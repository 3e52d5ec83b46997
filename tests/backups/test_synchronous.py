"""Where commits wait for the log, the end of the data directory costs nothing that was acknowledged; and nothing is acknowledged unseen."""

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from test_restoring import Writer, _command, _held, _run, _running

from bursar.kernel.processes import send
from commanding import command
from databases import begin_as_copy
from test_up import bursar, eventually, finish


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


def _settings(root: Path) -> dict[str, str]:
    return {
        "BURSAR_BACKUP_STORE": str(root / "store"),
        "BURSAR_BACKUP_KEY_FILE": str(root / "keys"),
        "BURSAR_BACKUP_SPOOL": str(root / "other-disk"),
        "BURSAR_BACKUP_SYNCHRONOUS": "1",
        # So seldom that the store lacks what was acknowledged last.
        "BURSAR_BACKUP_MARK_S": "10",
        "BURSAR_DRILL_HOURS": "0",
        "BURSAR_DATA": str(root / "data"),
    }


def test_nothing_acknowledged_is_lost_with_the_data_directory(root):
    settings = _settings(root)
    begin_as_copy(root / "data")
    _command(settings, "backup", "key")
    with _running(root / "data", settings) as up:
        assert eventually(lambda: list((root / "store").glob("backups/*/backup")), within_s=60)
        assert eventually(lambda: _shown(root, settings).get("segments"), within_s=60)
        admin = up.facts["admin_url"]
        _run(admin, "create table acked (n int primary key, filler text)")
        writer = Writer(admin)
        assert eventually(lambda: len(writer.acked) > 100)
        _run(admin, "select pg_switch_wal()")
        assert eventually(lambda: len(writer.acked) > 200)
        _no_commit_without_a_receiver(root, writer)
        facts = up.now
        for pid in (
            facts["pid"],
            facts["api_pid"],
            *facts["worker_pids"],
            facts["sandbox_pid"],
            facts["backups_pid"],
            facts["postgres_pid"],
        ):
            send(pid, signal.SIGKILL)
        up.process.wait(10)
        writer.wait()
        shutil.rmtree(root / "data")
    acked = {number for number, _ in writer.acked}
    without = _restored(root, settings, "without", "--no-spool")
    assert acked - without, "the store alone has everything, so that this shows nothing"
    whole = _restored(root, settings, "whole")
    assert acked <= whole
    assert len(whole - acked) <= 1


def _no_commit_without_a_receiver(root: Path, writer: Writer) -> None:
    receiver = _receiver(root)
    send(receiver, signal.SIGSTOP)
    try:
        time.sleep(0.3)
        before = len(writer.acked)
        time.sleep(1)
        assert len(writer.acked) == before
    finally:
        send(receiver, signal.SIGCONT)
    assert eventually(lambda: len(writer.acked) > before)


def _receiver(root: Path) -> int:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = place.read_bytes().decode().split("\0")
            if words[0].endswith("/pg_receivewal") and any(str(root) in word for word in words):
                return int(place.parent.name)
    raise AssertionError("nobody receives the log")


def _restored(root: Path, settings: dict[str, str], name: str, *options: str) -> set[int]:
    _command(settings, "restore", "--to", "latest", "--into", str(root / name), *options)
    if not _held(root / name, "select to_regclass('acked') is not null"):
        return set()
    return set(_held(root / name, "select coalesce(array_agg(n), '{}') from acked"))


def test_a_spool_that_is_anothers_or_has_a_gap_is_refused_before_anything_is_written(root):
    settings = _settings(root)
    shown = _shown(root, settings)
    begins, newest = (Path(shown["spool"][place]) for place in (0, -1))
    assert begins.name.startswith(shown["segments"][-1])
    whole = begins.read_bytes()
    begins.write_bytes(b"\xff" * 64 + whole[64:])
    assert _shown(root, settings)["error"]["code"] == "backup_damaged"
    begins.write_bytes(whole)
    beyond_a_gap = newest.with_name(f"{int(newest.name[:24], 16) + 2:024X}")
    beyond_a_gap.write_bytes(whole)
    assert _shown(root, settings)["error"]["code"] == "backup_object_missing"
    beyond_a_gap.unlink()
    assert _shown(root, settings) == shown
    assert _shown(root, settings, "--no-spool")["spool"] == []
    assert not (root / "shown").exists()


def _shown(root: Path, settings: dict[str, str], *options: str) -> dict:
    done = command("restore", "--into", str(root / "shown"), "--dry-run", *options, "--json", **settings)
    assert done.out, done.err
    return json.loads(done.out)


def test_synchronous_needs_a_spool_of_its_own(root):
    settings = {**_settings(root), "BURSAR_BACKUP_SPOOL": "", "BURSAR_DATA": str(root / "new")}
    code, said, complained = finish(bursar("up", "--no-demo", "--json", **settings))
    assert code == 1, said
    assert json.loads(said)["error"]["code"] == "backup_spool_unsafe", complained
