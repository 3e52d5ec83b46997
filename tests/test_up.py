"""`bursar up`: one command starts everything, survives the death of any part, and leaves nothing behind."""

import asyncio
import http.client
import itertools
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from bursar.kernel.postgres.ports import free_port
from bursar.kernel.processes import command_of, is_alive
from bursar.money.gateways import gateway
from commanding import command
from databases import begin_as_copy

READY_WITHIN_S = 60
DEFAULT_PORT = 8420


def bursar(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    return subprocess.Popen(
        [sys.executable, "-m", "bursar", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, **environment},
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, complained = process.communicate(timeout=READY_WITHIN_S)
    return process.returncode, said, complained


class Up:
    """A running `bursar up` on a directory of its own."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self.directory = directory
        self.process = bursar("up", "--data", str(directory), "--no-demo", "--json", *arguments, **environment)
        ready, _, _ = select.select([self.process.stdout], [], [], READY_WITHIN_S)
        assert ready, "not ready in time"
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.facts = json.loads(line)
        assert "url" in self.facts, self.process.communicate()[1]

    @property
    def now(self) -> dict:
        return json.loads((self.directory / "bursar.json").read_text())

    @property
    def pids(self) -> list[int]:
        facts = self.now
        return [facts["pid"], facts["api_pid"], *facts["worker_pids"], *filter(None, [facts["postgres_pid"]])]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, complained = self.process.communicate(timeout=30)
        return self.process.returncode, complained


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    path.chmod(0o711)
    yield path / "data"
    shutil.rmtree(path)


@pytest.fixture
def start(directory: Path) -> Iterator[type[Up]]:
    """Start on the directory; unless `anew`, on a copy of a server that was made once, where there is none yet."""
    started: list[Up] = []

    def run(*arguments: str, anew: bool = False, **environment: str) -> Up:
        if not anew and not directory.exists():
            begin_as_copy(directory)
        started.append(Up(directory, *arguments, **environment))
        return started[-1]

    yield run
    for up in started:
        if up.process.poll() is None:
            up.stop()
        up.process.stdout.close()
        up.process.stderr.close()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=READY_WITHIN_S) as response:
            return response.status
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def eventually(is_true, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return False


def processes_of(directory: Path) -> list[list[str]]:
    commands = [command_of(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [command for command in commands if any(str(directory) in word for word in command)]


def ask(url: str, statement: str):
    async def run():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def assert_it_stops(up: Up, number: signal.Signals) -> str:
    """Ask it to stop: within ten seconds nothing of it runs and nothing failed. Return what it said."""
    pids = up.pids
    began = time.monotonic()

    code, complained = up.stop(number)

    assert (code, time.monotonic() - began < 10) == (0, True)
    assert "Traceback" not in complained
    assert not any(map(is_alive, pids))
    assert not (up.directory / "bursar.json").exists()
    return complained


def test_one_command_starts_everything_a_second_one_is_refused_and_it_stops_when_asked(start, directory):
    up = start("--port", str(free_port()), "--workers", "2", anew=True)

    assert status_of(up.facts["url"] + "/health/ready") == 200
    assert up.now == up.facts
    assert up.facts["pid"] == up.process.pid
    assert all(map(is_alive, up.pids))
    for name in ("bursar.json", "secret.key", "postgres.json", "processes.json"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600

    code, said, complained = finish(bursar("up", "--data", str(directory), "--json"))
    assert code == 1
    assert json.loads(said)["error"]["code"] == "already_up"
    assert up.facts["url"] in complained

    done = command("doctor", "--data", str(directory), "--json")
    assert (done.code, json.loads(done.out)["ok"]) == (0, True), done
    done = command("migrate", "--data", str(directory), "--json")
    assert (done.code, json.loads(done.out)["applied"]) == (0, [])

    assert len(up.pids) == 5
    assert_it_stops(up, signal.SIGINT)


def deliver_until_refused(up: Up, account: str, secret: str, stored: list[str]) -> None:
    """Deliver event after event; note those that were acknowledged."""
    for number in itertools.count():
        name = f"evt_{threading.get_ident()}_{number}"
        told = {
            "id": name,
            "type": "product.created",
            "created": 1_760_000_000,
            "data": {"object": {"object": "product"}},
        }
        body = json.dumps(told).encode()
        headers = gateway("stripe").sign(body=body, secret=secret, now=datetime.now(UTC), event_id=name)
        request = urllib.request.Request(f"{up.facts['url']}/v1/webhooks/{account}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10):
                stored.append(name)
        except (OSError, http.client.HTTPException):
            return


def test_stopped_while_deliveries_arrive_it_keeps_every_one_that_it_acknowledged(start, directory):
    up, secret = start("--port", str(free_port())), "whsec_one"
    here = ("--data", str(directory), "--json")
    tenant = json.loads(command("tenant", "create", "--name", "Shop", *here).out)["id"]
    stripe = ("--gateway", "stripe", "--signing-secret", secret)
    account = json.loads(command("gateway", "add", "--tenant", tenant, *stripe, *here).out)["id"]
    stored: list[str] = []
    senders = [threading.Thread(target=deliver_until_refused, args=(up, account, secret, stored)) for _ in range(4)]

    for sender in senders:
        sender.start()
    assert eventually(lambda: len(stored) > 50)
    code, complained = up.stop()
    for sender in senders:
        sender.join(20)
    again = start("--port", str(free_port()))
    kept = ask(again.facts["admin_url"], "select array_agg(gateway_event_id) from gateway_event")

    assert (code, "Traceback" in complained) == (0, False)
    assert {*stored} <= {*kept}
    assert len(kept) == len({*kept})


def test_ctrl_c_while_the_database_is_made_leaves_in_one_line_and_leaves_nothing_half(directory):
    up = bursar("up", "--data", str(directory), "--no-demo", "--port", str(free_port()))
    assert eventually((directory / "postgres.new" / "PG_VERSION").exists)

    os.killpg(up.pid, signal.SIGINT)
    status, said, complained = finish(up)

    assert (status, said, complained) == (0, "", "bursar: stopping\n")
    assert (directory / "postgres").is_dir()
    assert not (directory / "postgres.new").exists()
    assert not processes_of(directory)


def test_killed_supervisor_takes_everything_along_and_the_next_up_has_all_data_unless_they_are_newer(start, directory):
    port = str(free_port())
    first = start("--port", port)
    ask(first.facts["admin_url"], "create table kept as select 42 as n")
    pids = first.pids
    first.process.kill()
    first.process.wait()

    second = start("--port", port)

    assert not any(map(is_alive, pids))
    assert second.facts["url"] == first.facts["url"]
    assert ask(second.facts["admin_url"], "select n from kept") == 42

    ask(
        second.facts["admin_url"],
        "insert into bursar_migration (version, name, sha256) values ('999912312359', 'x', '')",
    )
    second.stop()
    code, _, complained = finish(bursar("up", "--data", str(directory), "--port", str(free_port())))
    assert code == 1
    assert "migrated by a newer Bursar (migration 999912312359)" in complained
    assert "Traceback" not in complained


def test_a_command_of_a_newer_version_does_not_migrate_under_a_running_one(start, directory):
    up = start("--port", str(free_port()))
    forgotten = ask(
        up.facts["admin_url"],
        "with newest as (delete from bursar_migration where version = (select max(version) from bursar_migration) returning name) "
        "select name from newest",
    )

    refused = command("tenant", "list", "--data", str(directory), "--json")

    assert (refused.code, json.loads(refused.out)["error"]["code"]) == (1, "schema_older")
    assert ask(up.facts["admin_url"], f"select count(*) from bursar_migration where name = '{forgotten}'") == 0


def test_parts_that_hang_or_are_killed_are_started_again(start):
    # A proxy that the environment names is not asked about this machine.
    up = start("--port", str(free_port()), http_proxy="http://127.0.0.1:9")
    ask(up.facts["admin_url"], "create table kept as select 42 as n")
    frozen = [up.facts["api_pid"], *up.facts["worker_pids"]]
    # One that has not begun to work has a minute to do so.
    at_work = "select count(*) from pg_stat_activity where application_name = 'bursar-worker'"
    assert eventually(lambda: ask(up.facts["admin_url"], at_work) == len(up.facts["worker_pids"]))
    time.sleep(1)

    began = time.monotonic()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)

    assert eventually(lambda: not {*up.now["worker_pids"]} & {None, *frozen}, within_s=20)
    assert eventually(lambda: up.now["api_pid"] not in {None, *frozen}, within_s=30)
    assert time.monotonic() - began < 30
    assert eventually(lambda: status_of(up.facts["url"] + "/health/ready") == 200)
    assert not any(map(is_alive, frozen))

    again = up.now
    os.kill(again["api_pid"], signal.SIGKILL)
    # The listening socket outlives the API process, so this waits instead of being refused.
    assert status_of(up.facts["url"] + "/health/live") == 200
    os.kill(again["worker_pids"][0], signal.SIGKILL)
    assert eventually(lambda: not {*up.now["worker_pids"]} & {None, *again["worker_pids"]})

    os.kill(again["postgres_pid"], signal.SIGKILL)
    assert eventually(lambda: up.now["postgres_pid"] not in {None, again["postgres_pid"]})
    assert eventually(lambda: status_of(up.facts["url"] + "/health/ready") == 200)
    assert ask(up.now["admin_url"], "select n from kept") == 42
    _, complained = up.stop()
    assert "the worker 1 process gives no sign of life; ending it" in complained
    assert "the API process gives no sign of life; ending it" in complained


def test_taken_port_that_was_asked_for_is_refused_by_name(directory):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        code, _, complained = finish(bursar("up", "--data", str(directory), "--port", str(port)))

    assert code == 1
    assert complained == (
        f"bursar: port {port} of 127.0.0.1 cannot be used: Address already in use. Choose another one with --port.\n"
    )


def test_taken_default_port_gives_way_to_the_next_free_one(start):
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind(("127.0.0.1", DEFAULT_PORT))
        holder.listen()
    except OSError:
        pass  # somebody else holds it, which is as good

    up = start()
    complained = assert_it_stops(up, signal.SIGTERM)
    holder.close()

    assert f"port {DEFAULT_PORT} is taken; using" in complained
    assert not up.facts["url"].endswith(f":{DEFAULT_PORT}")


def test_with_a_database_of_your_own_no_server_is_started(start, directory, database_url, admin_url):
    addresses = {"BURSAR_DATABASE_URL": database_url, "BURSAR_DATABASE_ADMIN_URL": admin_url}

    up = start("--port", str(free_port()), anew=True, **addresses)

    assert up.facts["database_url"] == database_url
    assert up.facts["postgres_pid"] is None
    assert not (directory / "postgres").exists()


def test_command_without_a_running_instance_starts_the_server_for_itself(directory):
    done = command("migrate", "--data", str(directory), "--json")

    assert done.code == 0, done.err
    assert json.loads(done.out)["applied"]
    assert not (directory / "postgres" / "postmaster.pid").exists()


def test_unknown_command_and_unreachable_database_are_one_line_each(directory):
    nobody = f"postgresql://bursar@127.0.0.1:{free_port()}/bursar"

    unknown = finish(bursar("pay"))
    unreachable = finish(bursar("migrate", "--data", str(directory), BURSAR_DATABASE_URL=nobody))

    assert unknown[0] == 2
    assert unknown[2] == "bursar: there is no command 'pay'; see bursar --help\n"
    assert unreachable[0] == 1
    assert unreachable[2].startswith("bursar: PostgreSQL does not answer: ")
    assert unreachable[2].count("\n") == 1
