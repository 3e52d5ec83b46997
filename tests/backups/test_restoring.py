"""A disaster and the way back: everything is killed under load and the data deleted; what the store has is proven or refused."""

import asyncio
import json
import shutil
import signal
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from bursar import backups
from bursar.backups.keys import add_key
from bursar.backups.wal import segment_object
from bursar.kernel.errors import DomainError
from bursar.kernel.postgres import Cluster, DirectoryTaken, ServerFailed, Tools, wheel_bin
from bursar.kernel.processes import send, working_in
from commanding import command
from databases import begin_as_copy
from test_up import Up, bursar, finish, status_of
from test_up import eventually as soon

LOST_MAX = timedelta(seconds=5)


@dataclass
class Disaster:
    """What was before, and what is left. acked: rows that the database said it has, with the time it said so."""

    root: Path
    settings: dict[str, str]
    tenant: str
    fingerprint: str
    acked: list[tuple[int, datetime]]
    before_delete: datetime

    @property
    def store(self) -> Path:
        return Path(self.settings["BURSAR_BACKUP_STORE"])

    def vault(self, store: Path | None = None, keys: Path | None = None) -> backups.Vault:
        ring = backups.read_keyring(keys or Path(self.settings["BURSAR_BACKUP_KEY_FILE"]))
        return backups.Vault(backups.DirectoryStore(store or self.store), ring)


def _command(settings: dict[str, str], *arguments: str) -> dict:
    done = command(*arguments, "--json", timeout_s=120, **settings)
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


@contextmanager
def _running(directory: Path, settings: dict[str, str]) -> Iterator[Up]:
    up = Up(directory, **settings)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.stop(signal.SIGKILL)
        up.process.stdout.close()
        up.process.stderr.close()


def eventually(is_true: Callable[[], bool]) -> bool:
    """A machine that is busy with other tests takes its time for a backup."""
    return soon(is_true, within_s=60)


class Writer:
    """Writes rows of its own as fast as they are acknowledged, until the server is gone."""

    def __init__(self, url: str) -> None:
        self.acked: list[tuple[int, datetime]] = []
        self._url = url
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()))
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(30)

    async def _write(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            for number in range(1_000_000):
                await connection.execute("insert into acked (n, filler) values ($1, repeat('x', 2000))", number)
                self.acked.append((number, datetime.now(UTC)))
                await asyncio.sleep(0.002)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return


@pytest.fixture(scope="module")
def disaster() -> Iterator[Disaster]:
    root = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    root.chmod(0o711)
    settings = {
        "BURSAR_BACKUP_STORE": str(root / "store"),
        "BURSAR_BACKUP_KEY_FILE": str(root / "keys"),
        "BURSAR_BACKUP_MARK_S": "0.5",
        "BURSAR_DRILL_HOURS": "0",
        # The machine of the tests is busy; how long it takes is measured, and judged elsewhere.
        "BURSAR_DRILL_RTO_S": "600",
        "BURSAR_DRILL_RPO_S": "60",
        "BURSAR_DATA": str(root / "data"),
    }
    begin_as_copy(root / "data")
    made = _command(settings, "backup", "key")
    assert made["recovery_copy"] in (root / "keys").read_text()
    try:
        with _running(root / "data", settings) as up:
            yield _happened(root, settings, up)
    finally:
        shutil.rmtree(root)


def _happened(root: Path, settings: dict[str, str], up: Up) -> Disaster:
    demo = bursar("demo", "--json", **settings)
    assert demo.stdout.readline()
    tenant = json.loads((root / "data" / "demo.json").read_text())["tenant"]
    assert eventually(lambda: list((root / "store").glob("backups/*/backup")))
    admin = up.facts["admin_url"]
    _run(
        admin,
        "create table acked (n int primary key, filler text)",
        "create table deleted as select generate_series(1, 500) n",
    )
    writer = Writer(admin)
    for _ in range(3):
        time.sleep(0.5)
        _run(admin, "select pg_switch_wal()")
    before_delete = _row(admin, "select clock_timestamp()")[0]
    _run(admin, "delete from deleted")
    _command(settings, "backup", "now", "--incremental")
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=20)
    assert eventually(lambda: _row(admin, "select count(*) from gateway_event_queue")[0] == 0)
    fingerprint = _command(settings, "fingerprint", "--tenant", tenant)["fingerprint"]
    for _ in range(3):
        time.sleep(0.5)
        _run(admin, "select pg_switch_wal()")
    time.sleep(2)
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
    time.sleep(0.5)
    shutil.rmtree(root / "data")
    return Disaster(root, settings, tenant, fingerprint, writer.acked, before_delete)


