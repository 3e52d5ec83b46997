"""Alerts: what is wrong and who is told. A business's own for its people, the installation's for its operators."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar import alerts
from bursar.alerts import SEVERITIES, Choice, queries
from bursar.alerts.api import READING, WRITING
from bursar.kernel import ids
from bursar.kernel.auth import for_operators, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid
from bursar.kernel.http.addresses import networks
from bursar.kernel.identity.operators import Operator
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.listing import Slice
from bursar.kernel.resources import Resources, resources_of
from bursar.web.pages.operating import operator_page
from bursar.web.pages.paging import ROWS, Before
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, checked_form, to

State = Literal["", "open", "acknowledged", "resolved"]
Done = Literal["", "saved", "sent", "acknowledged", "silenced", "unsilenced"]
_NAME_MAX: Final = 80
_HOURS: Final = (1, 8, 24, 168)

router = APIRouter(route_class=PageRoute)


class AlertFormInvalid(Invalid):
    """The form does not say what is to be done."""

    code = "alert_form_invalid"


@dataclass(frozen=True, slots=True)
class _Desk:
    """Who looks at whose alerts. base: where their pages are."""

    resources: Resources
    tenant_id: UUID
    base: str
    actor: str
    now: datetime

    async def do(self, tx: Transaction, fields: Mapping[str, str], target: alerts.Target | None) -> Done:
        """Change the settings as a form says."""
        match fields.get("act", ""):
            case "rule":
                choice = _choice(fields)
                name = fields.get("rule", "")
                await alerts.choose(tx, tenant_id=self.tenant_id, name=name, choice=choice, actor=self.actor)
            case "add_channel":
                assert target is not None
                name = printable(fields.get("name", ""))[:_NAME_MAX]
                if not name:
                    raise AlertFormInvalid("a channel needs a name", hint="Go back and give it one.")
                await alerts.add_channel(
                    tx, self.resources.seal, tenant_id=self.tenant_id, name=name, target=target, actor=self.actor
                )
            case "test" | "switch" | "remove_channel" as act:
                return await self._with_channel(tx, act, fields)
            case "add_route":
                await self._add_route(tx, fields)
            case "remove_route":
                route_id = ids.parse(ids.ALERT_ROUTE, fields.get("route", ""))
                await alerts.remove_route(tx, tenant_id=self.tenant_id, route_id=route_id, actor=self.actor)
            case _:
                raise AlertFormInvalid("this form says nothing that can be done", hint="Go back and reload the page.")
        return "saved"

    async def treat(self, tx: Transaction, alert_id: UUID, fields: Mapping[str, str]) -> Done:
        """Do with one alert as a form says."""
        of: dict[str, Any] = {"tenant_id": self.tenant_id, "alert_id": alert_id, "actor": self.actor, "now": self.now}
        match fields.get("act", ""):
            case "acknowledge":
                await alerts.acknowledge(tx, **of)
                return "acknowledged"
            case "silence":
                hours = fields.get("hours", "")
                if hours not in map(str, _HOURS):
                    raise AlertFormInvalid("choose for how long", hint="Go back and choose.")
                await alerts.silence(tx, until=self.now + timedelta(hours=int(hours)), **of)
                return "silenced"
            case "unsilence":
                await alerts.unsilence(tx, **of)
                return "unsilenced"
        raise AlertFormInvalid("this form says nothing that can be done", hint="Go back and reload the page.")

    async def target(self, fields: Mapping[str, str]) -> alerts.Target | None:
        """Return where the channel of a form leads, before any transaction: it may take a moment."""
        if fields.get("act") != "add_channel":
            return None
        permitted = networks(self.resources.settings.alert_networks)
        return await asyncio.to_thread(alerts.target_of, fields.get("channel_url", ""), permitted=permitted)

    async def _with_channel(self, tx: Transaction, act: str, fields: Mapping[str, str]) -> Done:
        channel_id = ids.parse(ids.ALERT_CHANNEL, fields.get("channel", ""))
        of: dict[str, Any] = {"tenant_id": self.tenant_id, "channel_id": channel_id, "actor": self.actor}
        if act == "test":
            await alerts.send_test(tx, now=self.now, **of)
            return "sent"
        if act == "switch":
            await alerts.switch_channel(tx, is_on=fields.get("is_on") == "yes", **of)
        else:
            await alerts.remove_channel(tx, **of)
        return "saved"

    async def _add_route(self, tx: Transaction, fields: Mapping[str, str]) -> None:
        severity = next((one for one in SEVERITIES if one == fields.get("severity")), None)
        if severity is None:
            raise AlertFormInvalid("choose a severity", hint="Go back and choose.")
        second = fields.get("second", "")
        await alerts.add_route(
            tx,
            tenant_id=self.tenant_id,
            rule=fields.get("rule") or None,
            severity=severity,
            channel_id=ids.parse(ids.ALERT_CHANNEL, fields.get("channel", "")),
            second_id=ids.parse(ids.ALERT_CHANNEL, second) if second else None,
            actor=self.actor,
        )


@router.get("/alerts")
@needs(READING)
async def alert_list(visit: Visiting, state: State = "", before_id: Before = None) -> Response:
    """Show what is wrong in a business, and what was, newest first."""
    async with visit.open() as page:
        return page.answer("alerts.html", **await _listed(page.tx, _of(visit), state, before_id))


@router.get("/alerts/settings")
@needs(READING)
async def settings(visit: Visiting, done: Done = "") -> Response:
    """Show a business's rules, and who is told."""
    async with visit.open() as page:
        views = await _settings(page.tx, _of(visit), may_write=visit.may(WRITING))
        return page.answer("alert_settings.html", done=done, **views)


