"""The ground a benchmark stands on: a PostgreSQL of its own, one business with a catalogue, Bursar's own processes."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import UUID

from benchmarks.events import COURSE, MEMBERSHIP, PACK
from bursar.bootstrap import registry
from bursar.cli.connection import cluster_of, of_cluster
from bursar.cli.supervisor import migrate
from bursar.kernel import ids, tenancy
from bursar.kernel.db import Database
from bursar.kernel.postgres import Cluster
from bursar.kernel.postgres.binaries import wheel_bin
from bursar.kernel.postgres.ports import free_port
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.gateways import gateway
from bursar.money.gateways.sandbox import SandboxPrice
from bursar.money.intake import accounts
from bursar.money.intake.filing import Filing, file_events

SECRET = "whsec_benchmark"
FILED_AT_ONCE = 500
MADE = "BURSAR_BENCH_MADE"
"""Names the directory of a stopped server, made and migrated, as a copy of which each ground begins. The tests open nine."""
_READY_S = 90

_PRODUCT = "insert into product (tenant_id, id, name) values ($1, $2, $3)"
_PRICE = """
insert into price (tenant_id, id, product_id, lookup_key, amount_minor, currency, interval, grants)
values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
"""
_REF = "insert into price_gateway_ref (tenant_id, gateway_account_id, ref, price_id) values ($1, $2, $3, $4)"

_IS_QUEUED = "select exists (select from gateway_event_queue)"

_GRANTS: dict[SandboxPrice, list[dict[str, Any]]] = {
    MEMBERSHIP: [{"kind": "credits", "amount": 8, "pool": "classes"}],
    PACK: [{"kind": "credits", "amount": 10, "pool": "classes"}],
    COURSE: [{"kind": "licence", "course": "python", "activations": 3}],
}


@dataclass(slots=True)
class Ground:
    """A started server and a business in it. settings: complete, as Bursar's processes are given them."""

    cluster: Cluster
    settings: Settings
    tenant_id: UUID
    account_id: UUID
    api_key: str
    processes: list["Process"] = field(default_factory=list)

    @property
    def webhook_path(self) -> str:
        return f"/v1/webhooks/{ids.show(ids.GATEWAY_ACCOUNT, self.account_id)}"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        db = await Database.open(self.settings.database_url, size=4, statement_timeout_ms=600_000)
        try:
            yield db
        finally:
            await db.close()

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Return rows as the business sees them."""
        async with self.database() as db, db.tenant(self.tenant_id) as tx:
            return [dict(row) for row in await tx.fetch(query, *values)]

    def ask(self, query: str, *values: Any) -> Any:
        """Return the one value that a query of the business's rows gives."""
        rows = asyncio.run(self.rows(query, *values))
        return next(iter(rows[0].values()))

    def until_applied(self) -> None:
        """Wait until nothing is queued. It asks over one connection: a new one each time would take a server's part of a core."""
        asyncio.run(self._until_applied())

    async def _until_applied(self) -> None:
        async with self.database() as db:
            while True:
                async with db.tenant(self.tenant_id) as tx:
                    if not await tx.fetchval(_IS_QUEUED):
                        return
                await asyncio.sleep(0.02)

    def admin(self, *statements: str) -> None:
        """Run statements as the server's superuser, each in a transaction of its own."""
        for statement in statements:
            self.program("psql", "-qXtAc", statement)

    def program(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's client programs on this database as the superuser; return what it says."""
        done = subprocess.run(
            [str(bin_dir(self.settings) / name), *arguments],
            env=os.environ | _libpq(self.cluster.admin_url),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr[-800:]}")
        return done.stdout

    @contextmanager
    def api(self, **settings: str) -> Iterator["Process"]:
        """Run one API process. settings: of its environment, beside those of every process."""
        port = free_port()
        with self._process("serve", "--port", str(port), **settings) as process:
            process.port = port
            _wait_ready(f"http://127.0.0.1:{port}/health/ready", process)
            yield process

    @contextmanager
    def worker(self, **settings: str) -> Iterator["Process"]:
        """Run one worker process. settings: as of an API process."""
        with self._process("worker", **settings) as process:
            yield process

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator["Process"]:
        """Run any command. environment: on top of what each of Bursar's processes gets."""
        with self._process(*arguments, **environment) as process:
            yield process

    @contextmanager
    def _process(self, *arguments: str, **more: str) -> Iterator["Process"]:
        process = Process.start(self, arguments, more)
        self.processes.append(process)
        try:
            yield process
        finally:
            process.stop()
            self.processes.remove(process)


@dataclass(slots=True)
class Process:
    """One of Bursar's own processes. port: what an API listens on."""

    popen: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    @classmethod
    def start(cls, ground: Ground, arguments: Sequence[str], more: Mapping[str, str]) -> "Process":
        settings = ground.settings
        log = ground.cluster.directory / f"{arguments[0]}-{time.monotonic_ns()}.log"
        own = {
            "BURSAR_DATA": str(settings.data),
            "BURSAR_DATABASE_URL": settings.database_url,
            "BURSAR_SECRET_KEY": settings.secret_key,
        }
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", "bursar", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment_of({**own, **more}),
            )
        return cls(popen, log)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()


