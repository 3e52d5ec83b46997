"""The parent of all processes of `bursar up`: starts them, starts again those that die, stops them in order.

Invariants:
- the API's listening socket belongs to the supervisor, so callers wait during a restart instead of being refused;
- every child ends when the supervisor dies, even by SIGKILL, and the next `up` begins cleanly;
- a child that exists and does not work is ended, a worker after six seconds of silence and the API after some eleven,
  and started again like one that died;
- the database stops last, after everybody who writes to it.
"""

import asyncio
import os
import socket
import time
from contextlib import ExitStack
from typing import Any, Final

from bursar.cli.backup_store import begin as begin_backups
from bursar.cli.backup_store import server_options
from bursar.cli.children import Child, end_all, end_leftovers
from bursar.cli.commands import COMMANDS
from bursar.cli.connection import ADDRESSES, cluster_of, of_cluster, of_external
from bursar.cli.listening import answer_of, base_url, listen
from bursar.cli.liveness import Caller
from bursar.cli.options import answer, tell
from bursar.cli.signals import Stop
from bursar.kernel import migrations
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.files import read_json, write_private_json
from bursar.kernel.postgres import Cluster
from bursar.kernel.settings import Settings
from bursar.money.intake.partitions import ensure_partitions
from bursar.money.trail.sealing import continue_numbering

_READY_WAIT_S = 90
_TICK_S = 0.2
_EARLY_DEATHS_MAX = 3
_PORT_MAX = 65_535
_FORGET_FIRST_S = 300.0
_FORGET_EVERY_S = 86_400.0
_FIRST = ("API", "backups")
"""What starts before all others: what callers wait for, and what commits may wait for."""

PROCESSES: Final = {
    "API": ("serve",),
    "worker": ("worker",),
    "sandbox": ("sandbox", "serve"),
    "backups": ("backup", "run"),
    "alerts": ("alerts", "watch"),
    "retention": ("retention", "--apply"),
    "demo": ("demo",),
}
"""Every process that `up` runs, with its command. Who runs them apart needs the same ones: deploy/ is held against this by its test."""

REHEARSING: Final = frozenset({"sandbox", "demo"})
"""Those that there are not in production."""


class NotReady(Unavailable):
    """The API did not become ready."""

    code = "not_ready"