@router.post("/alerts/settings")
@needs(WRITING)
async def save(visit: Visiting) -> Response:
    """Change a business's rules, channels or routes."""
    fields, desk = await visit.form(), _of(visit)
    target = await desk.target(fields)
    async with visit.open() as page:
        done = await desk.do(page.tx, fields, target)
    return to(f"/alerts/settings?done={done}")


@router.get("/alerts/{alert}")
@needs(READING)
async def alert_story(visit: Visiting, alert: str, done: Done = "") -> Response:
    """Show one alert of a business, with its history."""
    async with visit.open() as page:
        views = await _story(page.tx, _of(visit), alert, may_write=visit.may(WRITING))
        return page.answer("alert.html", done=done, **views)


@router.post("/alerts/{alert}")
@needs(WRITING)
async def treat(visit: Visiting, alert: str) -> Response:
    """Acknowledge or silence an alert of a business."""
    fields, alert_id = await visit.form(), ids.parse(ids.ALERT, alert)
    async with visit.open() as page:
        done = await _of(visit).treat(page.tx, alert_id, fields)
    return to(f"/alerts/{ids.show(ids.ALERT, alert_id)}?done={done}")


@router.get("/operator/alerts")
@for_operators
async def operators_list(request: Request, state: State = "", before_id: Before = None) -> Response:
    """Show what is wrong with the installation."""
    desk = _of_operator(request)
    async with desk.resources.db.tenant(INSTALLATION) as tx:
        return operator_page(request, "operator_alerts.html", **await _listed(tx, desk, state, before_id))


@router.get("/operator/alerts/settings")
@for_operators
async def operators_settings(request: Request, done: Done = "") -> Response:
    """Show the installation's rules, and who is told."""
    desk = _of_operator(request)
    async with desk.resources.db.tenant(INSTALLATION) as tx:
        views = await _settings(tx, desk, may_write=True)
        return operator_page(request, "operator_alert_settings.html", done=done, **views)


@router.post("/operator/alerts/settings")
@for_operators
async def operators_save(request: Request) -> Response:
    """Change the installation's rules, channels or routes."""
    desk, who = _of_operator(request), _operator(request)
    fields = await checked_form(request, who.session_id)
    target = await desk.target(fields)
    async with desk.resources.db.tenant(INSTALLATION) as tx:
        done = await desk.do(tx, fields, target)
    return to(f"/operator/alerts/settings?done={done}")


