"""Which database a command works on, and the settings complete with its addresses and the secret key.

With BURSAR_DATABASE_URL: that one. Else the embedded instance under `data`: the running `bursar up` if there is one,
otherwise its server is started for as long as the command lasts.
"""

import base64
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from bursar.kernel.errors import Conflict, Invalid
from bursar.kernel.files import Locked, lock, read_json, write_private
from bursar.kernel.postgres import Cluster
from bursar.kernel.processes import is_alive
from bursar.kernel.settings import Settings

UP = "bursar up"
LOCK = "instance.lock"
ADDRESSES = "bursar.json"

_WAIT_S = 30


class SettingsInvalid(Invalid):
    """The environment or the command line says something that cannot be."""

    code = "settings_invalid"


class InstanceBusy(Conflict):
    """Another command has the embedded server to itself."""

    code = "instance_busy"


def settings_for(data: Path | None = None, **changes: Any) -> Settings:
    """Return the environment's settings, with what the command line says instead. Raises: SettingsInvalid."""
    given = {name: value for name, value in {"data": data, **changes}.items() if value is not None}
    settings = _checked(given)
    return settings.model_copy(update={"data": settings.data.absolute()})


def _checked(given: dict[str, Any]) -> Settings:
    try:
        settings = Settings(**given)
    except ValidationError as error:
        wrong = ", ".join(f"BURSAR_{str(fault['loc'][0]).upper()} ({fault['msg']})" for fault in error.errors())
        raise SettingsInvalid(f"these settings cannot be used: {wrong}", hint="Correct or unset them.") from None
    for name in ("database_url", "database_direct_url", "database_admin_url", "backup_database_url"):
        if (url := getattr(settings, name)) and not _is_address(url):
            raise SettingsInvalid(
                f"BURSAR_{name.upper()} is no address of a PostgreSQL database",
                hint="It looks like postgresql://user:password@host:5432/name.",
            )
    return settings


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        return False
    return parts.scheme in ("postgresql", "postgres") and 0 not in ports


@contextmanager
def instance(data: Path | None = None) -> Iterator[Settings]:
    """Give a command the settings of the instance it works on: addresses, and the secret key.

    Raises: InstanceBusy, and whatever keeps the embedded server from starting.
    """
    settings = settings_for(data)
    if settings.database_url:
        yield of_external(settings)
        return
    with ExitStack() as stack:
        yield _join_or_start(settings, stack)


def is_up(settings: Settings) -> bool:
    """Tell whether a `bursar up` works on the instance now."""
    written = read_json(settings.data / ADDRESSES)
    return bool(written and is_alive(written["pid"]))


def admin_url_if_up(settings: Settings) -> str:
    """Return the superuser's address of the database, where there is one that need not be started; empty otherwise."""
    if settings.database_url:
        return settings.database_admin_url or settings.database_direct_url or settings.database_url
    return str((read_json(settings.data / ADDRESSES) or {})["admin_url"]) if is_up(settings) else ""


def of_external(settings: Settings) -> Settings:
    """Fill in what follows from BURSAR_DATABASE_URL."""
    direct = settings.database_direct_url or settings.database_url
    return settings.model_copy(
        update={
            "database_direct_url": direct,
            "database_admin_url": settings.database_admin_url or direct,
            "secret_key": settings.secret_key or secret_key(settings.data),
        }
    )


def of_cluster(settings: Settings, cluster: Cluster) -> Settings:
    """Fill in the addresses of a server we started."""
    return _complete(settings, cluster.app_url, cluster.admin_url)


def cluster_of(settings: Settings, options: Mapping[str, str] | None = None) -> Cluster:
    """Return the embedded server of an instance, not started. options: settings of the server on top of ours."""
    bin_dir = Path(settings.postgres_bin) if settings.postgres_bin else None
    return Cluster(settings.data, bin_dir=bin_dir, options=options)


def secret_key(data: Path) -> str:
    """Return the installation's key, made once. Two processes that make it together keep the same one."""
    path = data / "secret.key"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        mine = data / f"secret.key.{os.getpid()}"
        write_private(mine, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=") + "\n")
        try:
            path.hardlink_to(mine)
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return path.read_text(encoding="ascii").strip()


def _join_or_start(settings: Settings, stack: ExitStack) -> Settings:
    """Join the running `bursar up`, or be the one process that runs the server until the stack closes."""
    settings.data.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            stack.enter_context(lock(settings.data / LOCK, holder=f"a command (process {os.getpid()})"))
        except Locked as busy:
            running = _running(settings, busy.holder)
            if running:
                return _complete(settings, running["database_url"], running["admin_url"])
            if time.monotonic() > deadline:
                raise InstanceBusy(
                    f"{settings.data} is in use by {busy.holder} and not ready after {_WAIT_S} s",
                    hint="Wait until it has finished, or start bursar up.",
                ) from busy
            time.sleep(0.05)
        else:
            cluster = cluster_of(settings)
            stack.callback(cluster.stop)
            cluster.start()
            return of_cluster(settings, cluster)


def _running(settings: Settings, holder: str) -> dict[str, Any] | None:
    """Return what a ready `bursar up` wrote down; None for one that is starting, or that another command wrote."""
    written = read_json(settings.data / ADDRESSES) if holder.startswith(UP) else None
    return written if written and is_alive(written["pid"]) else None


def _complete(settings: Settings, database_url: str, admin_url: str) -> Settings:
    return settings.model_copy(
        update={
            "database_url": database_url,
            "database_direct_url": database_url,
            "database_admin_url": admin_url,
            "secret_key": settings.secret_key or secret_key(settings.data),
        }
    )
