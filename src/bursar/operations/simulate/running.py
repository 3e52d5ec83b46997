"""One simulation, from an empty directory to the verdict."""

import asyncio
import base64
import contextlib
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.seal import Seal
from bursar.money.fulfilment import Registry
from bursar.operations import rehearsal
from bursar.operations.simulate.faults import attack
from bursar.operations.simulate.machinery import Commands, Machinery
from bursar.operations.simulate.network import Network, NotAcknowledged, Tally, deliver_calmly
from bursar.operations.simulate.planning import Plan, plan_of
from bursar.operations.simulate.sabotage import CONTROLS, Control, prepare
from bursar.operations.simulate.verdict import Verdict, judge
from bursar.operations.studio import OFFERS, Studio, open_studio
from bursar.operations.verify import standing_kinds

_QUIET_S = 180.0
_TICK_S = 0.05
_ACTOR = "simulation"

_WAITING = "select count(*) from gateway_event_queue where tenant_id = $1"


@dataclass(frozen=True, slots=True)
class Options:
    """kills: faults of any kind. acts: of the rehearsed studio; 0: none. connections: the gateway's, at once.

    control: a name of `CONTROLS` or of the rehearsal's, which is looked for there alone; or None. keep: leave the directory, with every log, behind.
    """

    seed: int
    events: int
    kills: int
    acts: int = 0
    connections: int = 16
    workers: int = 2
    control: str | None = None
    keep: bool = False

    @property
    def storm_s(self) -> float:
        """How long the storm may last: much longer than it does on a slow machine."""
        return 150.0 + 0.15 * self.events + 10.0 * self.kills


@dataclass(frozen=True, slots=True)
class Simulated:
    """What happened, and the verdict. error: why the run was given up, if it was."""

    options: Options
    plan: Plan
    tally: Tally
    faults: dict[str, int]
    restarts: int
    seconds: float
    verdict: Verdict | None
    rehearsed: rehearsal.Rehearsed | None
    error: str
    directory: Path | None

    @property
    def ok(self) -> bool:
        found = [each for each in (self.verdict, self.rehearsed) if each is not None]
        return bool(found) and all(each.ok for each in found) and not self.error

    def report(self) -> dict[str, Any]:
        """Return what `bursar simulate --json` prints."""
        tally = self.tally
        return {
            "ok": self.ok,
            "seed": self.options.seed,
            "control": self.options.control,
            "events": len(self.plan.events),
            "acked": len(tally.acked),
            "deliveries": tally.deliveries,
            "duplicates": tally.duplicates,
            "no_answer": tally.no_answer,
            "ways": dict(tally.ways),
            "refused": {str(status): count for status, count in tally.refused.items()},
            "faults": self.faults,
            "restarts": self.restarts,
            "seconds": round(self.seconds, 1),
            "error": self.error or None,
            "verdict": self.verdict.report() if self.verdict else None,
            "rehearsal": self.rehearsed.report() if self.rehearsed else None,
            "directory": str(self.directory) if self.directory else None,
        }


async def simulate(
    options: Options, *, registry: Registry, commands: Commands, tell: Callable[[str], None]
) -> Simulated:
    """Run one simulation in a directory of its own.

    registry: the fulfillers. commands: how API and workers are started. tell: says what is going on.
    """
    began = time.monotonic()
    plan = plan_of(
        seed=options.seed, events=options.events, kills=options.kills, prices=[offer.sandbox for offer in OFFERS]
    )
    directory = Path(mkdtemp(prefix="bursar-simulation-"))

    def tell_when(text: str) -> None:
        tell(f"{time.monotonic() - began:6.1f} s  {text}")

    run = _Run(options, plan, directory, registry=registry, commands=commands, tell=tell_when)
    try:
        await run.play()
    except (NotAcknowledged, TimeoutError) as error:
        run.error = str(error) or type(error).__name__
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return Simulated(
        options=options,
        plan=plan,
        tally=run.tally,
        faults=dict(run.faults),
        restarts=run.machinery.restarts,
        seconds=time.monotonic() - began,
        verdict=run.verdict,
        rehearsed=run.rehearsed,
        error=run.error,
        directory=directory if options.keep else None,
    )


