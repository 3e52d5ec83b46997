"""What stands around every page: whose it is, and what needs attention."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction

COUNTED_TO = 99


@dataclass(frozen=True, slots=True)
class Shell:
    """dead, overdue, broken, due: how many dead letters, unmatched payments past their grace, broken invariants, and disputes due soon.
    hands: how many sagas a person has to finish. alerts: those that are open. requests: bookings that somebody has to confirm.

    sandboxes: names of the accounts whose money is play money. is_mixed: there are accounts of real money beside them.
    """

    tenant: str
    tenant_id: str
    dead: int
    overdue: int
    broken: int
    due: int
    hands: int
    alerts: int
    requests: int
    sandboxes: tuple[str, ...]
    is_mixed: bool


_SHELL = f"""
select left(t.name, 200) as name,
  (select count(*) from (select from gateway_event_dead where tenant_id = $1 limit {COUNTED_TO + 1}) d) as dead,
  (select count(*) from (
     select from purchase where tenant_id = $1 and is_paid and unmatched_reason is not null and merged_into is null
       and first_seen_at < $2 limit {COUNTED_TO + 1}) u) as overdue,
  (select count(*) from (
     select from dispute where tenant_id = $1 and status = 'needs_response' and due_by > $3 and due_by <= $4 limit {COUNTED_TO + 1}) y) as due,
  (select count(*) from (
     select from saga where tenant_id = $1 and state in ('stuck', 'needs_hands') limit {COUNTED_TO + 1}) h) as hands,
  (select count(*) from (select from alert where tenant_id = $1 and state = 'open' limit {COUNTED_TO + 1}) a) as alerts,
  (select count(*) from (select from booking where tenant_id = $1 and status = 'requested' limit {COUNTED_TO + 1}) q) as requests,
  coalesce((select jsonb_array_length(failures) from invariant_sweep where tenant_id = $1), 0) as broken,
  array(select left(name, 60) from gateway_account
        where tenant_id = $1 and gateway = 'sandbox' and is_active order by id limit 5) as sandboxes,
  exists (select from gateway_account where tenant_id = $1 and gateway <> 'sandbox') as is_mixed
from tenant t where t.tenant_id = $1
"""


async def shell_of(
    tx: Transaction, *, tenant_id: UUID, overdue_before: datetime, now: datetime, due_before: datetime
) -> Shell:
    """Return what surrounds a page."""
    row = await tx.fetchrow(_SHELL, tenant_id, overdue_before, now, due_before)
    return Shell(
        tenant=row["name"],
        tenant_id=ids.show(ids.TENANT, tenant_id),
        dead=row["dead"],
        overdue=row["overdue"],
        broken=row["broken"],
        due=row["due"],
        hands=row["hands"],
        alerts=row["alerts"],
        requests=row["requests"],
        sandboxes=tuple(row["sandboxes"]),
        is_mixed=bool(row["sandboxes"]) and row["is_mixed"],
    )
