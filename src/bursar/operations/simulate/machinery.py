"""The installation under attack: a PostgreSQL server, an API process and workers, each started again when it dies."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg

from bursar.kernel import migrations
from bursar.kernel.errors import Unavailable
from bursar.kernel.postgres import Cluster
from bursar.kernel.processes import following, send

_READY_S = 60.0
_TICK_S = 0.05
_BACKLOG = 2048
_LOG_TAIL = 2000

Done = TypeVar("Done")

_TERMINATE = """
select count(pg_terminate_backend(pid)) from (
  select pid from pg_stat_activity where application_name like 'bursar%' and pid <> pg_backend_pid()
  order by hashtext(pid::text || $1) limit $2
) as some
"""


class NotStarted(Unavailable):
    """The installation under test does not become ready."""

    code = "simulation_not_started"


@dataclass(frozen=True, slots=True)
class Commands:
    """What is run: arguments after the interpreter. serve: `{fd}` stands for the listening socket."""

    serve: Sequence[str] = ("-m", "bursar", "serve", "--fd", "{fd}")
    work: Sequence[str] = ("-m", "bursar", "worker")


class _Process:
    """One process and its next lives."""

    def __init__(self, arguments: Sequence[str], log: Path, *, pass_fds: Sequence[int] = ()) -> None:
        self._arguments = arguments
        self._log = log
        self._pass_fds = pass_fds
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self, environment: dict[str, str]) -> None:
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=self._pass_fds,
                start_new_session=True,
                preexec_fn=following(signal.SIGKILL),  # noqa: PLW1509 - we have no other threads that lock
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self._process and self.is_running:
            send(self._process.pid, number)

    def end(self) -> None:
        if self._process and self.is_running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self._process.wait()


class Machinery:
    """Everything that runs. Used from one event loop."""

    def __init__(
        self, directory: Path, *, commands: Commands, workers: int, secret_key: str, database: dict[str, str]
    ) -> None:
        self.directory = directory
        self.cluster = Cluster(directory / "data", options=database)
        self._secret_key = secret_key
        # The kernel stops the server when the thread that started it ends, so that thread must last.
        self._thread = ThreadPoolExecutor(1)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        fd = str(self._socket.fileno())
        serve = [part.format(fd=fd) for part in commands.serve]
        self.api = _Process(serve, directory / "api.log", pass_fds=(self._socket.fileno(),))
        self.workers = [_Process(commands.work, directory / f"worker-{n + 1}.log") for n in range(workers)]
        self._is_ending = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def processes(self) -> list[_Process]:
        return [self.api, *self.workers]

    @property
    def restarts(self) -> int:
        return sum(max(0, process.starts - 1) for process in self.processes)

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[None]:
        """Start the server, its schema made, and end it with everything else when the block is over."""
        try:
            await self._in_thread(self.cluster.start)
            login = await migrations.login_of(self.cluster.app_url)
            await migrations.migrate(self.cluster.admin_url, login=login)
            yield
        finally:
            await self._in_thread(lambda: self.cluster.stop("immediate"))
            self._thread.shutdown()
            self._socket.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start API and workers, keep them alive while the block runs, and end them. Raises what keeps them from starting."""
        keeper = asyncio.create_task(self._keep_alive())
        try:
            await self._until_ready()
            yield
        finally:
            self._is_ending = True
            keeper.cancel()
            for process in self.processes:
                await self._in_thread(process.end)

    def revive(self) -> None:
        """Start whatever does not run."""
        for process in self.processes:
            if not process.is_running and not self._is_ending:
                process.start(self._environment())

    async def restart_database(self) -> None:
        """Crash the server and start it again; those who know only an old address are started again too."""
        before = self.cluster.app_url
        await self._in_thread(lambda: self.cluster.stop("immediate"))
        await self._in_thread(self.cluster.start)
        if self.cluster.app_url != before:
            for process in self.processes:
                process.signal(signal.SIGKILL)

    async def terminate_backends(self, *, share: float) -> None:
        """Cut off some of the sessions."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            connection = await asyncpg.connect(self.cluster.admin_url, timeout=5)
            try:
                await connection.fetchval(_TERMINATE, str(share), 1 + int(share * 6))
            finally:
                await connection.close()

    async def checkpoint(self) -> None:
        connection = await asyncpg.connect(self.cluster.admin_url, timeout=5)
        try:
            await connection.execute("checkpoint")
        finally:
            await connection.close()

    def said(self) -> str:
        """Return the end of every log, for whoever wants to know why."""
        logs = [*sorted(self.directory.glob("*.log")), self.cluster.log]
        return "\n".join(f"--- {log.name}\n{_tail(log)}" for log in logs if log.exists())

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while not await self._in_thread(lambda: _is_ready(self.url)):
            if time.monotonic() > deadline:
                raise NotStarted(f"not ready after {_READY_S:g} s\n{self.said()}")
            await asyncio.sleep(_TICK_S)

    async def _keep_alive(self) -> None:
        while True:
            self.revive()
            await asyncio.sleep(_TICK_S)

    async def _in_thread(self, work: Callable[[], Done]) -> Done:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        return inherited | {
            "BURSAR_DATA": str(self.directory / "data"),
            "BURSAR_DATABASE_URL": self.cluster.app_url,
            "BURSAR_DATABASE_DIRECT_URL": self.cluster.app_url,
            "BURSAR_DATABASE_ADMIN_URL": self.cluster.admin_url,
            "BURSAR_PUBLIC_URL": self.url,
            "BURSAR_SECRET_KEY": self._secret_key,
            "BURSAR_SUPERVISOR": str(os.getpid()),
        }


def _is_ready(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.settimeout(2)
        connection.sendall(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return connection.recv(64).startswith(b"HTTP/1.1 200")
    return False


def _tail(log: Path) -> str:
    return log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
