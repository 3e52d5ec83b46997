"""One real PostgreSQL for the whole run, one database of its own for every test that asks for one.

The server is started by the process that runs or distributes the tests, without fsync; a database migrated once is
the template from which each test's database is copied in some 30 ms.
"""

import asyncio
import gc
import json
import logging
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from bursar.cli.running import run
from bursar.kernel import migrations
from bursar.kernel.db import Database
from bursar.kernel.identity import passwords
from bursar.kernel.postgres import Cluster
from bursar.money.intake.partitions import ensure_partitions
from databases import (
    TEMPLATE,
    administer,
    check_passwords_fast,
    end_cluster,
    fresh_database,
    opened,
    start_cluster,
    url_of,
)

gc.disable()  # until the tests are loaded: what is loaded stays
# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

_started: list[tuple[Cluster, Path]] = []

_AS_INSTALLED = passwords._HASHER
# What makes a password costly to guess would take a quarter of the time of every test in which somebody signs in.
passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # type: ignore[misc]


LONG = {
    "test_benchmarks.py",
    "test_client.py",
    "test_description.py",
    "test_docs.py",
    "test_exactly_once.py",
    "test_rehearsal.py",
    "test_restoring.py",
    "test_simulation.py",
    "test_synchronous.py",
    "test_up.py",
}
"""Files with tests of twenty seconds and more. They go first: at the end one of them would keep a single core busy."""


def _goes_out(record: logging.LogRecord) -> bool:
    """A test's own request to the application needs no line; each is written for pytest twice, and takes a tenth of the request's time."""
    return all(getattr(told, "host", "") != "bursar.test" for told in record.args or ())


logging.getLogger("httpx2").addFilter(_goes_out)


def _shared() -> dict[str, str]:
    """Start the run's server and make its template."""
    if not _started:
        _started.append(start_cluster(in_memory=True, max_wal_size="256MB", min_wal_size="64MB"))
        check_passwords_fast(_started[0][0])
        _make_template(_started[0][0])
    cluster = _started[0][0]
    return {"admin": cluster.admin_url, "app": cluster.app_url}


def _make_template(cluster: Cluster) -> None:
    administer(cluster.admin_url, f"create database {TEMPLATE}")
    asyncio.run(migrations.migrate(url_of(cluster.admin_url, TEMPLATE), login="bursar_app", hooks=[ensure_partitions]))
    administer(cluster.admin_url, f"alter database {TEMPLATE} with is_template true allow_connections false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long. Without a browser its tests are skipped, and say so."""
    items.sort(key=lambda item: item.path.name not in LONG)
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="there is no Chromium on this machine"))


def pytest_collection_finish() -> None:
    """What is loaded stays: the collector need not look at 400,000 objects again and again, a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tell each worker of pytest-xdist where the one server is. It is the distributor's child and ends with it."""
    node.workerinput["bursar_cluster"] = _shared()


def pytest_unconfigure(config: pytest.Config) -> None:
    while _started:
        end_cluster(*_started.pop())


@pytest.fixture
def costly_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords at the cost that an installation pays."""
    monkeypatch.setattr(passwords, "_HASHER", _AS_INSTALLED)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> dict[str, str]:
    """Addresses of the shared server: `admin` (superuser) and `app` (bursar_app), both of a database nobody uses."""
    given = getattr(request.config, "workerinput", {}).get("bursar_cluster")
    return given or _shared()


@pytest.fixture
def admin_url(cluster: dict[str, str]) -> Iterator[str]:
    """The superuser's address of a fresh, migrated database of this test alone."""
    with fresh_database(cluster) as database:
        yield database["admin"]


@pytest.fixture(scope="module")
def shared_database_url(cluster: dict[str, str]) -> Iterator[str]:
    """bursar_app's address of a fresh, migrated database for all tests of a file."""
    with fresh_database(cluster) as database:
        yield database["app"]


@pytest.fixture
def database_url(cluster: dict[str, str], admin_url: str) -> str:
    """The address of the same database as API and workers use it: role bursar_app."""
    return url_of(cluster["app"], urlsplit(admin_url).path.removeprefix("/"))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """The same database, opened."""
    async with opened(database_url) as database:
        yield database


@pytest.fixture
def empty_url(cluster: dict[str, str]) -> Iterator[str]:
    """The superuser's address of a database without any schema."""
    name = f"empty_{os.getpid()}_{secrets.token_hex(4)}"
    administer(cluster["admin"], f"create database {name}")
    yield url_of(cluster["admin"], name)
    administer(cluster["admin"], f"drop database {name} with (force)")


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server of this test alone, which it may kill."""
    cluster, directory = start_cluster()
    yield cluster
    end_cluster(cluster, directory)


@pytest.fixture
def durable_cluster() -> Iterator[Cluster]:
    """A server of this test alone that keeps what it acknowledged, as a real installation's does."""
    cluster, directory = start_cluster(durable=True)
    yield cluster
    end_cluster(cluster, directory)


@pytest.fixture
def bursar(database_url, admin_url, monkeypatch, capsys):
    """Run a command against the test's database; return its exit code and what it said as JSON."""
    monkeypatch.setenv("BURSAR_DATABASE_URL", database_url)
    monkeypatch.setenv("BURSAR_DATABASE_ADMIN_URL", admin_url)
    monkeypatch.setenv("BURSAR_SECRET_KEY", "A" * 43)

    def running(*arguments: str) -> tuple[int, dict]:
        code = 0
        capsys.readouterr()
        with suppress(SystemExit):
            try:
                run(arguments[0], [*arguments, "--json"])
            except SystemExit as left:
                code = int(left.code or 0)
                raise
        return code, json.loads(capsys.readouterr().out)

    return running
