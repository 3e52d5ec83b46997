"""Reads of what was tried that should not have been."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BeforeValidator, Field

from bursar.kernel.db import Transaction
from bursar.kernel.http.identifiers import SecurityEventId
from bursar.kernel.http.views import View
from bursar.kernel.listing import Listing, Part, Slice, part

ALARMING: Final = ("key_refused", "sign_in_failed", "token_refused")
ALARM_WITHIN: Final = timedelta(hours=1)
ALARM_FROM: Final = 20
"""So many refused keys, tokens and sign-ins within an hour are shown as an alarm."""


def _none_if_empty(value: Any) -> Any:
    return value or None


class SecurityEvent(View):
    """What was tried that should not have been, counted for one actor and address and hour."""

    id: SecurityEventId
    kind: str = Field(examples=["key_refused"])
    actor: Annotated[str | None, BeforeValidator(_none_if_empty)] = Field(
        examples=["key:key_01kapj5m6rfq1v5wx6h0b1a2c3"], description="Absent where nobody was recognised."
    )
    address: Annotated[str | None, BeforeValidator(_none_if_empty)] = Field(
        examples=["192.0.2.7"], description="`many` where there were too many to tell apart."
    )
    hour: datetime
    count: int
    detail: str = Field(examples=["GET /v1/payments"], description="Of the last one.")
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class KindCount:
    """How many of a kind there were. actors, addresses: how many different ones within the week."""

    kind: str
    day: int
    week: int
    actors: int
    addresses: int
    last_at: datetime


SECURITY_EVENTS = Listing(
    select="""select s.id, s.kind, s.actor, s.address, s.hour, s.count, s.detail, s.first_at, s.last_at
from security_event s""",
    tenant="s.tenant_id",
    key="s.id",
    filters={
        "kind": "s.kind = {}",
        "actor": "s.actor = {}",
        "address": "s.address = {}",
        "since": "s.last_at >= {}",
        "until": "s.first_at < {}",
    },
)

_BY_KIND = """select s.kind, coalesce(sum(s.count) filter (where s.hour >= $2), 0)::bigint as day, sum(s.count)::bigint as week,
  count(distinct s.actor) filter (where s.actor <> '') as actors,
  count(distinct s.address) filter (where s.address <> '') as addresses, max(s.last_at) as last_at
from security_event s where s.tenant_id = $1 and s.hour >= $3
group by s.kind order by day desc, week desc, s.kind"""

_ALARMING = """select coalesce(sum(s.count), 0)::bigint from security_event s
where s.tenant_id = $1 and s.hour >= $2 and s.last_at >= $3 and s.kind = any($4::text[])"""


async def security_events(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: dict[str, Any]
) -> Part[SecurityEvent]:
    """Return what was tried, newest first. given: values by filter of `SECURITY_EVENTS`."""
    return await part(tx, SECURITY_EVENTS, tenant_id=tenant_id, given=given, page=page, view=SecurityEvent.of)


async def counts_by_kind(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[KindCount, ...]:
    """Return how many of each kind there were within a day and a week."""
    rows = await tx.fetch(_BY_KIND, tenant_id, now - timedelta(days=1), now - timedelta(days=7))
    return tuple(KindCount(**dict(row)) for row in rows)


async def alarming(tx: Transaction, *, tenant_id: UUID, now: datetime) -> int:
    """Return how many keys, tokens and sign-ins were refused within the last hour; fewer than `ALARM_FROM` are 0."""
    since = now - ALARM_WITHIN
    hour = since.replace(minute=0, second=0, microsecond=0)
    count: int = await tx.fetchval(_ALARMING, tenant_id, hour, since, list(ALARMING))
    return count if count >= ALARM_FROM else 0
