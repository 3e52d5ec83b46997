"""The whole way, at the wire: the command, the official SDK, a double on loopback, a kill in the middle, and every class planted.

With BURSAR_TEST_RECONCILED=100000 it does it with as many objects, and says how fast it was and how much memory it took.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from planting import Planted
from wired import listening

from bursar.kernel import ids
from bursar.money.gateways.callers import Callers
from draining import bring_forward
from serving import KEY

pytestmark = pytest.mark.anyio

OBJECTS = int(os.environ.get("BURSAR_TEST_RECONCILED", "2000"))
_OF_A_HUNDRED_PAYMENTS = 331
"""Payments, their charges and bookings, refunds with theirs, a dispute, subscriptions."""


@asynccontextmanager
async def command(scene: Any, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `bursar reconcile`, and apply meanwhile what it files, as a worker does."""
    tenant = ids.show(ids.TENANT, scene.stage.tenant_id)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bursar", "reconcile", "--tenant", tenant, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"BURSAR_DATABASE_URL": url, "BURSAR_SECRET_KEY": KEY},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def finished(scene: Any, url: str) -> tuple[int, dict[str, Any]]:
    """Return the command's exit code and the run that it shows."""
    async with command(scene, url) as process:
        ending = asyncio.create_task(process.communicate())
        while not ending.done():
            if await scene.stage.value("select count(*) from reconciliation_run where state = 'settling'"):
                await scene.stage.apply()
            await asyncio.wait([ending], timeout=0.2)
        out, err = ending.result()
    assert out, err.decode()
    return process.returncode, json.loads(out)["reconciliations"][0]


async def killed_at(scene: Any, url: str, *, page: int) -> None:
    """Run it until so many pages are taken, and kill it there."""
    async with command(scene, url) as process:
        while (await scene.stage.value("select coalesce(max(pages), 0) from reconciliation_run")) < page:
            await asyncio.sleep(0.01)
            assert process.returncode is None, (await process.communicate())[1].decode()
        process.kill()
        await process.communicate()
    await bring_forward(scene.stage, "running")


async def test_planted_differences_are_found_over_the_wire_with_a_kill_in_the_middle(scene, database_url):
    scene.outside.fill(OBJECTS * 100 // _OF_A_HUNDRED_PAYMENTS)
    planted, callers = Planted(scene.outside), Callers()
    await planted.plant(scene.stage, each=max(1, OBJECTS // 2000))
    with listening(scene.outside) as address:
        await scene.stage.rows("update gateway_account set base_url = $1", address)
        await killed_at(scene, database_url, page=OBJECTS // 250)

        began = time.perf_counter()
        exit_code, first = await finished(scene, database_url)
        took_s = time.perf_counter() - began
        again_at = time.perf_counter()
        second = await scene.reconcile(callers=callers.of)
        whole_s = time.perf_counter() - again_at
        await callers.close()

    standing = [each for each in planted.differences if each[3] == "open"]
    assert await scene.differences() == sorted(planted.differences)
    assert await scene.differences(second["id"]) == sorted(planted.standing)
    assert (first["state"], first["unrepaired"], exit_code) == ("done", len(standing), 1)
    assert (second["state"], second["missing_here"], second["objects"]) == ("done", 0, first["objects"])
    assert await scene.stage.value("select count(*) from reconciliation_run") == 2
    taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    sys.stderr.write(
        f"\n{second['objects']} objects, {second['objects'] / whole_s:.0f} a second; after the kill the command did the rest "
        f"in {took_s:.1f} s; it took at most {taken:.0f} MiB\n"
    )
