"""`bursar sandbox`: the simulator of Stripe's server that `bursar up` starts, and what moves it."""

import http.client
import json
import os
import secrets
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from bursar.cli.connection import settings_for
from bursar.cli.lifetime import end_orderly, follow_supervisor
from bursar.cli.listening import base_url, listen
from bursar.cli.options import Data, Json, answer
from bursar.kernel.errors import DomainError, Forbidden, Invalid, NotFound, Unavailable
from bursar.kernel.files import lock, read_json, write_private_json
from bursar.kernel.hosts import is_here
from bursar.kernel.logs import configure_logs
from bursar.kernel.settings import Settings
from bursar.sandbox import Application, Protocol

DIRECTORY = "sandbox"
FILE = "sandbox.json"
_GRACE_S = 2
_LOOK_S = 0.2
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

app = typer.Typer(no_args_is_help=True, help="Run the sandbox gateway, move its clock, make it misbehave.")


class SandboxNotForProduction(Forbidden):
    """The sandbox's money is not real."""

    code = "sandbox_not_for_production"


class SandboxNotRunning(NotFound):
    """No sandbox runs on this directory."""

    code = "sandbox_not_running"


class SandboxFailed(Unavailable):
    """The sandbox did not answer as it should."""

    code = "sandbox_failed"


class SpanInvalid(Invalid):
    """What was given is not a span of time."""

    code = "span_invalid"


@app.command()
def serve(
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="Port. Default: the API's, plus one.", min=1, max=65535)] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (BURSAR_HOST).")] = None,
    public_url: Annotated[str, typer.Option(help="Address of its pages, where it is not the one it is asked at.")] = "",
    fd: Annotated[int | None, typer.Option(help="Listen on this inherited socket.", hidden=True)] = None,
    *,
    as_json: Json = False,
) -> None:
    """Run the sandbox until SIGTERM or Ctrl-C."""
    follow_supervisor()
    end_orderly()
    configure_logs()
    settings = settings_for(data, host=host)
    refuse_production(settings)
    directory = settings.data / DIRECTORY
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock(directory / "lock", holder=f"a sandbox (process {os.getpid()})", timeout_s=5):
        listening = _socket(settings, port, fd)
        url = base_url(settings.host, listening.getsockname()[1])
        token = str((read_json(directory / FILE) or {}).get("token") or secrets.token_urlsafe(24))
        write_private_json(directory / FILE, {"url": url, "token": token, "pid": os.getpid()})
        application = Application(
            directory, token=token, url=url, public_url=public_url.rstrip("/"), is_open=is_here(settings.host)
        )
        if fd is None:
            answer({"url": url}, f"the sandbox listens on {url}", as_json=as_json)
        server_of(application).run(sockets=[listening])


@app.command()
def show(data: Data = None, *, as_json: Json = False) -> None:
    """Show where the sandbox is, the address of its page, and its time."""
    running = _running(data)
    told = _ask(data, "GET", "") | {
        "url": running["url"],
        "page": f"{running['url']}/_sandbox/?token={running['token']}",
    }
    text = f"{told['url']}\n{told['page']}\n{told['ahead_s'] / 86_400:.1f} days ahead; {told['deliveries_waiting']} webhooks waiting"
    answer(told, text, as_json=as_json)


