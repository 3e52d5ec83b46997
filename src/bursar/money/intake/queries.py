"""Reads of gateway events. An event's status is where it waits or rests now, else how it was settled last."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.listing import ASKED, Listing, Part, Slice, part
from bursar.money.intake.schemas import GatewayEvent, GatewayEventStory

STORY_ROWS_MAX: Final = 50


class GatewayEventNotFound(NotFound):
    """No event of this tenant has this id."""

    code = "gateway_event_not_found"


_COLUMNS = """e.id, e.gateway_account_id as gateway_account, e.gateway_event_id, e.type, e.origin,
  case when d.event_id is not null then 'dead' when q.tries > 0 then 'failed' when q.event_id is not null then 'received'
    else coalesce(o.outcome, 'received') end as status,
  coalesce(d.attempts, q.tries, o.attempts, 0) as attempts, coalesce(d.error, q.error) as error,
  case when q.tries > 0 then q.run_at end as retry_at, e.occurred_at, e.received_at,
  case when d.event_id is null and q.event_id is null and o.outcome = 'applied' then o.at end as applied_at"""

_JOINED = """
from gateway_event e
left join gateway_event_queue q on q.tenant_id = e.tenant_id and q.event_id = e.id
left join gateway_event_dead d on d.tenant_id = e.tenant_id and d.event_id = e.id
left join lateral (
  select outcome, attempts, at from gateway_event_outcome o
  where o.tenant_id = e.tenant_id and o.event_id = e.id order by o.run desc limit 1
) as o on true"""

# Each status begins from the table in which it is rare, so that no filter reads past what it shows.
_QUEUED = "e.id in (select w.event_id from gateway_event_queue w where w.tenant_id = $1 and w.tries {})"
_SETTLED = "q.event_id is null and d.event_id is null and o.outcome = '{}'"

EVENTS = Listing(
    select=f"select {_COLUMNS} {_JOINED}",
    tenant="e.tenant_id",
    key="e.id",
    filters={
        "status=received": _QUEUED.format("= 0"),
        "status=failed": _QUEUED.format("> 0"),
        "status=dead": "e.id in (select x.event_id from gateway_event_dead x where x.tenant_id = $1)",
        "status=applied": _SETTLED.format("applied"),
        "status=ignored": f"""{_SETTLED.format("ignored")} and e.id in (
    select i.event_id from gateway_event_outcome i where i.tenant_id = $1 and i.outcome = 'ignored')""",
        "own=false": "e.type not like 'bursar.%'",
        "type": "e.type = {}",
        "gateway_account": "e.gateway_account_id = {}",
        "gateway_event_id": "e.gateway_event_id = {}",
        "since": "e.received_at >= {}",
        "until": "e.received_at < {}",
    },
    refers={"gateway_account": "gateway_account"},
    stamped_by="us",
)

_STORY = f"""
select {_COLUMNS},
  coalesce((select octet_length(b.body) from gateway_event_body b
    where b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at), 0) as body_bytes,
  (select b.erased_at from gateway_event_body b
    where b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at) as erased_at,
  coalesce((select n.repeats from gateway_event_differing n where n.tenant_id = e.tenant_id and n.event_id = e.id), 0)
    as differing_repeats,
  coalesce((select jsonb_agg(jsonb_build_object('attempt', a.attempt, 'error', a.error, 'at', a.at) order by a.id desc)
    from (select id, attempt, error, at from gateway_event_attempt a
      where a.tenant_id = e.tenant_id and a.event_id = e.id order by id desc limit {STORY_ROWS_MAX}) as a),
    '[]')::text as failures,
  coalesce((select jsonb_agg(jsonb_build_object('run', r.run, 'outcome', r.outcome, 'attempts', r.attempts, 'at', r.at)
      order by r.run desc)
    from (select run, outcome, attempts, at from gateway_event_outcome r
      where r.tenant_id = e.tenant_id and r.event_id = e.id order by run desc limit {STORY_ROWS_MAX}) as r),
    '[]')::text as outcomes
{_JOINED}
where e.tenant_id = $1 and e.id = $2
"""

_BY_GATEWAY_ID = """
select id from gateway_event where tenant_id = $1 and gateway_account_id = any($3::uuid[]) and gateway_event_id = $2
order by id desc limit 1
"""

_ACCOUNTS = "select id from gateway_account where tenant_id = $1"
_EXISTS = "select id from gateway_event where tenant_id = $1 and id = $2"

_BODY = """
select b.body from gateway_event e
join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
where e.tenant_id = $1 and e.id = $2
"""

STATEMENTS: Final = (_STORY, _BY_GATEWAY_ID, _ACCOUNTS, _EXISTS, _BODY)


async def events(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[GatewayEvent]:
    """Return events, newest first.

    given: any of `status`, `type`, `gateway_account`, `gateway_event_id`, `since`, `until` (of receipt), `own`
    (also Bursar's own events: assignments, catalogue changes).
    """
    wanted = dict(given)
    if not wanted.pop("own", False) and not str(wanted.get("type", "")).startswith("bursar."):
        wanted["own=false"] = ASKED
    if status := wanted.pop("status", None):
        wanted[f"status={status}"] = ASKED
    return await part(tx, EVENTS, tenant_id=tenant_id, given=wanted, page=page, view=GatewayEvent.of)


async def event_id_of(tx: Transaction, *, tenant_id: UUID, text: str) -> UUID:
    """Return the event behind our id of it (`evt_…`) or the gateway's own. Raises GatewayEventNotFound."""
    if event_id := ids.parsed_or_none(ids.EVENT, text):
        found = await tx.fetchval(_EXISTS, tenant_id, event_id)
    else:
        accounts = [row["id"] for row in await tx.fetch(_ACCOUNTS, tenant_id)]
        found = await tx.fetchval(_BY_GATEWAY_ID, tenant_id, text, accounts)
    if found is None:
        raise GatewayEventNotFound(
            f"there is no gateway event {text}", hint="Look events up at GET /v1/gateway-events."
        )
    return UUID(int=found.int)


async def event_story(tx: Transaction, *, tenant_id: UUID, event_id: UUID) -> GatewayEventStory:
    """Return an event that is known to be there, with what was tried and what became of it."""
    return GatewayEventStory.of(await tx.fetchrow(_STORY, tenant_id, event_id))


async def event(tx: Transaction, *, tenant_id: UUID, event_id: UUID) -> GatewayEvent:
    """Return an event that is known to be there."""
    return GatewayEvent.of(await tx.fetchrow(_STORY, tenant_id, event_id))


async def event_body(tx: Transaction, *, tenant_id: UUID, event_id: UUID) -> bytes | None:
    """Return the raw body of an event; None when it is past its retention."""
    body = await tx.fetchval(_BODY, tenant_id, event_id)
    return None if body is None else bytes(body)
