"""Real workers, killed, frozen and stopped in the middle of a job: what they began is done once by somebody."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bursar.kernel import jobs
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

LABOURER = Path(__file__).with_name("labourer.py")


class Labourer:
    """One worker process, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def says(self, *words: str) -> None:
        """Wait until it says something that begins so."""
        wanted = " ".join(words)
        while not any(line.startswith(wanted) for line in self.said):
            line = await asyncio.wait_for(self.process.stdout.readline(), 20)
            assert line, f"it ended before {wanted!r}, after {self.said}"
            self.said.append(line.decode().strip())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@pytest.fixture
async def hire(database_url: str) -> AsyncIterator:
    hired: list[Labourer] = []

    async def hiring(grace_s: float = 10.0) -> Labourer:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(LABOURER), database_url, str(grace_s), stdout=asyncio.subprocess.PIPE
        )
        hired.append(Labourer(process))
        await hired[-1].says("ready")
        return hired[-1]

    yield hiring
    for labourer in hired:
        if labourer.process.returncode is None:
            labourer.process.kill()
        await labourer.process.wait()
        labourer.process._transport.close()


@pytest.fixture
async def stage(db, database_url) -> Stage:
    return await set_stage(db, database_url)


async def put(stage: Stage, key: str = "one", wait_s: float = 0.0, kind: str = "tests.make") -> None:
    async with stage.db.tenant(stage.tenant_id) as tx:
        await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind=kind, key=key, request=str(wait_s).encode())


async def made(stage: Stage) -> list[str]:
    return [
        r["name"]
        for r in await stage.rows("select name from product where name not in ('pack-10', 'membership', 'course')")
    ]


async def test_what_a_killed_worker_had_begun_is_done_by_another(stage, hire):
    first = await hire()
    await put(stage, wait_s=30)
    await first.says("began one 1")
    other = await hire()

    first.send(signal.SIGKILL)
    await other.says("made one 2")

    assert await made(stage) == ["one"]
    assert await stage.rows("select id from job") == []


async def test_a_frozen_worker_that_wakes_writes_nothing(stage, hire):
    frozen = await hire()
    await put(stage, wait_s=0.5)
    await frozen.says("began one 1")
    frozen.send(signal.SIGSTOP)
    other = await hire()
    await other.says("made one 2")

    frozen.send(signal.SIGCONT)
    await put(stage, key="two")
    while len(await made(stage)) < 2:
        await asyncio.sleep(0.02)
    frozen.send(signal.SIGTERM)
    await frozen.says("stopped")

    assert sorted(await made(stage)) == ["one", "two"]
    assert "made one 1" not in frozen.said


async def test_a_worker_that_is_stopped_ends_what_it_began_and_begins_nothing(stage, hire):
    worker = await hire()
    await put(stage, wait_s=0.4)
    await worker.says("began one")

    worker.send(signal.SIGTERM)
    await asyncio.sleep(0.1)
    await put(stage, key="two")
    await worker.says("stopped")

    assert await made(stage) == ["one"]
    assert await worker.process.wait() == 0
    assert await stage.rows("select key, state, attempts from job") == [{"key": "two", "state": "ready", "attempts": 0}]


async def test_what_takes_too_long_for_a_stop_is_given_back_at_once(stage, hire):
    worker = await hire(grace_s=0.1)
    await put(stage, wait_s=30, kind="tests.make_patiently")
    await worker.says("began one")

    worker.send(signal.SIGTERM)
    await worker.says("stopped")

    assert await stage.rows("select key, state, attempts from job") == [{"key": "one", "state": "ready", "attempts": 0}]


async def test_a_job_that_kills_its_workers_ends_as_dead_and_others_go_on(stage, hire):
    await put(stage, key="poison", kind="tests.die")
    for attempt in (1, 2):
        worker = await hire()
        await worker.says(f"began poison {attempt}")
        assert await worker.process.wait() == -signal.SIGKILL
    await put(stage, key="sound")

    survivor = await hire()
    await survivor.says("made sound 1")
    while await stage.value("select state from job") != "dead":
        await asyncio.sleep(0.05)

    assert "began poison" not in " ".join(survivor.said)
    dead = await stage.row("select attempts, crashes, error from job")
    assert (dead["attempts"], dead["crashes"]) == (3, 2)
    assert "its worker did not end it" in dead["error"]
