"""A cluster made of restored files: recovered to a point, given new passwords, and only then put in its place."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote

from bursar.kernel import processes
from bursar.kernel.errors import Conflict
from bursar.kernel.files import lock, sync_directory
from bursar.kernel.postgres.account import account_for
from bursar.kernel.postgres.binaries import examine, readable_environment, wheel_bin
from bursar.kernel.postgres.cluster import ServerFailed, VersionDiffers
from bursar.kernel.postgres.options import options_for
from bursar.kernel.postgres.place import place_for, reachable_bin
from bursar.kernel.postgres.state import APP_ROLE, DATABASE, SUPERUSER, Memory

_READY_LINE = 8
_SOCKETS = "restore.sockets"


class DirectoryTaken(Conflict):
    """There is something in the directory that shall be restored into."""

    code = "directory_taken"


class Recovery:
    """One restore into an empty directory. `files` is where the data directory's files go before `recover`."""

    def __init__(self, directory: Path, *, bin_dir: Path | None = None) -> None:
        self.directory = directory.absolute()
        self._bin_dir = bin_dir
        self._server: subprocess.Popen[bytes] | None = None
        self._mine = ExitStack()
        self._has_begun = False

    def refuse_taken(self) -> None:
        """Raises DirectoryTaken unless the directory is absent or empty."""
        if self.directory.exists() and (not self.directory.is_dir() or any(self.directory.iterdir())):
            raise DirectoryTaken(f"{self.directory} is not empty", hint="Restore into a new directory.")

    def begin(self) -> Path:
        """Make the directory. Return where the files shall be put."""
        self.refuse_taken()
        self.directory.mkdir(parents=True, exist_ok=True)
        # Whoever starts a server here meanwhile waits, instead of making an empty cluster.
        self._mine.enter_context(lock(self.directory / "postgres.lock", holder="a restore"))
        self._has_begun = True
        self.directory.chmod(0o711)
        self._account = account_for(None)
        self._memory = Memory(self.directory / "postgres.json")
        place = place_for(self.directory, self._account)
        self._memory.keep(place=str(place))
        self._binaries = examine(reachable_bin(self._bin_dir or wheel_bin(), place, self._account), self._account)
        self.data = place / "postgres"
        self.files = place / "postgres.new"
        self.files.mkdir(mode=0o700)
        return self.files

    def recover(
        self, settings: Mapping[str, str], look: Callable[[str], None], *, timeout_s: float, said: Callable[[str], None]
    ) -> None:
        """Replay the log up to a point and promote; let `look` judge the database; give it new passwords; put it in its place.

        settings: recovery_target… look: gets the superuser's address; what it raises leaves the directory without data.
        Raises: ServerFailed with what the server says, VersionDiffers.
        """
        self._refuse_other_version()
        (self.files / "recovery.signal").touch(mode=0o600)
        for path in (self.files, *self.files.rglob("*")):
            self._account.own(path)
        with tempfile.TemporaryDirectory(prefix="bursar-pg-", dir="/tmp") as sockets:
            private = Path(sockets)
            (self.directory / _SOCKETS).write_text(sockets, encoding="utf-8")
            private.chmod(0o700)
            self._account.own(private)
            access = private / "access"
            access.write_text("local all all trust\nlocal replication all trust\n", encoding="ascii")
            self._account.own(access)
            self._start(private, access, settings)
            try:
                self._wait(timeout_s, said)
                look(f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(sockets, safe='')}")
            finally:
                self._stop()
        (self.directory / _SOCKETS).unlink()
        self.files.rename(self.data)
        sync_directory(self.data.parent)
        self._memory.keep(initialised=True)
        self._mine.close()

    @property
    def statements(self) -> list[str]:
        """What gives the roles the passwords that this directory remembers: those of before are not known here.

        On a server of somebody else's the application had a login of its own, and its role none.
        """
        state = self._memory.state
        return [
            f"alter role {SUPERUSER} password '{state.superuser_password}'",
            f"alter role {APP_ROLE} login password '{state.app_password}'",
        ]

    def undo(self) -> None:
        """Remove what a restore that failed has written, and leave the directory empty; never what others have put there."""
        self._stop()
        if not self._has_begun:
            return
        if hasattr(self, "files"):
            shutil.rmtree(self.files, ignore_errors=True)
            if self.files.parent != self.directory:
                shutil.rmtree(self.files.parent, ignore_errors=True)
        for path in list(self.directory.iterdir()) if self.directory.is_dir() else []:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        self._mine.close()

    @classmethod
    def clear(cls, directory: Path) -> bool:
        """Remove a directory that a restore made for itself alone, with all that lies elsewhere and still runs there.

        For what a killed process left as well. Return whether there was anything.
        """
        directory = directory.absolute()
        if not directory.exists():
            return False
        places = {directory, Path(Memory(directory / "postgres.json").state.place or directory)}
        for place in places:
            for files in (place / "postgres.new", place / "postgres"):
                for server in processes.working_in(files, program="postgres"):
                    processes.send(server, signal.SIGKILL)
        with suppress(OSError):
            sockets = Path((directory / _SOCKETS).read_text(encoding="utf-8"))
            if sockets.name.startswith("bursar-pg-"):
                shutil.rmtree(sockets, ignore_errors=True)
        for place in places - {directory}:
            shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(directory)
        return True

    def _refuse_other_version(self) -> None:
        made_by = int((self.files / "PG_VERSION").read_text(encoding="ascii").strip())
        if made_by != self._binaries.major:
            raise VersionDiffers(
                f"the backup was made by PostgreSQL {made_by}, the programs are {self._binaries.version}",
                hint=f"Set BURSAR_POSTGRES_BIN to the programs of PostgreSQL {made_by}.",
            )

    def _start(self, sockets: Path, access: Path, settings: Mapping[str, str]) -> None:
        extra = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "hba_file": str(access),
            "restore_command": "false",  # everything that is needed lies in pg_wal
            "recovery_target_action": "promote",
            "hot_standby": "off",
            "summarize_wal": "off",
            **settings,
        }
        with (self.directory / "restore.log").open("wb") as log:
            self._server = subprocess.Popen(  # noqa: S603 - PostgreSQL's program, our arguments
                [self._binaries.program("postgres"), "-D", str(self.files), *options_for(durable=True, extra=extra)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=readable_environment(),
                start_new_session=True,
                preexec_fn=processes.following(signal.SIGINT),  # noqa: PLW1509
                **self._account.identity,
            )

    def _wait(self, timeout_s: float, said: Callable[[str], None]) -> None:
        assert self._server is not None
        deadline = time.monotonic() + timeout_s
        told = time.monotonic()
        while not self._is_ready():
            if self._server.poll() is not None:
                raise ServerFailed(f"the recovery failed: {self._log()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"the recovery was not over after {timeout_s:.0f} s: {self._log()}")
            if time.monotonic() - told > 5:  # noqa: PLR2004 - a sign of life
                told = time.monotonic()
                said(f"replaying: {self._log().splitlines()[-1][-120:]}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            lines = (self.files / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= _READY_LINE and lines[7].strip() == "ready"

    def _log(self) -> str:
        text = (self.directory / "restore.log").read_text(encoding="utf-8", errors="replace")
        grave = [line for line in text.splitlines() if "FATAL:" in line or "PANIC:" in line]
        return "\n".join(grave or text.splitlines()[-3:]) or "it says nothing"

    def _stop(self) -> None:
        if self._server is None or self._server.poll() is not None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(60)
        except subprocess.TimeoutExpired:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(10)
