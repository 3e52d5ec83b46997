"""Calls: a gateway that loses answers, workers that are killed; and each thing asked is done once."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from benchmarks.calls_worker import LEASE_S
from benchmarks.figures import Budget, Result, Scale
from benchmarks.hostile_gateway import HostileGateway, hostile_gateway
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.seal import Seal
from bursar.money.calls import ask
from bursar.money.gateways.calls import CreateRefund
from bursar.money.intake.accounts import api_key_purpose

PROMISE = "what is asked of a gateway is done once, though answers are lost and workers killed; with a fresh key for each attempt it is not"
BUDGETS = (
    Budget("effects_twice", at_most=0),
    Budget("effects_missing", at_most=0),
    Budget("unexplained", at_most=0),
    Budget("control_effects_twice", at_least=1),
)
NOTES = (
    "the gateway drops 10 % of the answers after it applied, fails 6 % before, answers 6 % later than the lease of 4 s",
    "killed: SIGKILLs of workers, of which two run at a time; unexplained: intents whose row does not name the one effect",
    "the control takes a fresh key for each attempt and is killed as often in proportion",
)

_TREE = Path(__file__).parents[1]
_LEFT = "select count(*) from gateway_call where state = 'asked'"
_TOLD = "select subject, state, ref, attempts from gateway_call"
_OPEN = "update gateway_account set api_key = $2, base_url = $3 where tenant_id = $1"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a run happens: a business with an account at `stripe`, in a migrated database."""

    url: str
    secret_key: str
    tenant_id: UUID
    account_id: UUID


def measure(scale: Scale) -> Result:
    """Ask for refunds, kill, wait, count; then the control."""
    from benchmarks.ground import ground  # noqa: PLC0415 - a test takes only the run

    intents, kills = (60, 2) if scale.quick else (2000, 50)
    runs = []
    for number in range(scale.runs):
        found: dict[str, float] = {}
        for keys, count, killed in (("fixed", intents, kills), ("fresh", max(intents // 5, 60), kills // 5)):
            with ground() as here:
                scene = Scene(here.settings.database_url, here.settings.secret_key, here.tenant_id, here.account_id)
                told = asyncio.run(run(scene, intents=count, kills=killed, keys=keys, seed=number))
            prefix = "" if keys == "fixed" else "control_"
            found |= {f"{prefix}{name}": value for name, value in told.items()}
        runs.append(found)
    return Result("calls", PROMISE, BUDGETS, tuple(runs), NOTES)


async def run(scene: Scene, *, intents: int, kills: int, keys: str, seed: int) -> Mapping[str, float]:
    """Let workers make calls until each has its outcome; return what was done."""
    async with hostile_gateway(late_s=LEASE_S + 1.0, seed=seed) as gateway:
        db = await Database.open(scene.url, size=2)
        try:
            await _write_intents(db, scene, gateway, intents)
            began = time.monotonic()
            killed = await _work(db, scene, intents, kills=kills, keys=keys, seed=seed)
            seconds = time.monotonic() - began
            async with db.tenant(scene.tenant_id) as tx:
                told = await tx.fetch(_TOLD)
        finally:
            await db.close()
    made = {answer["metadata"]["bursar_refund"]: answer["id"] for answer in gateway.by_key.values()}
    return {
        "intents": intents,
        "calls": gateway.calls,
        "effects": sum(gateway.effects.values()),
        "effects_twice": sum(count - 1 for count in gateway.effects.values()),
        "effects_missing": intents - len(gateway.effects),
        "unexplained": sum(row["state"] != "succeeded" or row["ref"] != made[row["subject"]] for row in told),
        "killed": killed,
        "seconds": seconds,
    }


async def _write_intents(db: Database, scene: Scene, gateway: HostileGateway, intents: int) -> None:
    sealed = Seal(scene.secret_key).seal("sk_test", purpose=api_key_purpose(scene.account_id))
    async with db.tenant(scene.tenant_id) as tx:
        await tx.execute(_OPEN, scene.tenant_id, sealed, gateway.url)
        for number in range(intents):
            refund = ids.show(ids.REFUND, ids.new())
            await ask(
                tx,
                tenant_id=scene.tenant_id,
                account_id=scene.account_id,
                call=CreateRefund(refund=refund, currency="EUR", payment=f"pi_{number}", amount_minor=100),
                subject=refund,
                key=f"refund:{refund}",
                actor="operator",
            )


async def _work(db: Database, scene: Scene, intents: int, *, kills: int, keys: str, seed: int) -> int:
    """Run two workers; kill one at a time as the work goes on, and start another in its place. Return how many were killed."""
    luck, killed = random.Random(seed), 0
    workers = [_worker(scene, keys) for _ in range(2)]
    try:
        while left := await _left(db, scene):
            await asyncio.sleep(0.1 + luck.random() * 0.3)
            if killed < kills and (intents - left) * (kills + 1) >= (killed + 1) * intents:
                number = luck.randrange(2)
                workers[number].kill()
                workers[number].wait()
                workers[number] = _worker(scene, keys)
                killed += 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return killed


async def _left(db: Database, scene: Scene) -> int:
    async with db.tenant(scene.tenant_id) as tx:
        left: int = await tx.fetchval(_LEFT)
    return left


def _worker(scene: Scene, keys: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.calls_worker", scene.url, scene.secret_key, keys]
    return subprocess.Popen(
        command,
        cwd=_TREE,
        env=os.environ | {"PYTHONPATH": f"{_TREE}:{_TREE / 'src'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