@app.command()
def advance(
    span: Annotated[str, typer.Argument(help="How far: 40d, 3h, 90m, 30s, 2w.")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Move the sandbox's clock, and wait until it is there. What falls due on the way happens: renewals, expiries, disputes."""
    told = _ask(data, "POST", "advance", {"seconds": _seconds(span)})
    while told["advancing_to"] is not None:
        time.sleep(_LOOK_S)
        told = _ask(data, "GET", "")
    answer(
        told,
        f"{told['ahead_s'] / 86_400:.1f} days ahead; {told['deliveries_waiting']} webhooks waiting",
        as_json=as_json,
    )


@app.command()
def deliver(
    key: Annotated[str, typer.Option(help="Whose events: an API key, sk_test_…; made known with this.")],
    to: Annotated[str, typer.Option(help="The address of a webhook endpoint.")],
    signing_secret: Annotated[str, typer.Option(help="What deliveries are signed with: whsec_…")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Tell an address of all events of an account. The same secret again changes the address."""
    told = _ask(data, "POST", "accounts", {"key": key, "deliver_to": to, "secret": signing_secret})
    answer(told, f"{told['account']} delivers to {to}", as_json=as_json)


@app.command()
def misbehave(
    switches: Annotated[
        list[str], typer.Argument(help="Such as lose=0.1 fail=0.06 late=0.06 late_s=40 down=unavailable.")
    ],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Turn switches: down, slow_s, late, late_s, lose, fail, fail_is_kept, rate_limit, duplicate, drop, reorder, …"""
    told = _ask(data, "POST", "misbehave", dict(_switch(text) for text in switches))
    answer(told, "\n".join(f"{name} = {value}" for name, value in told.items()), as_json=as_json)


@app.command()
def behave(data: Data = None, *, as_json: Json = False) -> None:
    """Turn every switch back."""
    answer(_ask(data, "POST", "behave", {}), "it behaves", as_json=as_json)


@app.command()
def deliveries(
    data: Data = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=1000)] = 50,
    *,
    as_json: Json = False,
) -> None:
    """List webhooks, and how often each was tried."""
    told = _ask(data, "GET", f"deliveries?limit={limit}")
    lines = [
        f"{one['state']:<8} {one['attempts']}  {one['event']}  {one['type']}  {one['url']}" for one in told["data"]
    ]
    answer(told, "\n".join(lines) or "no webhooks yet", as_json=as_json)


def refuse_production(settings: Settings) -> None:
    """Raises SandboxNotForProduction."""
    if settings.production:
        raise SandboxNotForProduction(
            "this installation is for real money", hint="Unset BURSAR_PRODUCTION to use the sandbox."
        )


def server_of(application: Application) -> uvicorn.Server:
    """Return the HTTP server of a sandbox, not started."""
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # the sandbox tells its own time
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return uvicorn.Server(config)


def _socket(settings: Settings, port: int | None, fd: int | None) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    return listen(settings.host, port or settings.port + 1, fixed=port is not None)


def _running(data: Path | None) -> dict[str, Any]:
    settings = settings_for(data)
    found = read_json(settings.data / DIRECTORY / FILE)
    if found is None:
        raise SandboxNotRunning(
            f"there is no sandbox in {settings.data}", hint="Start bursar up, or bursar sandbox serve."
        )
    return found


def _ask(data: Path | None, method: str, name: str, told: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the running sandbox. Raises SandboxNotRunning, SandboxFailed, and what refuses."""
    running = _running(data)
    asking = urllib.request.Request(  # noqa: S310 - our own address, from our own file
        f"{running['url']}/_sandbox/{name}",
        method=method,
        data=None if told is None else json.dumps(told).encode(),
        headers={"authorization": f"Bearer {running['token']}", "content-type": "application/json"},
    )
    try:
        with _DIRECT.open(asking, timeout=30) as response:
            found: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise _refusal(refusal.read()) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SandboxNotRunning(
            f"the sandbox at {running['url']} does not answer", hint="Start bursar up, or bursar sandbox serve."
        ) from error
    return found


def _refusal(body: bytes) -> DomainError:
    try:
        error = json.loads(body)["error"]
        return SpanInvalid(str(error["message"]), hint=str(error.get("hint", "")))
    except (ValueError, KeyError, TypeError):
        return SandboxFailed("the sandbox answered with something else than JSON")


def _seconds(span: str) -> int:
    unit = _UNITS_S.get(span[-1:])
    if unit is None or not span[:-1].isdecimal():
        raise SpanInvalid(f"{span} is not a span of time", hint="Such as 40d, 3h, 90m, 30s or 2w.")
    return int(span[:-1]) * unit


def _switch(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if value in ("yes", "true", "no", "false") and name != "down":
        return name, value in ("yes", "true")
    try:
        return name, int(value) if name == "seed" else float(value)
    except ValueError:
        return name, value
