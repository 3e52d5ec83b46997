"""`bursar serve`: one API process."""

import asyncio
import socket
import time
from functools import partial
from typing import Annotated

import typer
import uvicorn

from bursar.cli.connection import instance, settings_for
from bursar.cli.lifetime import end_orderly, follow_supervisor
from bursar.cli.listening import base_url, listen
from bursar.cli.options import Data, Json, answer
from bursar.kernel import garbage
from bursar.kernel.logs import configure_logs
from bursar.kernel.tracing import configure_tracing, end_tracing
from bursar.web.app import Application, create_app
from bursar.web.connections import connections_max, cut_off_late
from bursar.web.protocol import Protocol

_GRACE_S = 3
"""How long open answers, live pages among them, may go on after SIGTERM."""

_TICKS_A_SECOND = 10
"""How often uvicorn looks after its own affairs."""


def serve(
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port (BURSAR_PORT).", min=1, max=65535)] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (BURSAR_HOST).")] = None,
    fd: Annotated[int | None, typer.Option(help="Listen on this inherited socket.", hidden=True)] = None,
    *,
    as_json: Json = False,
) -> None:
    """Run one API process until SIGTERM or Ctrl-C."""
    follow_supervisor()
    end_orderly()
    configure_logs()
    wanted = settings_for(data, port=port, host=host)
    with instance(data) as settings, _socket(wanted.host, wanted.port, fd) as listening:
        url = base_url(wanted.host, listening.getsockname()[1])
        public_url = settings.public_url or url
        configure_tracing(settings, process="api")
        told = settings.model_copy(update={"host": wanted.host, "port": wanted.port, "public_url": public_url})
        with garbage.loading():
            app = create_app(told)
        if fd is None:
            answer({"url": url}, f"listening on {url}", as_json=as_json)
        run(app, listening)
        end_tracing()


def run(app: Application, listening: socket.socket) -> None:
    """Serve the application on a socket until a signal."""
    server_of(app).run(sockets=[listening])


def server_of(app: Application) -> uvicorn.Server:
    """Return the HTTP server of an application, not started."""
    # Live pages watch this event; they would keep their connections open otherwise.
    app.api.state.stopping = asyncio.Event()
    limit = connections_max(database_connections=app.resources.settings.pool_size)
    app.api.state.connections_max = limit
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(Protocol, connections_max=limit),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who the client is says kernel.http.addresses, which knows our proxies
        timeout_graceful_shutdown=_GRACE_S,
    )
    return _Server(config, app.api.state.stopping)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        garbage.settle()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            cut_off_late(self.server_state.connections, now=time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


def _socket(host: str, port: int, fd: int | None) -> socket.socket:
    return listen(host, port, fixed=True) if fd is None else socket.socket(fileno=fd)
