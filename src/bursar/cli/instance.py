"""`bursar up`: everything on one machine, in one tree of processes."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bursar.cli.connection import ADDRESSES, LOCK, UP, settings_for
from bursar.cli.options import Data, Json
from bursar.cli.supervisor import Supervisor
from bursar.kernel.errors import Conflict
from bursar.kernel.files import Locked, lock, read_json

_COMMAND_WAIT_S = 30
"""How long another command may still use the embedded server before `up` gives up."""


class AlreadyUp(Conflict):
    """Bursar runs on this directory already."""

    code = "already_up"


def up(
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port of the API (BURSAR_PORT).", min=1, max=65535)] = None,
    host: Annotated[str | None, typer.Option(help="Address the API listens on (BURSAR_HOST).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (BURSAR_WORKERS).", min=1, max=64)] = None,
    *,
    demo: Annotated[bool, typer.Option(help="Fill an empty installation with a demo business.")] = True,
    as_json: Json = False,
) -> None:
    """Run the database, the API and the workers until SIGTERM or Ctrl-C."""
    settings = settings_for(data, port=port, host=host, workers=workers)
    settings.data.mkdir(parents=True, exist_ok=True)
    mine = f"{UP} (process {os.getpid()})"
    try:
        with lock(settings.data / LOCK, holder=mine, timeout_s=_patience(settings.data / LOCK)):
            # An address left by a killed run must not be taken for ours.
            (settings.data / ADDRESSES).unlink(missing_ok=True)
            Supervisor(settings, port_is_fixed="port" in settings.model_fields_set, demo=demo, as_json=as_json).run()
    except Locked as busy:
        written = read_json(settings.data / ADDRESSES) or {}
        raise AlreadyUp(
            f"{settings.data} is in use by {busy.holder}{_at(written.get('url'))}",
            hint="Stop it first, or choose another --data.",
        ) from busy


def _patience(path: Path) -> float:
    """A command ends soon and may be waited for; another `up` does not."""
    holder = path.read_text(encoding="utf-8") if path.exists() else ""
    return 1 if holder.startswith(UP) else _COMMAND_WAIT_S


def _at(url: object) -> str:
    return f", which answers at {url}" if url else ""
