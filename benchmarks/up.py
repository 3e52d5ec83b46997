"""Up: from an empty directory to the first applied event, with everything that `bursar up` starts.

The directory is new: a database is made and migrated, the processes start, the demo opens its business, and its
customers' payments arrive over HTTP, signed, as a gateway's would.
"""

import asyncio
import json
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import environment_of
from bursar.kernel.postgres.ports import free_port

PROMISE = "`bursar up` on an empty directory is ready, and has applied its first event, within 15 s"
BUDGETS = (Budget("applied_s", at_most=15.0),)
NOTES = ("ready_s: until it says that it is ready; applied_s: until the first event has its outcome",)
WAIT_S_MAX = 120.0

_APPLIED = "select count(*) from gateway_event_outcome"


def measure(scale: Scale) -> Result:
    """Start it on a new directory each time."""
    return Result("up", PROMISE, BUDGETS, tuple(_once() for _ in range(scale.runs)), NOTES)


def _once() -> dict[str, float]:
    directory = Path(tempfile.mkdtemp(prefix="bursar-bench-"))
    directory.chmod(0o711)  # the server's own user passes through
    began = time.monotonic()
    try:
        with started(directory / "data") as facts:
            ready = time.monotonic() - began
            asyncio.run(_until_applied(facts["admin_url"]))
            return {"ready_s": ready, "applied_s": time.monotonic() - began}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def started(data: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """Run `bursar up` on a directory, and give what it says of itself once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bursar", "up", "--data", str(data), "--port", str(free_port()), "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment_of({}),
    )
    try:
        yield _facts_of(process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _facts_of(process: "subprocess.Popen[bytes]") -> dict[str, str]:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], WAIT_S_MAX)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise RuntimeError("`bursar up` did not become ready")
    facts: dict[str, str] = json.loads(line)
    return facts


async def _until_applied(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            while not await connection.fetchval(_APPLIED):  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.02)
    finally:
        await connection.close()
