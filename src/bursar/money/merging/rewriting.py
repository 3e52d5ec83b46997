"""Rewrite registers in place: the same version of the same object, told with less. Decision 0015."""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import AnyFact, PaymentMethodFact
from bursar.money.merging.registers import OWNED, decode, encode, tie_of


class RegisterKey(NamedTuple):
    """Which register of an account. ref: the gateway's id."""

    kind: str
    ref: str


_STATES = """
select o.kind, o.ref, o.state::text as state
from unnest($3::text[], $4::text[]) as wanted (kind, ref) cross join lateral (
  select kind, ref, state from gateway_object
  where tenant_id = $1 and gateway_account_id = $2 and kind = wanted.kind and ref = wanted.ref offset 0
) o
"""

_REWRITE_SAME = """
update gateway_object as o set state = new.after::jsonb, version_tie = new.tie
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) as new (kind, ref, before, after, tie)
where o.tenant_id = $1 and o.gateway_account_id = $2 and o.kind = new.kind and o.ref = new.ref and o.state = new.before::jsonb
returning o.purchase_id
"""

_REWRITE = """
update gateway_object as o set state = new.state::jsonb, version_tie = new.tie
from unnest($3::text[], $4::text[], $5::text[], $6::bigint[]) as new (kind, ref, state, tie)
where o.tenant_id = $1 and o.gateway_account_id = $2 and o.kind = new.kind and o.ref = new.ref
"""


async def rewrite(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    keys: Sequence[RegisterKey],
    change: Callable[[AnyFact], AnyFact],
) -> None:
    """Change what registers say of an object without making it newer.

    tx: of whoever owns the account's lane. change: must give every snapshot of one content the same one.
    """
    wanted = sorted(set(keys))
    rows = await tx.fetch(_STATES, tenant_id, account_id, [key.kind for key in wanted], [key.ref for key in wanted])
    before = [decode(row["kind"], row["state"]) for row in rows]
    told = [
        (row, after, encode(after)) for row, fact in zip(rows, before, strict=True) if (after := change(fact)) != fact
    ]
    if told:
        await tx.execute(
            _REWRITE,
            tenant_id,
            account_id,
            [row["kind"] for row, _, _ in told],
            [row["ref"] for row, _, _ in told],
            [state.decode() for _, _, state in told],
            [tie_of(after, state) for _, after, state in told],
        )


async def rewrite_same(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, pairs: Sequence[tuple[AnyFact, AnyFact]]
) -> list[UUID]:
    """Put the second fact of each pair where the first is what a register says now; return the purchases concerned.

    tx: of whoever owns the account's lane.
    """
    # Many bodies tell of one object; at most one of them tells what its register says now.
    told = {
        (kind, before.ref, encode(before)): after
        for before, after in pairs
        for kind in ((before.kind, OWNED) if isinstance(before, PaymentMethodFact) else (before.kind,))
    }
    if not told:
        return []
    keys = sorted(told)
    afters = [(told[key], encode(told[key])) for key in keys]
    rows = await tx.fetch(
        _REWRITE_SAME,
        tenant_id,
        account_id,
        [kind for kind, _, _ in keys],
        [ref for _, ref, _ in keys],
        [before.decode() for _, _, before in keys],
        [state.decode() for _, state in afters],
        [tie_of(after, state) for after, state in afters],
    )
    return sorted({row["purchase_id"] for row in rows if row["purchase_id"]})
