"""Channels, by which notices go, and routes, which say what goes by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from bursar.alerts.addresses import ChannelKind, Target
from bursar.alerts.models import Severity
from bursar.alerts.rules import rule_named
from bursar.alerts.telling import enqueue_notices
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction, attempt
from bursar.kernel.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.seal import Seal

CHANNELS_MAX: Final = 20
ROUTES_MAX: Final = 50


class ChannelNotFound(NotFound):
    """There is no such channel."""

    code = "alert_channel_not_found"


class ChannelNameTaken(Conflict):
    """Another channel has this name."""

    code = "alert_channel_name_taken"


class ChannelsTooMany(LimitExceeded):
    """There are as many channels or routes as there may be."""

    code = "alert_channels_too_many"


class RouteNotFound(NotFound):
    """There is no such route."""

    code = "alert_route_not_found"


class RouteInvalid(Invalid):
    """The second way of a route is the first one."""

    code = "alert_route_invalid"


@dataclass(frozen=True, slots=True)
class Channel:
    """A way by which notices go. shown: what may be seen of its address. failures_running: failures since the last that went well."""

    id: UUID
    name: str
    kind: ChannelKind
    shown: str
    is_on: bool
    failures_running: int
    failed_at: datetime | None
    failure: str | None
    sent_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ShownRoute:
    """A route with the names of its channels."""

    id: UUID
    rule: str | None
    severity: Severity
    channel_id: UUID
    channel: str
    second_id: UUID | None
    second: str | None


_COLUMNS: Final = "id, name, kind, shown, is_on, failures_running, failed_at, failure, sent_at, created_at"
_CHANNELS = f"select {_COLUMNS} from alert_channel where tenant_id = $1 order by id limit {CHANNELS_MAX}"
_CHANNEL = f"select {_COLUMNS} from alert_channel where tenant_id = $1 and id = $2"
_ADD = """
insert into alert_channel (tenant_id, id, name, kind, url, shown)
select $1, $2, $3, $4, $5, $6 where (select count(*) from alert_channel where tenant_id = $1) < $7
returning id
"""
_SWITCH = "update alert_channel set is_on = $3, failures_running = 0 where tenant_id = $1 and id = $2 returning name"
_REMOVE = "delete from alert_channel where tenant_id = $1 and id = $2 returning name"

_ROUTES = f"""
select r.id, r.rule, r.severity, r.channel_id, c.name as channel, r.second_id, s.name as second
from alert_route r
join alert_channel c on c.tenant_id = r.tenant_id and c.id = r.channel_id
left join alert_channel s on s.tenant_id = r.tenant_id and s.id = r.second_id
where r.tenant_id = $1 order by r.id limit {ROUTES_MAX}
"""
_ADD_ROUTE = """
insert into alert_route (tenant_id, id, rule, severity, channel_id, second_id)
select $1, $2, $3, $4, $5, $6 where (select count(*) from alert_route where tenant_id = $1) < $7
returning id
"""
_REMOVE_ROUTE = "delete from alert_route where tenant_id = $1 and id = $2 returning id"

_TEST = """
insert into alert_notice (tenant_id, id, look, what, channel_id, channel, created_at) values ($1, $2, 0, 'test', $3, $4, $5)
"""


def sealing_purpose(channel_id: UUID) -> str:
    """Return what a channel's address is sealed for."""
    return f"alert_channel:{channel_id}"


async def channels_of(tx: Transaction, *, tenant_id: UUID) -> tuple[Channel, ...]:
    """Return the channels, oldest first."""
    return tuple(Channel(**dict(row)) for row in await tx.fetch(_CHANNELS, tenant_id))


async def channel(tx: Transaction, *, tenant_id: UUID, channel_id: UUID) -> Channel:
    """Return one channel. Raises ChannelNotFound."""
    row = await tx.fetchrow(_CHANNEL, tenant_id, channel_id)
    if row is None:
        raise _no_channel(channel_id)
    return Channel(**dict(row))


async def add_channel(
    tx: Transaction, seal: Seal, *, tenant_id: UUID, name: str, target: Target, actor: str
) -> Channel:
    """Add a channel. target: of `addresses.target_of`. Raises ChannelNameTaken, ChannelsTooMany."""
    channel_id = ids.new()
    sealed = seal.seal(target.url, purpose=sealing_purpose(channel_id))
    try:
        async with attempt(tx):
            added = await tx.fetchval(
                _ADD, tenant_id, channel_id, name, target.kind, sealed, target.shown, CHANNELS_MAX
            )
    except asyncpg.UniqueViolationError as error:
        raise ChannelNameTaken(
            f"there is a channel {name!r}", hint="Choose another name, or remove that one."
        ) from error
    if added is None:
        raise ChannelsTooMany(f"there are {CHANNELS_MAX} channels already", hint="Remove one that is not needed.")
    changes = {"name": name, "kind": target.kind, "shown": target.shown}
    await _record(
        tx, tenant_id, actor, _Change("alert_channel.added", ids.show(ids.ALERT_CHANNEL, channel_id), changes)
    )
    return await channel(tx, tenant_id=tenant_id, channel_id=channel_id)


