"""Routes of alerts: what is wrong, what a person does about it, which numbers hold, and who is told by which way."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from bursar.alerts import acting, channels, choosing, queries
from bursar.alerts.addresses import URL_LENGTH_MAX, ChannelKind, target_of
from bursar.alerts.choosing import Choice, ShownRule
from bursar.alerts.models import AlertState, Severity
from bursar.alerts.queries import AlertId, AlertStory, AlertView, NoticeId
from bursar.kernel import ids
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Instant, Key, Page, PageFilters, PublicId, View, page_of
from bursar.kernel.http.addresses import networks

READING = "alerts:read"
WRITING = "alerts:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["alerts"])

ChannelId = Annotated[UUID, PublicId(ids.ALERT_CHANNEL)]
RouteId = Annotated[UUID, PublicId(ids.ALERT_ROUTE)]
AlertPath = Annotated[AlertId, Path()]
ChannelPath = Annotated[ChannelId, Path()]
RoutePath = Annotated[RouteId, Path()]
RuleName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{2,59}$", examples=["payment_failures"])]


class AlertFilters(PageFilters):
    state: AlertState | None = None
    severity: Severity | None = None
    rule: RuleName | None = None


class WantedSilence(Input):
    until: Instant = Field(description="At most thirty days from now.")


class AlertRule(View):
    """What is watched, and the numbers that hold for this business."""

    rule: RuleName
    title: str
    is_on: bool
    threshold: float = Field(description="More than that alerts.")
    unit: str
    window_s: int | None = Field(description="Over how long, or how long something may last; null: the present state.")
    severity: Severity
    is_own: bool = Field(description="Whether the business chose any of it.")
    advice: str
    runbook: str


class AlertRules(View):
    data: list[AlertRule]


class WantedRule(Input):
    """The business's own numbers. What is left out is as the installation has it."""

    rule: RuleName
    is_on: bool | None = None
    threshold: Annotated[float, Field(ge=0, le=choosing.THRESHOLD_MAX, allow_inf_nan=False)] | None = None
    window_s: Annotated[int, Field(ge=choosing.WINDOW_MIN_S, le=choosing.WINDOW_MAX_S)] | None = None
    severity: Severity | None = None


class AlertChannel(View):
    """A way by which notices go."""

    id: ChannelId
    name: str
    kind: ChannelKind
    shown: str = Field(description="What may be seen of its address.", examples=["https://hooks.example.org/…"])
    is_on: bool
    failures_running: int = Field(description="Failures since the last notice that went well.")
    failed_at: datetime | None
    failure: str | None
    sent_at: datetime | None
    created_at: datetime


class AlertChannels(View):
    data: list[AlertChannel]


class WantedChannel(Input):
    name: Annotated[Key, Field(max_length=80, examples=["On call"])]
    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=URL_LENGTH_MAX,
            description="mailto:ops@example.org, https://… (JSON is posted there), slack://… or the address of a Slack webhook, "
            "pagerduty://integration-key@api-key, or an SMS service: twilio://, vonage://, messagebird://, clicksend://, plivo://, sinch://. "
            "It is sealed, and never shown again.",
            examples=["mailto:ops@example.org"],
        ),
    ]


class ChannelSwitch(Input):
    is_on: Annotated[bool, Field(description="Whether notices go by it.")]


class TestNotice(View):
    id: NoticeId


class AlertRoute(View):
    """Who is told of what."""

    id: RouteId
    rule: str | None = Field(description="Null: every rule.")
    severity: Severity = Field(description="And what is worse.")
    channel: ChannelId
    second_channel: ChannelId | None = Field(description="Told in its place while it is down.")


class AlertRoutes(View):
    data: list[AlertRoute]


class WantedRoute(Input):
    rule: RuleName | None = None
    severity: Severity
    channel: ChannelId
    second_channel: ChannelId | None = None


