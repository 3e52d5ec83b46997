"""What we have of a kind within the window, and the gateway did not list: a difference of two sets, which the database makes."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bursar.kernel.db import Transaction
from bursar.money.gateways.calls import Kind
from bursar.money.reconciliation.models import ABSENT_MAX, Class, Found, Run, State, Why


class AccountsMixedUp(Exception):
    """The gateway lists so few of our objects that it must be another account's key."""


# `except` reads each side once, whatever the plan. Of what is left the register decides whether the gateway told of it under that name,
# because a row may stand in for an object that has none of its own.
_ABSENT: Final = """
with ours as (
  select gateway_ref as ref from {table}
  where tenant_id = $1 and gateway_account_id = $2 and created_at >= $5 and created_at < $6
  except
  select unnest(refs) from reconciliation_page where tenant_id = $1 and run_id = $3 and kind = '{kind}'
)
select o.ref, o.told::text as told, o.made_at
from ours cross join lateral (
  select ref, jsonb_strip_nulls(jsonb_build_object('status', state -> 'status', 'amount_minor', state -> 'amount_minor',
    'currency', state -> 'currency')) as told, (state ->> 'created_at')::timestamptz as made_at
  from gateway_object where tenant_id = $1 and gateway_account_id = $2 and kind = '{kind}' and ref = ours.ref offset 0
) o
where o.made_at >= $5 and o.made_at < $6
order by o.ref limit $4
"""

_NOT_BOOKED: Final = """
select ref, jsonb_build_object('amount_minor', amount_minor, 'fee_minor', fee_minor, 'currency', currency)::text as told, created_at as made_at
from balance_transaction
where tenant_id = $1 and gateway_account_id = $2 and created_at >= $5 and created_at < $6 and ref in (
  select ref from balance_transaction
  where tenant_id = $1 and gateway_account_id = $2 and created_at >= $5 and created_at < $6
  except
  select unnest(refs) from reconciliation_page where tenant_id = $1 and run_id = $3 and kind = 'balance_transaction'
)
order by ref limit $4
"""

_TABLES: Final = {
    Kind.payment: "payment",
    Kind.charge: "payment",
    Kind.refund: "refund",
    Kind.dispute: "dispute",
    Kind.subscription: "subscription",
}
_STATEMENTS: Final = {
    **{kind: _ABSENT.format(table=table, kind=kind.value) for kind, table in _TABLES.items()},
    Kind.balance_transaction: _NOT_BOOKED,
}
_FORGET = "delete from reconciliation_page where tenant_id = $1 and run_id = $2 and kind = $3"
_EVER: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


async def find_absent(tx: Transaction, run: Run, *, tenant_id: UUID, grace: timedelta) -> list[Found]:
    """Return what the gateway should have listed of the kind under way, and forget what it did list.

    What is younger than grace may not be in the gateway's lists yet. Raises AccountsMixedUp.
    """
    kind, window = run.kind, (run.since or _EVER, run.until - grace)
    rows = await tx.fetch(_STATEMENTS[kind], tenant_id, run.account_id, run.id, ABSENT_MAX + 1, *window)
    if len(rows) > ABSENT_MAX:
        raise AccountsMixedUp(
            f"the gateway does not list more than {ABSENT_MAX} of our {kind.value}s: is the API key of this account, and of its mode?"
        )
    await tx.execute(_FORGET, tenant_id, run.id, kind.value)
    return [
        Found(
            kind.value,
            row["ref"],
            Class.missing_there,
            msgspec.json.decode(row["told"]),
            None,
            State.open,
            Why.not_listed,
            made_at=row["made_at"],
        )
        for row in rows
    ]
