"""Servers and databases of tests: a server without fsync, and databases copied from a template that was migrated once."""

import asyncio
import atexit
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from bursar.kernel import migrations
from bursar.kernel.db import Database
from bursar.kernel.postgres import Cluster
from bursar.money.intake.partitions import ensure_partitions
from stage import keeping_sessions

TEMPLATE = "bursar_template"


MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN = 4 * 2**30


def start_cluster(*, durable: bool = False, in_memory: bool = False, **options: str) -> tuple[Cluster, Path]:
    """Start a server in a new directory, which PostgreSQL's user can reach although pytest's own are private.

    in_memory: where there is plenty; there a database is copied in a fifth of the time.
    """
    has_memory = in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN
    directory = Path(tempfile.mkdtemp(prefix="bursar-test-", dir=MEMORY if has_memory else None))
    cluster = Cluster(directory, durable=durable, options={"max_connections": "300", **options})
    cluster.start()
    return cluster, directory


def check_passwords_fast(cluster: Cluster) -> None:
    """Let a password be checked with one round instead of 4,096, which thousands of tests would spend seconds of every minute on."""
    parts = [urlsplit(url) for url in (cluster.admin_url, cluster.app_url)]
    changed = [f"alter role {part.username} password '{part.password}'" for part in parts]
    administer(cluster.admin_url, "; ".join(["set scram_iterations = 1", *changed]))


def end_cluster(cluster: Cluster, directory: Path) -> None:
    cluster.stop("immediate")
    shutil.rmtree(directory)


@cache
def made_server() -> Path:
    """Return the directory of a stopped, migrated server, made once for this process.

    Whoever needs a server of its own, and not to see one made, begins with a copy (`begin_as_copy`), which takes a
    fiftieth of the time.
    """
    cluster, directory = start_cluster(in_memory=True)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with ThreadPoolExecutor(1) as aside:  # whoever asks may be inside a loop
        migrating = migrations.migrate(cluster.admin_url, login="bursar_app", hooks=[ensure_partitions])
        aside.submit(asyncio.run, migrating).result()
    cluster.stop()
    memory = directory / "postgres.json"
    known = json.loads(memory.read_text())
    # A copy is to use its own files, on a port of its own.
    memory.write_text(json.dumps({name: value for name, value in known.items() if name not in ("place", "port")}))
    return directory


def begin_as_copy(directory: Path) -> None:
    """Put a copy of the server that was made once where there is none yet. Its files keep their owner."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711)
    subprocess.run(["cp", "-a", f"{made_server()}/.", directory], check=True)


def url_of(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def administer(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url_of(url, "postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@contextmanager
def fresh_database(cluster: dict[str, str]) -> Iterator[dict[str, str]]:
    """Make a migrated database; its addresses are those of the cluster, with its name."""
    name = f"test_{os.getpid()}_{secrets.token_hex(4)}"
    administer(cluster["admin"], f"create database {name} template {TEMPLATE} strategy file_copy")
    yield {role: url_of(url, name) for role, url in cluster.items()}
    administer(cluster["admin"], f"drop database {name} with (force)")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url, size=10)
    with keeping_sessions(database):
        yield database
    await database.close()