def python_path() -> str:
    """Return where processes of ours find their modules."""
    return os.pathsep.join(sys.path)


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of ours that has these settings, and none of whoever runs the benchmark."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    return {**without, "PYTHONPATH": python_path(), **settings}


def _libpq(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.removeprefix("/"),
    }


def bin_dir(settings: Settings) -> Path:
    """Return where PostgreSQL's own programs are, pgbench among them."""
    return Path(settings.postgres_bin) if settings.postgres_bin else wheel_bin()


@contextmanager
def ground() -> Iterator[Ground]:
    """Open new ground, and leave none of it behind."""
    directory = Path(tempfile.mkdtemp(prefix="bursar-bench-"))
    if made := os.environ.get(MADE):
        subprocess.run(["cp", "-a", f"{made}/.", str(directory)], check=True)
    settings = Settings(data=directory, database_url="")
    cluster = cluster_of(settings)
    try:
        cluster.start()
        yield asyncio.run(_settle(cluster, of_cluster(settings, cluster)))
    finally:
        cluster.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


async def _settle(cluster: Cluster, settings: Settings) -> Ground:
    await migrate(settings)
    db = await Database.open(settings.database_url, size=2)
    try:
        tenant_id, api_key = await tenancy.create_tenant(db, name="Benchmark")
        async with db.tenant(tenant_id) as tx:
            view = await accounts.add_account(
                tx,
                tenant_id=tenant_id,
                gateway_name="stripe",
                name="Benchmark",
                signing_secrets=[SECRET],
                api_key=None,
                tolerance_s=3600,
                seal=Seal(settings.secret_key),
                actor="benchmark",
            )
            for sold, grants in _GRANTS.items():
                await _sell(tx, tenant_id, view.id, sold, grants)
    finally:
        await db.close()
    return Ground(cluster, settings, tenant_id, view.id, api_key)


async def _sell(tx: Any, tenant_id: UUID, account_id: UUID, sold: SandboxPrice, grants: list[dict[str, Any]]) -> None:
    product_id, price_id = ids.new(), ids.new()
    checked = json.dumps(registry().checked(grants))
    await tx.execute(_PRODUCT, tenant_id, product_id, sold.lookup_key)
    await tx.execute(
        _PRICE,
        tenant_id,
        price_id,
        product_id,
        sold.lookup_key,
        sold.amount_minor,
        sold.currency,
        sold.interval,
        checked,
    )
    await tx.execute(_REF, tenant_id, account_id, sold.ref, price_id)


async def file_bodies(ground: Ground, bodies: Sequence[bytes]) -> None:
    """Store and queue events as intake does after the signature, all in one transaction."""
    async with ground.database() as db, db.engine() as tx:
        for start in range(0, len(bodies), FILED_AT_ONCE):
            await file_events(tx, [_filing(ground, body) for body in bodies[start : start + FILED_AT_ONCE]])


def _filing(ground: Ground, body: bytes) -> Filing:
    envelope = gateway("stripe").envelope(headers={}, body=body)
    return Filing(
        id=ids.new(),
        tenant_id=ground.tenant_id,
        account_id=ground.account_id,
        event_id=envelope.event_id,
        type=envelope.type,
        origin="gateway",
        occurred_at=envelope.occurred_at,
        headers={},
        body=body,
        dead_because=None,
    )


def _wait_ready(url: str, process: Process) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.popen.poll() is None:
        try:
            with urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"the API did not become ready: {process.log.read_text(errors='replace')[-2000:]}")