class Supervisor:
    """One run of `bursar up`."""

    def __init__(self, settings: Settings, *, port_is_fixed: bool, demo: bool, as_json: bool) -> None:
        self._settings = settings
        self._port_is_fixed = port_is_fixed
        self._demo = demo
        self._as_json = as_json
        self._cluster: Cluster | None = None
        self._children: list[Child] = []
        self._sandbox: socket.socket | None = None
        self._stop = Stop()
        self._forgetting = _child("retention", once=True, quiet=True, needed=False)
        self._forget_at = time.monotonic() + _FORGET_FIRST_S

    def run(self) -> None:
        """Run until somebody asks to stop. Raises what keeps it from starting."""
        with ExitStack() as stack:
            stack.enter_context(self._stop.listening())
            stack.callback((self._settings.data / ADDRESSES).unlink, missing_ok=True)
            end_leftovers(read_json(self._settings.data / "processes.json") or {})
            self._socket = stack.enter_context(
                listen(self._settings.host, self._settings.port, fixed=self._port_is_fixed)
            )
            self._url = base_url(self._settings.host, self._socket.getsockname()[1])
            self._listen_for_sandbox(stack)
            self._open_database(stack)
            if not self._stop.is_asked:
                self._start_children(stack)
                self._wait_until_ready()
            if not self._stop.is_asked:
                self._start(is_first=False)
                self._announce()
            while not self._stop.wait(_TICK_S):
                self._keep_running()
            tell("stopping")

    def _listen_for_sandbox(self, stack: ExitStack) -> None:
        """Open the sandbox's port, next to the API's; there is no sandbox in production."""
        if not self._settings.production:
            port = self._socket.getsockname()[1]
            beside = port + 1 if port < _PORT_MAX else port - 1
            self._sandbox = stack.enter_context(listen(self._settings.host, beside, fixed=False, quiet=True))

    def _open_database(self, stack: ExitStack) -> None:
        if self._settings.database_url:
            self._settings = of_external(self._settings)
        else:
            self._cluster = cluster_of(self._settings, server_options(self._settings))
            stack.callback(self._close_database)
            self._cluster.start()
            if self._cluster.is_elsewhere:
                tell(
                    f"PostgreSQL's files are in {self._cluster.data}: "
                    f"the user it runs as cannot reach {self._settings.data}"
                )
            self._settings = of_cluster(self._settings, self._cluster)
        if not self._stop.is_asked:
            asyncio.run(migrate(_unwaiting(self._settings)))
        if not self._stop.is_asked and (self._cluster or self._settings.backup_store):
            begin_backups(self._settings)

    def _close_database(self) -> None:
        assert self._cluster is not None
        self._cluster.stop("fast")

    def _start_children(self, stack: ExitStack) -> None:
        fd = self._socket.fileno()
        self._children = [
            _child("API", "--fd", str(fd), pass_fds=(fd,)),
            *(_child("worker", number=n + 1, beats=True) for n in range(self._settings.workers)),
        ]
        if self._sandbox:
            fd = self._sandbox.fileno()
            self._children.append(_child("sandbox", "--fd", str(fd), pass_fds=(fd,)))
        if self._settings.backup_store:
            self._children.append(_child("backups", needed=False))
        if self._settings.alert_urls:
            self._children.append(_child("alerts", needed=False))
        stack.callback(self._end_children)
        self._caller = Caller(f"{self._url}/health/live")
        stack.callback(self._caller.close)
        self._start(is_first=True)
        # It has its time, which is not now.
        self._children.append(self._forgetting)
        self._caller.start()
        self._write_down()

    def _start(self, *, is_first: bool) -> None:
        """Start the children that are needed before there is an API, or the others: each takes seconds of a processor to load."""
        for child in self._children:
            if (child.name in _FIRST) is is_first and child is not self._forgetting:
                child.start(self._environment())

    def _end_children(self) -> None:
        """End who writes before who receives the log: commits may wait for it."""
        for is_last in (False, True):
            group = [child for child in self._children if (child.name == "backups") is is_last]
            end_all(group, hurry=lambda: self._stop.is_urgent)

    def _environment(self) -> dict[str, str]:
        """What children get: the addresses and the key, which would otherwise be found out again by each."""
        settings = self._settings
        return {
            **os.environ,
            "BURSAR_DATA": str(settings.data),
            "BURSAR_DATABASE_URL": settings.database_url,
            "BURSAR_DATABASE_DIRECT_URL": settings.database_direct_url,
            "BURSAR_DATABASE_ADMIN_URL": settings.database_admin_url,
            "BURSAR_HOST": settings.host,
            "BURSAR_PORT": str(self._socket.getsockname()[1]),
            "BURSAR_PUBLIC_URL": settings.public_url or self._url,
            "BURSAR_SECRET_KEY": settings.secret_key,
            "BURSAR_SUPERVISOR": str(os.getpid()),
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_WAIT_S
        while not self._stop.wait(0.05):
            status, said = answer_of(f"{self._url}/health/ready")
            if status == 200:  # noqa: PLR2004 - the contract's own number
                self._caller.hear()
                return
            self._keep_running()
            broken = next(
                (child for child in self._children if child.needed and child.early_deaths >= _EARLY_DEATHS_MAX), None
            )
            if broken:
                raise NotReady(f"the {broken.name} process ends as soon as it starts", hint="The lines above say why.")
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{self._url}/health/ready answers {status or 'nothing'} after {_READY_WAIT_S} s: {said}"
                )

    def _announce(self) -> None:
        self._write_down()
        facts = self._facts()
        write_private_json(self._settings.data / ADDRESSES, facts)
        answer(facts, f"Bursar is ready: {self._url}/", as_json=self._as_json)
        if self._demo and "demo" in COMMANDS and not self._settings.production:
            demo = _child("demo", *(["--json"] if self._as_json else []), once=True)
            self._children.append(demo)
            demo.start(self._environment())

    def _facts(self) -> dict[str, object]:
        settings = self._settings
        return {
            "url": self._url,
            "pid": os.getpid(),
            "database_url": settings.database_url,
            "admin_url": settings.database_admin_url,
            "api_pid": self._children[0].pid,
            "sandbox_url": self._sandbox_url(),
            "sandbox_pid": next((child.pid for child in self._children if child.name == "sandbox"), None),
            "worker_pids": [child.pid for child in self._children if child.name.startswith("worker")],
            "backups_pid": next((child.pid for child in self._children if child.name == "backups"), None),
            "postgres_pid": self._cluster.pid if self._cluster else None,
        }

    def _sandbox_url(self) -> str | None:
        return base_url(self._settings.host, self._sandbox.getsockname()[1]) if self._sandbox else None

    def _keep_running(self) -> None:
        """Start again whatever has died since the last look, or does not work any more."""
        if self._cluster and not self._cluster.is_running:
            tell("PostgreSQL ended; starting it again")
            self._revive(self._cluster)
        api = self._children[0]
        if api.is_running and self._caller.is_lost():
            api.end_hung()
        for child in self._children:
            child.end_if_silent()
        if time.monotonic() >= self._forget_at and not self._forgetting.is_running:
            self._forget_at = time.monotonic() + _FORGET_EVERY_S
            self._forgetting.start(self._environment())
        restarted = [child.revive(self._environment()) for child in self._children]
        if restarted[0]:
            self._caller.begin_anew()
        if any(restarted):
            self._write_down()

    def _revive(self, cluster: Cluster) -> None:
        try:
            cluster.start()
        except DomainError as failure:
            tell(f"{failure.message}; trying again")
            self._stop.wait(1)
            return
        before, self._settings = self._settings.database_url, of_cluster(self._settings, cluster)
        if before != self._settings.database_url:
            # Somebody took the port meanwhile. The children know only the old address.
            end_all([child for child in self._children if not child.once], hurry=lambda: True)
        self._write_down()

    def _write_down(self) -> None:
        """Keep who belongs to us, for the `up` after a crash, and for commands that ask for the addresses."""
        mine = [child.pid for child in self._children if child.pid]
        write_private_json(self._settings.data / "processes.json", {"pids": mine})
        if (self._settings.data / ADDRESSES).exists():
            write_private_json(self._settings.data / ADDRESSES, self._facts())


def _child(kind: str, *options: str, number: int | None = None, **manner: Any) -> Child:
    """Return a process of PROCESSES. number: which one of several. manner: as `Child` is told."""
    return Child(kind if number is None else f"{kind} {number}", (*PROCESSES[kind], *options), **manner)


def _unwaiting(settings: Settings) -> Settings:
    """Return settings for what is done before the log is received: its commits wait for nobody."""
    if not settings.backup_synchronous:
        return settings
    url = settings.database_admin_url
    return settings.model_copy(
        update={"database_admin_url": f"{url}{'&' if '?' in url else '?'}synchronous_commit=local"}
    )


async def migrate(settings: Settings) -> migrations.Migrated:
    """Bring a database to this version's schema and let its login role work there."""
    login = await migrations.login_of(settings.database_url)
    return await migrations.migrate(
        settings.database_admin_url, login=login, hooks=[ensure_partitions, continue_numbering]
    )