class _Run:
    """The steps of one simulation, and what it has come to so far."""

    def __init__(
        self,
        options: Options,
        plan: Plan,
        directory: Path,
        *,
        registry: Registry,
        commands: Commands,
        tell: Callable[[str], None],
    ) -> None:
        self._options = options
        self._plan = plan
        self._registry = registry
        self._tell = tell
        self._control = (CONTROLS | rehearsal.CONTROLS)[options.control] if options.control else None
        self._secret_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self.machinery = Machinery(
            directory,
            commands=commands,
            workers=options.workers,
            secret_key=self._secret_key,
            database=self._control.database if isinstance(self._control, Control) else {},
        )
        self.tally = Tally()
        self.faults: Counter[str] = Counter()
        self.verdict: Verdict | None = None
        self.rehearsed: rehearsal.Rehearsed | None = None
        self.error = ""

    async def play(self) -> None:
        async with self.machinery.database():
            if self._control:
                self._tell(f"control: {self._control.what}")
                await prepare(self.machinery.cluster.admin_url, self._control.statements)
            if self._options.control not in rehearsal.CONTROLS:
                await self._trade()
            if self._options.acts:
                await self._rehearse()

    async def _trade(self) -> None:
        async with self.machinery.running():
            calm, stormy = await self._open("Calm"), await self._open("Stormy")
            self._tell(f"delivering {len(self._plan.events)} events calmly")
            await deliver_calmly(self._plan, calm, url=self.machinery.url, path=_path(calm))
            await self._quiet(calm.tenant_id)
            await self.machinery.checkpoint()
            self._tell(f"delivering them badly: {len(self._plan.deliveries)} attempts, {len(self._plan.faults)} faults")
            await self._storm(stormy)
            waiting = await self._quiet(stormy.tenant_id)
            self._tell("comparing")
            self.verdict = await judge(
                self.machinery.cluster.app_url,
                self.machinery.cluster.admin_url,
                plan=self._plan,
                tally=self.tally,
                stormy=stormy,
                calm=calm,
                waiting=waiting,
                standing_kinds=standing_kinds(self._registry),
            )

    async def _rehearse(self) -> None:
        self._tell(f"rehearsing {self._options.acts} acts of a studio")
        control = rehearsal.CONTROLS.get(self._options.control or "")
        async with self._database() as db:
            with rehearsal.broken_by(control):
                self.rehearsed = await rehearsal.rehearse(
                    db,
                    seed=self._options.seed,
                    acts=self._options.acts,
                    seal=Seal(self._secret_key),
                    registry=self._registry,
                )

    async def _open(self, name: str) -> Studio:
        async with self._database() as db:
            return await open_studio(
                db,
                name=name,
                seal=Seal(self._secret_key),
                registry=self._registry,
                actor=_ACTOR,
                now=datetime.now(UTC),
            )

    async def _storm(self, studio: Studio) -> None:
        network = Network(self._plan, studio, url=self.machinery.url, path=_path(studio))
        self.tally = network.tally
        attacking = asyncio.create_task(
            attack(
                self.machinery,
                self._plan.faults,
                acks=lambda: len(network.tally.acked),
                done=self.faults,
                tell=self._tell,
            )
        )
        try:
            await network.storm(connections=self._options.connections, timeout_s=self._options.storm_s)
            await attacking
        except NotAcknowledged:
            self._tell(f"giving up; the logs end so:\n{self.machinery.said()}")
            raise
        finally:
            attacking.cancel()

    async def _quiet(self, tenant_id: UUID) -> int:
        """Wait until nothing waits to be applied; return how many events still do when patience ends."""
        deadline = time.monotonic() + _QUIET_S
        # One pool for all looks: connecting for each would take a third of a core from what is waited for.
        async with self._database() as db:
            while True:
                async with db.engine() as tx:
                    waiting = int(await tx.fetchval(_WAITING, tenant_id))
                if waiting == 0 or time.monotonic() > deadline:
                    return waiting
                await asyncio.sleep(_TICK_S)

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Database]:
        db = await Database.open(self.machinery.cluster.app_url, size=2)
        try:
            yield db
        finally:
            await db.close()


def _path(studio: Studio) -> str:
    return f"/v1/webhooks/{ids.show(ids.GATEWAY_ACCOUNT, studio.account_id)}"