def _run(url: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def _health(up: Up) -> dict:
    with urllib.request.urlopen(f"{up.facts['url']}/health", timeout=10) as answer:
        return json.load(answer)["parts"]


def _row(url: str, statement: str) -> tuple:
    async def run() -> tuple:
        connection = await asyncpg.connect(url)
        try:
            return tuple(await connection.fetchrow(statement))
        finally:
            await connection.close()

    return asyncio.run(run())


def _held(directory: Path, statement: str):
    """What a restored directory's database answers."""
    cluster = Cluster(directory)
    cluster.start()
    try:
        return _row(cluster.admin_url, statement)[0]
    finally:
        cluster.stop()


def test_everything_killed_and_deleted_comes_back_and_its_backups_go_on_without_a_gap(disaster):
    into, store = disaster.root / "back", disaster.root / "back-store"
    shutil.copytree(disaster.store, store)
    settings = disaster.settings | {"BURSAR_DATA": str(into), "BURSAR_BACKUP_STORE": str(store)}
    settings["BURSAR_DRILL_HOURS"] = "1"

    restored = _command(settings, "restore", "--to", "latest", "--into", str(into))
    point = datetime.fromisoformat(restored["recovery_point"])
    with _running(into, settings) as up:
        rows, last = _row(up.facts["admin_url"], "select count(*), max(n) from acked")
        verified = _command(settings, "verify", "--all")
        fingerprint = _command(settings, "fingerprint", "--tenant", disaster.tenant)["fingerprint"]
        vault = disaster.vault(store)
        assert eventually(lambda: backups.list_backups(vault).backups[-1].timeline == 2)
        assert eventually(lambda: vault.has("wal/00000002/tail"))
        proven = backups.prove_log(vault, is_read=True)
        assert eventually(lambda: _health(up)["backups"]["status"] == "healthy")
        _drill_passes(up)
        store.rename(store.with_name("unplugged"))
        store.mkdir()
        assert eventually(lambda: "the last attempt failed" in _health(up)["backups"]["detail"])
        assert not any(store.rglob("tail"))
        assert status_of(f"{up.facts['url']}/health/ready") == 200
        store.rmdir()
        store.with_name("unplugged").rename(store)
        assert eventually(lambda: _health(up)["backups"]["status"] == "healthy")
        backups.prove_log(vault, is_read=True)
        _drills_that_do_not(up, settings, store)

    assert [name.rpartition("-")[2] for name in restored["backups"]] == ["full", "incremental"]
    assert len(restored["segments"]) >= 3
    assert rows == last + 1
    lost = [at for number, at in disaster.acked if number > last]
    assert not lost or disaster.acked[-1][1] - lost[0] < LOST_MAX
    assert verified["ok"]
    assert fingerprint == disaster.fingerprint
    since = (point - timedelta(hours=1)).isoformat(timespec="seconds")
    assert restored["gap_commands"] == [f"bursar reconcile --data {into} --tenant {disaster.tenant} --since {since}"]
    assert proven.since == backups.list_backups(vault).backups[0].ended
    assert backups.plan(vault, "latest").settings["recovery_target_timeline"] == "2"


def _drill_passes(up: Up) -> None:
    """The one that is due is done by itself."""
    admin = up.facts["admin_url"]
    newest = "select state, checks::text, rpo_s, failure from backup_drill order by began_at desc limit 1"
    assert soon(lambda: _row(admin, "select count(*) from backup_drill where state <> 'running'")[0] > 0, within_s=120)
    state, checks, rpo_s, failure = _row(admin, newest)
    assert (state, failure) == ("passed", None)
    names = {check["name"]: check["found"] for check in json.loads(checks)}
    assert names.keys() == {
        *("application", "counts", "invariants", "pages read", "page checksums", "recovery point", "recovery time")
    }
    assert "(EUR) as counted with the backup" in names["counts"]
    assert rpo_s < 60
    assert not (up.directory / "drill").exists()


def _drills_that_do_not(up: Up, settings: dict[str, str], store: Path) -> None:
    """One that is killed leaves nothing for the next; one of a damaged store names what is damaged."""
    admin, scratch = up.facts["admin_url"], up.directory / "drill"
    killed = bursar("drill", "--json", **settings)
    assert soon((scratch / "restore.sockets").exists, within_s=60)
    sockets = Path((scratch / "restore.sockets").read_text())
    killed.kill()
    killed.communicate()
    assert scratch.exists()

    base = store / "backups" / _row(admin, "select name from backup_listed order by name desc limit 1")[0] / "base"
    _flip(base)
    try:
        done = command("drill", "--json", timeout_s=120, **settings)
    finally:
        _flip(base)

    told = json.loads(done.out)
    assert (done.code, told["state"]) == (1, "failed")
    assert str(base.relative_to(store)) in told["complaint"]
    states = "select array_agg(state order by began_at) from backup_drill"
    assert _row(admin, states)[0] == ["passed", "broken_off", "failed"]
    assert not scratch.exists() and not sockets.exists()
    assert not processes_of(scratch)
    assert eventually(lambda: f"the last drill failed ({told['complaint']})" in _health(up)["backups"]["detail"])


def processes_of(directory: Path) -> list[int]:
    return [pid for name in ("postgres", "postgres.new") for pid in working_in(directory / name, program="postgres")]


def test_a_moment_before_a_delete_comes_back(disaster):
    into = disaster.root / "before"

    restored = _command(disaster.settings, "restore", "--to", disaster.before_delete.isoformat(), "--into", str(into))

    assert _held(into, "select count(*) from deleted") == 500
    assert datetime.fromisoformat(restored["recovery_point"]) <= disaster.before_delete


def test_a_directory_with_something_in_it_is_left_alone(disaster):
    into = disaster.root / "taken"
    into.mkdir()
    (into / "mine").touch()

    with pytest.raises(DirectoryTaken):
        _restore(disaster.vault(), into)

    assert [path.name for path in into.iterdir()] == ["mine"]


def _restore(vault: backups.Vault, into: Path) -> None:
    tools = Tools(wheel_bin())
    planned = backups.plan(vault, "latest")
    backups.restore(vault, planned, into=into, tools=tools, tell=lambda _: None)


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


def _flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


Harm = Callable[[Path, backups.Plan], str]
"""Harms a store and returns the object that must be named."""


def _base_flipped(store: Path, plan: backups.Plan) -> str:
    _flip(store / plan.chain[0].base)
    return plan.chain[0].base


def _base_cut(store: Path, plan: backups.Plan) -> str:
    _cut(store / plan.newest.base)
    return plan.newest.base


def _bases_swapped(store: Path, plan: backups.Plan) -> str:
    _swap(store / plan.chain[0].base, store / plan.newest.base)
    return plan.chain[0].base


def _segment_flipped(store: Path, plan: backups.Plan) -> str:
    _flip(store / plan.pieces[1].object)
    return plan.pieces[1].object


def _segments_swapped(store: Path, plan: backups.Plan) -> str:
    _swap(store / plan.pieces[0].object, store / plan.pieces[1].object)
    return plan.pieces[0].object


def _missing(place: int) -> Harm:
    def harm(store: Path, plan: backups.Plan) -> str:
        (store / plan.pieces[place].object).unlink()
        return plan.pieces[place].object

    return harm


def _tail_missing(store: Path, _: backups.Plan) -> str:
    (store / "wal/00000001/tail").unlink()
    return "wal/00000001/tail"


def _parent_missing(store: Path, plan: backups.Plan) -> str:
    shutil.rmtree(store / "backups" / plan.chain[0].id)
    return plan.chain[0].id


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (_base_flipped, "backup_damaged"),
        (_base_cut, "backup_damaged"),
        (_bases_swapped, "backup_damaged"),
        (_segment_flipped, "backup_damaged"),
        (_segments_swapped, "backup_damaged"),
        (_missing(0), "backup_object_missing"),
        (_missing(1), "backup_object_missing"),
        (_missing(-2), "backup_object_missing"),
        (_tail_missing, "backup_object_missing"),
        (_parent_missing, "backup_parent_missing"),
    ],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_a_store_that_is_not_whole_is_refused_by_name_before_anything_is_written(disaster, harm, code):
    store, into = disaster.root / "harmed", disaster.root / "never"
    shutil.copytree(disaster.store, store)
    named = harm(store, backups.plan(disaster.vault(), "latest"))

    try:
        with pytest.raises(DomainError) as refused:
            _restore(disaster.vault(store), into)
        drilled = _drill(disaster.vault(store), into)
    finally:
        shutil.rmtree(store)

    assert refused.value.code == code
    assert named in refused.value.message
    assert (drilled.is_passed, drilled.failure) == (False, refused.value.message)
    assert not into.exists()