async def switch_channel(tx: Transaction, *, tenant_id: UUID, channel_id: UUID, is_on: bool, actor: str) -> Channel:
    """Let notices go by a channel, or no more. Raises ChannelNotFound."""
    if await tx.fetchval(_SWITCH, tenant_id, channel_id, is_on) is None:
        raise _no_channel(channel_id)
    subject = ids.show(ids.ALERT_CHANNEL, channel_id)
    await _record(tx, tenant_id, actor, _Change("alert_channel.switched", subject, {"is_on": is_on}))
    return await channel(tx, tenant_id=tenant_id, channel_id=channel_id)


async def remove_channel(tx: Transaction, *, tenant_id: UUID, channel_id: UUID, actor: str) -> None:
    """Remove a channel, and the routes that lead there first. Raises ChannelNotFound."""
    name = await tx.fetchval(_REMOVE, tenant_id, channel_id)
    if name is None:
        raise _no_channel(channel_id)
    subject = ids.show(ids.ALERT_CHANNEL, channel_id)
    await _record(tx, tenant_id, actor, _Change("alert_channel.removed", subject, {"name": name}))


async def routes_of(tx: Transaction, *, tenant_id: UUID) -> tuple[ShownRoute, ...]:
    """Return the routes, oldest first."""
    return tuple(ShownRoute(**dict(row)) for row in await tx.fetch(_ROUTES, tenant_id))


async def add_route(
    tx: Transaction,
    *,
    tenant_id: UUID,
    rule: str | None,
    severity: Severity,
    channel_id: UUID,
    second_id: UUID | None,
    actor: str,
) -> UUID:
    """Let a channel hear of a rule (None: of every one) from a severity on.

    second_id: which is told in its place while it is down. Raises RuleUnknown, ChannelNotFound, RouteInvalid, ChannelsTooMany.
    """
    if rule is not None:
        rule_named(rule, is_installation=tenant_id == INSTALLATION)
    for named in (channel_id, second_id):
        if named is not None:
            await channel(tx, tenant_id=tenant_id, channel_id=named)
    if channel_id == second_id:
        fields = (FieldError("second_channel", "same_channel", "it is the first channel"),)
        raise RouteInvalid("the second way is the first one", hint="Name another channel, or none.", fields=fields)
    route_id = ids.new()
    if await tx.fetchval(_ADD_ROUTE, tenant_id, route_id, rule, severity, channel_id, second_id, ROUTES_MAX) is None:
        raise ChannelsTooMany(f"there are {ROUTES_MAX} routes already", hint="Remove one that is not needed.")
    changes = {
        "rule": rule,
        "severity": severity,
        "channel": ids.show(ids.ALERT_CHANNEL, channel_id),
        "second_channel": ids.show(ids.ALERT_CHANNEL, second_id) if second_id else None,
    }
    await _record(tx, tenant_id, actor, _Change("alert_route.added", ids.show(ids.ALERT_ROUTE, route_id), changes))
    return route_id


async def remove_route(tx: Transaction, *, tenant_id: UUID, route_id: UUID, actor: str) -> None:
    """Remove a route. Raises RouteNotFound."""
    subject = ids.show(ids.ALERT_ROUTE, route_id)
    if await tx.fetchval(_REMOVE_ROUTE, tenant_id, route_id) is None:
        raise RouteNotFound(f"there is no route {subject}", hint="GET /v1/alert-routes lists them.")
    await _record(tx, tenant_id, actor, _Change("alert_route.removed", subject, {}))


async def send_test(tx: Transaction, *, tenant_id: UUID, channel_id: UUID, now: datetime, actor: str) -> UUID:
    """Let a test notice go by a channel; the channel says what came of it. Raises ChannelNotFound."""
    found = await channel(tx, tenant_id=tenant_id, channel_id=channel_id)
    notice_id = ids.new()
    await tx.execute(_TEST, tenant_id, notice_id, channel_id, found.name, now)
    await enqueue_notices(tx, [(tenant_id, notice_id)])
    subject = ids.show(ids.ALERT_CHANNEL, channel_id)
    await _record(tx, tenant_id, actor, _Change("alert_channel.tested", subject, {}))
    return notice_id


def _no_channel(channel_id: UUID) -> ChannelNotFound:
    return ChannelNotFound(
        f"there is no channel {ids.show(ids.ALERT_CHANNEL, channel_id)}", hint="GET /v1/alert-channels lists them."
    )


@dataclass(frozen=True, slots=True)
class _Change:
    action: str
    subject: str
    changes: Mapping[str, object]


async def _record(tx: Transaction, tenant_id: UUID, actor: str, change: _Change) -> None:
    if tenant_id != INSTALLATION:  # whose acts are nobody's business but the operators'
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action=change.action,
            subject=change.subject,
            changes=dict(change.changes),
        )