@router.get("/alerts")
@needs(READING)
async def list_alerts(caller: CallerOf, filters: Annotated[AlertFilters, Query()]) -> Page[AlertView]:
    """List what is wrong, and what was, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.alerts(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/alerts/{alert}")
@needs(READING)
async def get_alert(caller: CallerOf, alert: AlertPath) -> AlertStory:
    """Return one alert with what became of it, and who was told."""
    async with caller.transaction() as tx:
        return await queries.alert_story(tx, tenant_id=caller.tenant_id, alert_id=alert)


@router.post("/alerts/{alert}/acknowledgements", status_code=201)
@needs(WRITING)
async def acknowledge_alert(caller: CallerOf, alert: AlertPath) -> AlertStory:
    """Say that somebody works on it: it is not told again unless it grows to twice of what was told."""
    async with caller.transaction() as tx:
        await acting.acknowledge(tx, tenant_id=caller.tenant_id, alert_id=alert, actor=caller.actor, now=caller.now())
        return await queries.alert_story(tx, tenant_id=caller.tenant_id, alert_id=alert)


@router.post("/alerts/{alert}/silences", status_code=201)
@needs(WRITING)
async def silence_alert(caller: CallerOf, alert: AlertPath, wanted: WantedSilence) -> AlertStory:
    """Tell nobody of it until then. It goes on being counted."""
    async with caller.transaction() as tx:
        await acting.silence(
            tx,
            tenant_id=caller.tenant_id,
            alert_id=alert,
            until=wanted.until,
            actor=caller.actor,
            now=caller.now(),
        )
        return await queries.alert_story(tx, tenant_id=caller.tenant_id, alert_id=alert)


@router.delete("/alerts/{alert}/silences")
@needs(WRITING)
async def unsilence_alert(caller: CallerOf, alert: AlertPath) -> AlertStory:
    """Let it be heard again."""
    async with caller.transaction() as tx:
        await acting.unsilence(tx, tenant_id=caller.tenant_id, alert_id=alert, actor=caller.actor, now=caller.now())
        return await queries.alert_story(tx, tenant_id=caller.tenant_id, alert_id=alert)


@router.get("/alert-rules")
@needs(READING)
async def list_alert_rules(caller: CallerOf) -> AlertRules:
    """List what is watched for this business, with the numbers that hold."""
    async with caller.transaction() as tx:
        return AlertRules(data=[_rule(one) for one in await choosing.rules_of(tx, tenant_id=caller.tenant_id)])


@router.put("/alert-rules")
@needs(WRITING)
async def set_alert_rule(caller: CallerOf, wanted: WantedRule) -> AlertRule:
    """Let a rule hold so for this business. What is left out is as the installation has it."""
    choice = Choice(wanted.is_on, wanted.threshold, wanted.window_s, wanted.severity)
    async with caller.transaction() as tx:
        return _rule(
            await choosing.choose(tx, tenant_id=caller.tenant_id, name=wanted.rule, choice=choice, actor=caller.actor)
        )


@router.get("/alert-routes")
@needs(READING)
async def list_alert_routes(caller: CallerOf) -> AlertRoutes:
    """List who is told of what; at most fifty."""
    async with caller.transaction() as tx:
        return AlertRoutes(data=[_route(one) for one in await channels.routes_of(tx, tenant_id=caller.tenant_id)])


@router.post("/alert-routes", status_code=201)
@needs(WRITING)
async def add_alert_route(caller: CallerOf, wanted: WantedRoute) -> AlertRoute:
    """Let a channel hear of a rule, or of every one, from a severity on."""
    async with caller.transaction() as tx:
        route_id = await channels.add_route(
            tx,
            tenant_id=caller.tenant_id,
            rule=wanted.rule,
            severity=wanted.severity,
            channel_id=wanted.channel,
            second_id=wanted.second_channel,
            actor=caller.actor,
        )
    return AlertRoute(
        id=route_id,
        rule=wanted.rule,
        severity=wanted.severity,
        channel=wanted.channel,
        second_channel=wanted.second_channel,
    )


@router.delete("/alert-routes/{alert_route}", status_code=204)
@needs(WRITING)
async def remove_alert_route(caller: CallerOf, alert_route: RoutePath) -> Response:
    """Remove a route."""
    async with caller.transaction() as tx:
        await channels.remove_route(tx, tenant_id=caller.tenant_id, route_id=alert_route, actor=caller.actor)
    return Response(status_code=204)


@router.get("/alert-channels")
@needs(READING)
async def list_alert_channels(caller: CallerOf) -> AlertChannels:
    """List the ways by which notices go; at most twenty."""
    async with caller.transaction() as tx:
        return AlertChannels(data=[_channel(one) for one in await channels.channels_of(tx, tenant_id=caller.tenant_id)])


@router.post("/alert-channels", status_code=201)
@needs(WRITING)
async def add_alert_channel(caller: CallerOf, wanted: WantedChannel) -> AlertChannel:
    """Add a way by which notices go. It hears of nothing until a route leads there."""
    permitted = networks(caller.resources.settings.alert_networks)
    target = await asyncio.to_thread(target_of, wanted.url, permitted=permitted)
    async with caller.transaction() as tx:
        return _channel(
            await channels.add_channel(
                tx,
                caller.resources.seal,
                tenant_id=caller.tenant_id,
                name=wanted.name,
                target=target,
                actor=caller.actor,
            )
        )


@router.put("/alert-channels/{alert_channel}")
@needs(WRITING)
async def switch_alert_channel(caller: CallerOf, alert_channel: ChannelPath, wanted: ChannelSwitch) -> AlertChannel:
    """Let notices go by a channel, or no more."""
    async with caller.transaction() as tx:
        return _channel(
            await channels.switch_channel(
                tx, tenant_id=caller.tenant_id, channel_id=alert_channel, is_on=wanted.is_on, actor=caller.actor
            )
        )


@router.delete("/alert-channels/{alert_channel}", status_code=204)
@needs(WRITING)
async def remove_alert_channel(caller: CallerOf, alert_channel: ChannelPath) -> Response:
    """Remove a channel, with the routes that lead there first."""
    async with caller.transaction() as tx:
        await channels.remove_channel(tx, tenant_id=caller.tenant_id, channel_id=alert_channel, actor=caller.actor)
    return Response(status_code=204)


@router.post("/alert-channels/{alert_channel}/tests", status_code=202)
@needs(WRITING)
async def test_alert_channel(caller: CallerOf, alert_channel: ChannelPath) -> TestNotice:
    """Let a test notice go by a channel. The channel says what came of it."""
    async with caller.transaction() as tx:
        notice_id = await channels.send_test(
            tx, tenant_id=caller.tenant_id, channel_id=alert_channel, now=caller.now(), actor=caller.actor
        )
    return TestNotice(id=notice_id)


def _rule(shown: ShownRule) -> AlertRule:
    return AlertRule(
        rule=shown.rule.name,
        title=shown.rule.title,
        is_on=shown.is_on,
        threshold=shown.threshold,
        unit=shown.rule.unit,
        window_s=shown.window_s,
        severity=shown.severity,
        is_own=shown.choice != Choice(),
        advice=shown.rule.advice,
        runbook=shown.rule.runbook,
    )


def _channel(one: channels.Channel) -> AlertChannel:
    return AlertChannel(
        id=one.id,
        name=one.name,
        kind=one.kind,
        shown=one.shown,
        is_on=one.is_on,
        failures_running=one.failures_running,
        failed_at=one.failed_at,
        failure=one.failure,
        sent_at=one.sent_at,
        created_at=one.created_at,
    )


def _route(one: channels.ShownRoute) -> AlertRoute:
    return AlertRoute(
        id=one.id, rule=one.rule, severity=one.severity, channel=one.channel_id, second_channel=one.second_id
    )
