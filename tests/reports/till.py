"""Checkouts as they stand after they were started, without the minutes that a gateway takes for each."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from stage import PACK, Stage

_STARTED = """
with placed as (
  insert into customer_order (tenant_id, id, lines, created_at) values ($1, $2, $3::text::jsonb, $4)
), asked as (
  insert into gateway_call (tenant_id, id, gateway_account_id, key, operation, subject, asker, actor, request, state, ref, created_at, ended_at)
  values ($1, $5::uuid, $6, $5::uuid::text, 'create_checkout', 'cs', '', 'operator', 'x', $7, $8, $4, case when $7::text <> 'asked' then $4::timestamptz end)
)
insert into checkout (tenant_id, id, gateway_account_id, order_id, call_id, mode, actor, expires_at, created_at)
values ($1, $9, $6, $2, $5, 'payment', 'operator', $10, $4)
"""


async def start(
    stage: Stage,
    at: datetime,
    *,
    ref: str | None = None,
    sells: tuple[str, ...] = (PACK,),
    state: str = "succeeded",
    expires_at: datetime | None = None,
) -> str:
    """Start a checkout at an instant. ref: of the gateway's page. state: of the call that makes it. Return the id of its order."""
    lines: list[dict[str, Any]] = [{"price": ids.show(ids.PRICE, stage.prices[key]), "quantity": 1} for key in sells]
    order_id, checkout_id = ids.new(), _made_at(at)
    of = (stage.tenant_id, order_id, json.dumps(lines), at, ids.new(), stage.account_id)
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(_STARTED, *of, state, ref, checkout_id, expires_at)
    return ids.show(ids.ORDER, order_id)


def _made_at(at: datetime) -> UUID:
    return UUID(int=ids.least_at(at).int | ids.new().int & (2**80 - 1))
