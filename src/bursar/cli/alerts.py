"""`bursar alerts`: the installation's alerts, or a business's; acknowledge, silence, send a test, and watch the database itself."""

import asyncio
import signal
from datetime import timedelta
from typing import Annotated, Any, get_args

import typer

from bursar import alerts
from bursar.alerts import queries, watchman
from bursar.alerts.models import AlertState
from bursar.alerts.sending import Notice, send_to_any
from bursar.cli.acting import ACTOR, Whose, act, whose
from bursar.cli.connection import instance, settings_for
from bursar.cli.lifetime import follow_supervisor
from bursar.cli.options import After, Data, Json, Limit, answer
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.listing import Slice, after_cursor, cursor
from bursar.kernel.logs import configure_logs
from bursar.kernel.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="List alerts, acknowledge or silence one, send a test, watch the database."
)

STATES = get_args(AlertState)

State = Annotated[str | None, typer.Option("--state", help=f"One of {', '.join(STATES)}.")]
AlertText = Annotated[str, typer.Argument(help="Its id: alr_…")]


class AlertStateUnknown(Invalid):
    """There is no such state of alerts."""

    code = "alert_state_unknown"


class AlertUrlsMissing(Invalid):
    """BURSAR_ALERT_URLS names no address."""

    code = "alert_urls_missing"


@app.command("list")
def list_alerts(
    tenant: Whose = None,
    state: State = None,
    data: Data = None,
    *,
    limit: Limit = 50,
    after: After = None,
    as_json: Json = False,
) -> None:
    """List alerts, newest first."""
    if state is not None and state not in STATES:
        raise AlertStateUnknown(f"there is no state {state!r}", hint=f"Use one of {', '.join(STATES)}.")
    page = Slice(limit, after_cursor(after) if after else None)

    async def listing(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await whose(db, tenant)
        async with db.tenant(tenant_id) as tx:
            found = await queries.alerts(tx, tenant_id=tenant_id, page=page, given={"state": state})
        next_cursor = cursor(found.next_after) if found.next_after else None
        return {"data": [alert.model_dump(mode="json") for alert in found.rows], "next_cursor": next_cursor}

    listed = act(data, listing)
    lines = [_line(alert) for alert in listed["data"]]
    if listed["next_cursor"]:
        lines.append(f"more: --cursor {listed['next_cursor']}")
    answer(listed, "\n".join(lines) or "nothing is wrong", as_json=as_json)


@app.command()
def ack(alert: AlertText, tenant: Whose = None, data: Data = None, *, as_json: Json = False) -> None:
    """Say that somebody works on it: it is not told again unless it grows."""
    alert_id = ids.parse(ids.ALERT, alert)

    async def acknowledging(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await whose(db, tenant)
        async with db.tenant(tenant_id) as tx:
            await alerts.acknowledge(tx, tenant_id=tenant_id, alert_id=alert_id, actor=ACTOR, now=utc_now())
            return (await queries.alert_story(tx, tenant_id=tenant_id, alert_id=alert_id)).model_dump(mode="json")

    answer(act(data, acknowledging), f"{alert} is acknowledged", as_json=as_json)


@app.command()
def silence(
    alert: AlertText,
    tenant: Whose = None,
    data: Data = None,
    *,
    hours: Annotated[float, typer.Option(help="For how long.", min=0.02, max=720)] = 8,
    as_json: Json = False,
) -> None:
    """Tell nobody of it for a while. It goes on being counted."""
    alert_id = ids.parse(ids.ALERT, alert)

    async def silencing(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id, now = await whose(db, tenant), utc_now()
        until = now + timedelta(hours=hours)
        async with db.tenant(tenant_id) as tx:
            await alerts.silence(tx, tenant_id=tenant_id, alert_id=alert_id, until=until, actor=ACTOR, now=now)
            return (await queries.alert_story(tx, tenant_id=tenant_id, alert_id=alert_id)).model_dump(mode="json")

    told = act(data, silencing)
    answer(told, f"{alert} is silent until {told['silenced_until']}", as_json=as_json)


@app.command("test")
def send_test(data: Data = None, *, as_json: Json = False) -> None:
    """Send a test notice to BURSAR_ALERT_URLS, without the database."""
    settings = settings_for(data)
    _require_urls(settings)
    notice = Notice(
        id=ids.show(ids.ALERT_NOTICE, ids.new()),
        what="test",
        alert="",
        rule="",
        title="a test notice",
        severity="low",
        subject="",
        whose="the installation",
        value="",
        occurrences=0,
        detail="This is a test: nothing is wrong, and nothing is to be done.",
        advice="",
        runbook="",
        link="",
        first_seen_at="",
    )
    way = asyncio.run(send_to_any(settings.alert_urls, notice, settings=settings))
    answer({"sent": way}, f"sent to {way}", as_json=as_json)


@app.command()
def watch(data: Data = None, *, as_json: Json = False) -> None:
    """Tell BURSAR_ALERT_URLS when the database does not answer, until SIGTERM or Ctrl-C. `bursar up` runs it by itself."""
    is_supervised = follow_supervisor()
    configure_logs()
    _require_urls(settings_for(data))
    with instance(data) as settings:
        if not is_supervised:
            answer({"watch": "running"}, "the watch is running", as_json=as_json)
        asyncio.run(_watch(settings))


async def _watch(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await watchman.watch(settings, stopping)


def _require_urls(settings: Settings) -> None:
    if not settings.alert_urls.split():
        raise AlertUrlsMissing(
            "BURSAR_ALERT_URLS names no address",
            hint="For instance mailto:ops@example.org or https://example.org/hook.",
        )


def _line(alert: dict[str, Any]) -> str:
    silent = "  (silent)" if alert["silenced_until"] else ""
    return f"{alert['id']}  {alert['last_seen_at'][:19]}  {alert['severity']:<8}  {alert['state']:<12}  {alert['title']}: {alert['detail']}{silent}"