@router.get("/operator/alerts/{alert}")
@for_operators
async def operators_story(request: Request, alert: str, done: Done = "") -> Response:
    """Show one alert of the installation, with its history."""
    desk = _of_operator(request)
    async with desk.resources.db.tenant(INSTALLATION) as tx:
        views = await _story(tx, desk, alert, may_write=True)
        return operator_page(request, "operator_alert.html", done=done, **views)


@router.post("/operator/alerts/{alert}")
@for_operators
async def operators_treat(request: Request, alert: str) -> Response:
    """Acknowledge or silence an alert of the installation."""
    desk, who, alert_id = _of_operator(request), _operator(request), ids.parse(ids.ALERT, alert)
    fields = await checked_form(request, who.session_id)
    async with desk.resources.db.tenant(INSTALLATION) as tx:
        done = await desk.treat(tx, alert_id, fields)
    return to(f"/operator/alerts/{ids.show(ids.ALERT, alert_id)}?done={done}")


async def _listed(tx: Transaction, desk: _Desk, state: State, before_id: str | None) -> dict[str, Any]:
    after = ids.parse(ids.ALERT, before_id) if before_id else None
    found = await queries.alerts(tx, tenant_id=desk.tenant_id, page=Slice(ROWS, after), given={"state": state or None})
    return {
        "base": desk.base,
        "rows": [(ids.show(ids.ALERT, row.id), row) for row in found.rows],
        "after": ids.show(ids.ALERT, found.next_after) if found.next_after else None,
        "is_newest": before_id is None,
        "state_asked": state,
        "is_anybody_told": bool(await alerts.routes_of(tx, tenant_id=desk.tenant_id)) or _is_told(desk),
    }


async def _story(tx: Transaction, desk: _Desk, alert: str, *, may_write: bool) -> dict[str, Any]:
    alert_id = ids.parse(ids.ALERT, alert)
    found = await queries.alert_story(tx, tenant_id=desk.tenant_id, alert_id=alert_id)
    return {
        "base": desk.base,
        "id": ids.show(ids.ALERT, found.id),
        "alert": found,
        "hours": _HOURS,
        "may_write": may_write,
    }


async def _settings(tx: Transaction, desk: _Desk, *, may_write: bool) -> dict[str, Any]:
    channels = await alerts.channels_of(tx, tenant_id=desk.tenant_id)
    routes = await alerts.routes_of(tx, tenant_id=desk.tenant_id)
    return {
        "base": desk.base,
        "rules": await alerts.rules_of(tx, tenant_id=desk.tenant_id),
        "channels": [(ids.show(ids.ALERT_CHANNEL, one.id), one) for one in channels],
        "routes": [(ids.show(ids.ALERT_ROUTE, one.id), one) for one in routes],
        "severities": SEVERITIES,
        "may_write": may_write,
        "is_installation": desk.tenant_id == INSTALLATION,
        "is_told_by_settings": _is_told(desk),
    }


def _is_told(desk: _Desk) -> bool:
    return desk.tenant_id == INSTALLATION and bool(desk.resources.settings.alert_urls)


def _choice(fields: Mapping[str, str]) -> Choice:
    severity = next((one for one in SEVERITIES if one == fields.get("severity")), None)
    is_on = {"yes": True, "no": False}.get(fields.get("is_on", ""))
    threshold, window = fields.get("threshold", "").strip(), fields.get("window_s", "").strip()
    try:
        return Choice(is_on, float(threshold) if threshold else None, int(window) if window else None, severity)
    except ValueError as error:
        raise AlertFormInvalid("a threshold and a window are numbers", hint="Go back and correct them.") from error


def _of(visit: Visiting) -> _Desk:
    return _Desk(visit.resources, visit.tenant_id, "/alerts", visit.actor, visit.now)


def _of_operator(request: Request) -> _Desk:
    resources, who = resources_of(request), _operator(request)
    actor = f"operator:{ids.show(ids.OPERATOR, who.id)}"
    return _Desk(resources, INSTALLATION, "/operator/alerts", actor, resources.now())


def _operator(request: Request) -> Operator:
    found: Operator = request.state.operator
    return found