@pytest.mark.parametrize(
    "harm", [_missing(0), _missing(1), _missing(-2), _tail_missing], ids=("start", "middle", "end", "tail")
)
def test_a_gap_in_the_log_is_found_by_who_looks_at_it_every_five_minutes(disaster, harm):
    store = disaster.root / "gap"
    shutil.copytree(disaster.store, store)
    named = harm(store, backups.plan(disaster.vault(), "latest"))

    try:
        with pytest.raises(backups.BackupObjectMissing) as refused:
            backups.prove_log(disaster.vault(store))
    finally:
        shutil.rmtree(store)

    assert named in refused.value.message


def test_a_wrong_key_is_refused_and_a_rotated_one_still_opens(disaster):
    wrong, rotated, into = disaster.root / "wrong", disaster.root / "rotated", disaster.root / "never"
    add_key(wrong, rotate=False)
    shutil.copy(disaster.settings["BURSAR_BACKUP_KEY_FILE"], rotated)
    add_key(rotated, rotate=True)

    with pytest.raises(backups.BackupKeyUnknown) as refused:
        _restore(disaster.vault(keys=wrong), into)
    assert _drill(disaster.vault(keys=wrong), into).failure == refused.value.message
    planned = backups.plan(disaster.vault(keys=rotated), "latest")
    backups.prove(disaster.vault(keys=rotated), planned)

    assert not into.exists()
    assert len(backups.read_keyring(rotated).keys) == 2


