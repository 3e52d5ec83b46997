"""Events that a gateway has and we do not: after a restore, or when it could not reach us for longer than it tries.

Some gateways list their events for weeks. Filing them is the same as having had them delivered, so what a restore lost
is merged as it was the first time. What no list of events tells, a run of reconciliation finds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.money.gateways import EnvelopeUnreadable, gateway
from bursar.money.gateways.callers import listed_by
from bursar.money.gateways.calling import Answer, Caller, CallFailed, Credentials, CredentialsRefused, Page
from bursar.money.gateways.calls import Kind
from bursar.money.intake import accounts
from bursar.money.intake.filing import Filing, file_events
from bursar.money.reconciliation.running import Surroundings

_ATTEMPTS: Final = 5
_AGAIN_FIRST_S: Final = 1.0
_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode

_GATEWAY = "select gateway from gateway_account where tenant_id = $1 and id = $2"


@dataclass(frozen=True, slots=True)
class Missed:
    """listed: events that the gateway has. filed: those of them that were not here. unread: those that name no event."""

    listed: int = 0
    filed: int = 0
    unread: int = 0


async def file_missed(
    surroundings: Surroundings,
    caller_of: Callable[[str], Caller],
    *,
    tenant_id: UUID,
    account_id: UUID,
    since: datetime,
    is_production: bool,
    told: Callable[[Missed], None],
) -> Missed | None:
    """File what a gateway has reported since then; None: it lists no events. told: gets what is done after each page.

    Each page is durable before the next one is asked for, and an event that is here already is left as it is: a run
    that breaks off is simply begun again. Raises CallFailed, after some tries, and what `accounts.credentials` raises.
    """
    async with surroundings.db.tenant(tenant_id) as tx:
        if Kind.event not in listed_by(await tx.fetchval(_GATEWAY, tenant_id, account_id)):
            return None
        name, credentials = await accounts.credentials(
            tx, tenant_id=tenant_id, account_id=account_id, seal=surroundings.seal, is_production=is_production
        )
    done, cursor = Missed(), None
    while True:
        page = await _page(caller_of(name), credentials, since=since, cursor=cursor)
        filings = [one for answer in page.answers if (one := _filing(tenant_id, account_id, name, answer))]
        filed = await _filed(surroundings.db, tenant_id, filings)
        unread = len(page.answers) - len(filings)
        done = Missed(done.listed + len(page.answers), done.filed + filed, done.unread + unread)
        told(done)
        cursor = page.cursor
        if cursor is None:
            return done


async def _page(caller: Caller, credentials: Credentials, *, since: datetime, cursor: str | None) -> Page:
    for attempt in range(_ATTEMPTS):
        try:
            return await caller.objects(Kind.event, credentials=credentials, since=since, cursor=cursor)
        except CredentialsRefused:
            raise
        except CallFailed:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(_AGAIN_FIRST_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _filing(tenant_id: UUID, account_id: UUID, name: str, answer: Answer) -> Filing | None:
    body = _ENCODE(answer.object)
    try:
        envelope = gateway(name).envelope(headers={}, body=body)
    except EnvelopeUnreadable:
        return None
    return Filing(
        id=ids.new(),
        tenant_id=tenant_id,
        account_id=account_id,
        event_id=envelope.event_id,
        type=envelope.type,
        origin="gateway",
        occurred_at=envelope.occurred_at,
        headers={},
        body=body,
        dead_because=None,
    )


async def _filed(db: Database, tenant_id: UUID, filings: list[Filing]) -> int:
    if not filings:
        return 0
    async with db.tenant(tenant_id) as tx:
        return sum(not filed.is_duplicate for filed in await file_events(tx, filings))
