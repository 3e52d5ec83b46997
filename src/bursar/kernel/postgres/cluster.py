"""The server: made, started after any kind of death, stopped."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from bursar.kernel import processes
from bursar.kernel.errors import Conflict, Unavailable
from bursar.kernel.files import lock, sync_directory
from bursar.kernel.postgres.account import account_for
from bursar.kernel.postgres.binaries import Binaries, examine, readable_environment, wheel_bin
from bursar.kernel.postgres.options import ACCESS, INITDB, options_for
from bursar.kernel.postgres.place import place_for, reachable_bin
from bursar.kernel.postgres.ports import free_port, is_free
from bursar.kernel.postgres.state import APP_ROLE, DATABASE, SUPERUSER, Memory

Mode = Literal["smart", "fast", "immediate"]

_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_LOG_BYTES_MAX = 16 * 1024 * 1024
_ATTEMPTS_MAX = 20
_IN_USE = "pre-existing shared memory block"


class ServerFailed(Unavailable):
    """PostgreSQL did not start, or did not stop. The message ends with what its log says."""

    code = "postgres_failed"


class DataMissing(Unavailable):
    """The instance was initialised, but its database files are gone."""

    code = "postgres_data_missing"


class VersionDiffers(Conflict):
    """The data was written by another major version of PostgreSQL than the programs at hand."""

    code = "postgres_version_differs"


class Cluster:
    """One PostgreSQL server whose files lie in (or are remembered by) `directory`.

    bin_dir: PostgreSQL's programs; None means those of the released wheel.
    durable: False turns fsync off, for tests only.
    options: server settings on top of ours, for instance {"shared_buffers": "1GB"}.
    follow: the server stops when the process that started it dies. Start it from the main thread then.
    """

    def __init__(
        self,
        directory: Path,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> None:
        self.directory = directory.absolute()
        self._bin_dir = bin_dir
        self._options = options_for(durable=durable, extra=options or {})
        self._durable = durable
        self._follow = follow
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        """The address of the database `bursar` for its superuser."""
        return self.url(SUPERUSER)

    @property
    def app_url(self) -> str:
        """The address of the database `bursar` for the role that owns nothing."""
        return self.url(APP_ROLE)

    @property
    def data(self) -> Path:
        """PostgreSQL's own directory (PGDATA)."""
        return Path(self._memory.state.place or self.directory) / "postgres"

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The postmaster that this object started, if it runs."""
        return self._server.pid if self._server and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the server that this object started still runs."""
        return self._server is not None and self._server.poll() is None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the data could not lie in `directory`, because the server's user cannot get there."""
        return self.data.parent != self.directory

    def url(self, role: str, database: str = DATABASE) -> str:
        """Return an address of this server for SUPERUSER or APP_ROLE."""
        return self._memory.state.url(role, database)

    def start(self, *, timeout_s: float = 300) -> None:
        """Make the cluster if there is none, and start it. Return when it answers.

        A server left over from a process that was killed is stopped first: its options may be old, and nobody
        would notice its end. Raises: ServerFailed, VersionDiffers, DataMissing, BinariesMissing, NoPlace, NoAccount.
        """
        if self.is_running:
            return
        self._server = None
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            self.directory.chmod(0o711)
        with lock(self.directory / "postgres.lock", holder="a starting server", timeout_s=60):
            self._choose()
            self._clear_leftovers()
            if not self.data.exists():
                self._initialise()
            self._refuse_other_version()
            self._launch(timeout_s)

    def stop(self, mode: Mode = "fast", *, timeout_s: float = 60) -> None:
        """Stop the server. fast: break off sessions, write everything. immediate: like a crash, recovered at start."""
        if self._server is None:
            return
        _end(self._server.pid, mode, lambda: self._server is None or self._server.poll() is not None, timeout_s)
        self._server = None

    @property
    def _memory(self) -> Memory:
        return Memory(self.directory / "postgres.json")

    def _choose(self) -> None:
        """Settle who runs the server, where its files lie and which programs are used."""
        memory = self._memory
        first = self.data if memory.state.place or self.data.exists() else None
        self._account = account_for(first)
        if not memory.state.place:
            memory.keep(place=str(place_for(self.directory, self._account)))
        bin_dir = reachable_bin(self._bin_dir or wheel_bin(), self.data.parent, self._account)
        self._binaries: Binaries = examine(bin_dir, self._account)

    def _clear_leftovers(self) -> None:
        """Stop what a killed owner left running, and remove a lock file whose process number means another by now."""
        postmaster = _postmaster_of(self.data)
        if _serves(postmaster, self.data):
            _end(postmaster, "fast", lambda: not processes.is_alive(postmaster), 60)
        _wait_until(lambda: not processes.working_in(self.data, program="postgres"), 2)
        for orphan in processes.working_in(self.data, program="postgres"):
            processes.send(orphan, signal.SIGKILL)
        if postmaster and processes.is_alive(postmaster):
            # The number is somebody else's by now. PostgreSQL would take it for a server and refuse to start; that
            # none runs it finds out by itself too, from the shared memory that a server's processes keep in use.
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _refuse_other_version(self) -> None:
        made_by = int((self.data / "PG_VERSION").read_text(encoding="ascii").strip())
        if made_by != self._binaries.major:
            raise VersionDiffers(
                f"{self.data} was made by PostgreSQL {made_by}, the programs are {self._binaries.version}",
                hint=f"Set BURSAR_POSTGRES_BIN to the programs of PostgreSQL {made_by}, or move the data with pg_dump.",
            )

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole, so that a crash leaves none rather than half."""
        memory = self._memory
        if memory.state.initialised:
            raise DataMissing(
                f"{self.data} is gone, though this instance had data there",
                hint=f"Restore it, or remove {self.directory} to begin anew.",
            )
        waiting = self.data.with_name("postgres.new")
        shutil.rmtree(waiting, ignore_errors=True)
        waiting.mkdir(mode=0o700)
        self._account.own(waiting)
        self._initdb(waiting, memory.state.superuser_password)
        (waiting / "pg_hba.conf").write_text(ACCESS, encoding="ascii")
        statements = (
            f"create role {APP_ROLE} login noinherit password '{memory.state.app_password}'\n"
            f"create database {DATABASE}\n"
        )
        self._run(
            "postgres", "--single", "-D", str(waiting), "-c", f"fsync={_on(self._durable)}", "postgres", text=statements
        )
        waiting.rename(self.data)
        sync_directory(self.data.parent)
        memory.keep(initialised=True)

    def _initdb(self, waiting: Path, password: str) -> None:
        with tempfile.NamedTemporaryFile("w", dir=waiting.parent, prefix=".initdb-") as file:
            file.write(password)
            file.flush()
            self._account.own(Path(file.name))
            safety = () if self._durable else ("--no-sync",)
            self._run("initdb", "-D", str(waiting), "-U", SUPERUSER, f"--pwfile={file.name}", *INITDB, *safety)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        answer = subprocess.run(  # noqa: S603 - PostgreSQL's programs, our arguments
            [self._binaries.program(program), *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd="/",
            env=readable_environment(),
            # Ctrl-C reaches whoever called us, who decides; these would break off and complain.
            start_new_session=True,
            **self._account.identity,
        )
        failed = answer.returncode != 0 or "ERROR:" in answer.stderr or "FATAL:" in answer.stderr
        if failed:
            raise ServerFailed(f"{program} failed: {(answer.stderr or answer.stdout).strip()[-600:]}")

    def _launch(self, timeout_s: float) -> None:
        """Start the server on the port it had, or on another one if somebody took it."""
        said = ""
        for _ in range(_ATTEMPTS_MAX):
            memory = self._memory
            if not memory.state.port or not is_free(memory.state.port):
                memory.keep(port=free_port())
            written = self._spawn(memory.state.port)
            if self._answers(timeout_s):
                return
            self.stop("immediate", timeout_s=10)
            said = self._said_since(written)
            if _IN_USE in said:
                time.sleep(0.5)  # sessions of a killed server are about to notice that it is gone
            elif "could not bind" not in said and "could not create any TCP/IP sockets" not in said:
                break
        raise ServerFailed(f"PostgreSQL does not start; {self.log} says: {said[-800:]}")

    def _spawn(self, port: int) -> int:
        """Start the process. Return how long the log was before."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            written = log.tell()
            self._server = subprocess.Popen(  # noqa: S603 - PostgreSQL's program, our arguments
                [self._binaries.program("postgres"), "-D", str(self.data), "-p", str(port), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=readable_environment(),
                start_new_session=True,
                preexec_fn=processes.following(signal.SIGINT) if self._follow else None,  # noqa: PLW1509
                **self._account.identity,
            )
        return written

    def _answers(self, timeout_s: float) -> bool:
        """Wait until the server says in its lock file that it is ready; False when it ended or took too long."""
        assert self._server is not None
        server = self._server
        _wait_until(lambda: server.poll() is not None or _is_ready(self.data, server.pid), timeout_s)
        return server.poll() is None and _is_ready(self.data, server.pid)

    def _said_since(self, written: int) -> str:
        with self.log.open("rb") as log:
            log.seek(written)
            return log.read(64_000).decode(errors="replace").strip()


def _postmaster_of(data: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    return 0


def _serves(pid: int, data: Path) -> bool:
    """Return whether this process is a server of ours on this directory."""
    command = processes.command_of(pid) if pid else []
    return command[1:3] == ["-D", str(data)] and command[0].endswith("/postgres")


def _is_ready(data: Path, pid: int) -> bool:
    """Read the eighth line of postmaster.pid, which is what pg_ctl waits for."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004


def _end(pid: int, mode: Mode, is_over: Callable[[], bool], timeout_s: float) -> None:
    processes.send(pid, _SIGNALS[mode])
    if _wait_until(is_over, timeout_s):
        return
    processes.send(pid, signal.SIGQUIT)
    if _wait_until(is_over, 10):
        return
    raise ServerFailed(f"PostgreSQL (process {pid}) does not stop")


def _wait_until(is_true: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _on(value: bool) -> str:  # noqa: FBT001 - it is the value
    return "on" if value else "off"