def test_pruning_never_takes_the_newest_backup_that_proves_right(disaster):
    store = disaster.root / "pruned"
    shutil.copytree(disaster.store, store)
    vault, later = disaster.vault(store), datetime.now(UTC) + timedelta(days=9999)
    nothing = backups.Keeping(whole=timedelta(hours=1), days=0, weeks=0, months=0)
    full, incremental = backups.list_backups(vault).backups
    _flip(store / incremental.base)

    shown = backups.prune(vault, nothing, now=later, only_shown=True)
    assert [one.id for one in backups.list_backups(vault).backups] == [full.id, incremental.id]
    pruned = backups.prune(vault, nothing, now=later, only_shown=False)
    left = [one.id for one in backups.list_backups(vault).backups]
    segments = {segment_object(piece.segment) for piece in backups.plan(disaster.vault(), "latest").pieces[:-1]}

    assert (shown.proven, shown.removed) == (pruned.proven, pruned.removed) == (full.id, [incremental.id])
    assert left == [full.id]
    assert segments <= set(vault.names("wal"))
    backups.prove(vault, backups.plan(vault, "latest"))


def test_nothing_is_pruned_when_nothing_proves_right(disaster):
    store = disaster.root / "unproven"
    shutil.copytree(disaster.store, store)
    vault, later = disaster.vault(store), datetime.now(UTC) + timedelta(days=9999)
    nothing = backups.Keeping(whole=timedelta(hours=1), days=0, weeks=0, months=0)
    full = backups.list_backups(vault).backups[0]
    _cut(store / full.base)
    before = vault.names("backups")

    with pytest.raises(backups.NothingProven):
        backups.prune(vault, nothing, now=later, only_shown=False)

    assert vault.names("backups") == before


def test_verify_names_what_is_damaged_and_fails(disaster):
    store = disaster.root / "verified"
    shutil.copytree(disaster.store, store)
    newest = backups.list_backups(disaster.vault()).backups[-1]
    _flip(store / newest.base, at=0.9)

    process = bursar("backup", "verify", "--all", "--json", **disaster.settings | {"BURSAR_BACKUP_STORE": str(store)})
    code, said, _ = finish(process)

    findings = {finding["what"]: finding for finding in json.loads(said)["findings"]}
    assert code == 1
    assert [name for name, finding in findings.items() if not finding["ok"]] == [newest.id]
    assert newest.base in findings[newest.id]["found"]


def test_a_restore_that_fails_leaves_the_directory_as_empty_as_it_was(disaster):
    into = disaster.root / "failing"
    into.mkdir()
    vault = disaster.vault()
    planned = backups.plan(vault, "latest")
    never = {**planned.settings, "recovery_target_name": "a point that never was"}

    with pytest.raises(ServerFailed, match="recovery ended before configured recovery target was reached"):
        backups.restore(
            vault,
            replace(planned, settings=never),
            into=into,
            tools=Tools(wheel_bin()),
            tell=lambda _: None,
        )

    assert list(into.iterdir()) == []
