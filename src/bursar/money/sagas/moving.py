"""Move a saga on: in the transaction that writes what came of one step, the next one is asked for.

So a crash between any two lines leaves either the step without an outcome, whose call is made again, or its outcome with the
next step asked for. Each change of a step is one statement, guarded by the state that it leaves.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction, attempt, storable
from bursar.kernel.errors import Conflict, DomainError, Unavailable
from bursar.money import calls
from bursar.money.calls import Asker, Ended
from bursar.money.gateways.calls import Kind as ObjectKind
from bursar.money.sagas.deciding import AskNext, Rest, Undo, decide
from bursar.money.sagas.kinds import KINDS
from bursar.money.sagas.models import Asked, Kind, Saga, Standing, State, StepState

_NAME: Final = "sagas"
_GONE: Final = frozenset({"failed", "canceled"})
"""What an answered refund says when the gateway took the call and the money did not move."""
_CODE_MAX, _ERROR_MAX = 100, 500


class SagaOpen(Conflict):
    """An earlier saga about the same subject has not come to its end."""

    code = "saga_open"


_BEGIN = """
insert into saga (tenant_id, id, kind, gateway_account_id, subject, customer_id, plan, amount_minor, currency, actor)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10)
on conflict (tenant_id, subject) where state in ('running', 'compensating', 'stuck') do nothing
returning id
"""

_STEPS = """
insert into saga_step (tenant_id, saga_id, number, name, compensates, state, ended_at)
select $1, $2, n.number, n.name, n.compensates, n.state, case when n.state = 'skipped' then clock_timestamp() end
from unnest($3::smallint[], $4::text[], $5::smallint[], $6::text[]) as n (number, name, compensates, state)
"""

_STANDINGS = (
    "select number, name, compensates, state from saga_step where tenant_id = $1 and saga_id = $2 order by number"
)

_SAGA = """
select tenant_id, id, kind, state, gateway_account_id as account_id, subject, plan::text as plan, amount_minor, currency, actor
from saga where tenant_id = $1 and id = $2 for update
"""

_OF_CALL = "select saga_id from saga_step where tenant_id = $1 and call_id = $2"

_HEARD = """
update saga_step set state = $3, error_code = $4, error = $5, ended_at = case when $3 <> 'unknown' then clock_timestamp() end
where tenant_id = $1 and call_id = $2 and state in ('asked', 'unknown') and state <> $3
returning number
"""

_ASKED = """
update saga_step set state = 'asked', call_id = $4, about = $5, asked_at = clock_timestamp()
where tenant_id = $1 and saga_id = $2 and number = $3 and state = 'waiting'
returning number
"""

_REFUSED = """
update saga_step set state = 'refused', error_code = $4, error = $5, ended_at = clock_timestamp()
where tenant_id = $1 and saga_id = $2 and number = $3 and state = 'waiting'
returning number
"""

_SKIP = """
update saga_step set state = 'skipped', ended_at = clock_timestamp()
where tenant_id = $1 and saga_id = $2 and state = 'waiting' and compensates is null
"""

_STAND = """
update saga set state = $3, ended_at = case when $3 in ('completed', 'compensated') then clock_timestamp() end
where tenant_id = $1 and id = $2 and state in ('running', 'compensating', 'stuck') and state <> $3
returning id
"""

_OPEN_OF = "select id from saga where tenant_id = $1 and subject = $2 and state in ('running', 'compensating', 'stuck')"


async def begin(
    tx: Transaction,
    kind: Kind,
    *,
    tenant_id: UUID,
    account_id: UUID,
    subject: str,
    customer_id: UUID | None,
    plan: Mapping[str, Any],
    amount_minor: int,
    currency: str,
    actor: str,
) -> UUID:
    """Write down a saga and ask for its first step; return it. Nothing is sent before the transaction commits.

    plan: ids and plain values. amount_minor: what is to go back. Raises SagaOpen, and what the first step's vertical refuses.
    """
    saga_id, told = ids.new(), msgspec.json.encode(plan).decode()
    given = (account_id, subject, customer_id, told, amount_minor, currency, actor)
    if await tx.fetchval(_BEGIN, tenant_id, saga_id, kind.name, *given) is None:
        raise await _is_open(tx, tenant_id, subject)
    numbers = range(1, len(kind.steps) + 1)
    states = ["waiting" if step.is_needed(plan) else "skipped" for step in kind.steps]
    names = [step.act.name for step in kind.steps]
    await tx.execute(_STEPS, tenant_id, saga_id, list(numbers), names, [None] * len(names), states)
    saga = Saga(tenant_id, saga_id, kind.name, "running", account_id, subject, plan, amount_minor, currency, actor)
    first = decide(kind, await _standings(tx, saga))
    assert isinstance(first, AskNext), "a saga begins with a step"
    await _ask(tx, saga, kind, first.step)
    changes = {"kind": kind.name, "subject": subject, "amount_minor": amount_minor, "currency": currency}
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="saga.begun", subject=saga.shown, changes=changes)
    return saga_id


async def _done(tx: Transaction, ended: Ended) -> None:
    status = (ended.object or {}).get("status") if ended.object_kind is ObjectKind.refund else None
    if status in _GONE:
        await _hear(tx, ended, "refused", code=f"answered_{status}", why=f"the gateway took it, and it is {status}")
    else:
        await _hear(tx, ended, "done")


async def _refused(tx: Transaction, ended: Ended) -> None:
    await _hear(tx, ended, "refused", code=ended.code, why=ended.message or "refused")


async def _unknown(tx: Transaction, ended: Ended) -> None:
    await _hear(tx, ended, "unknown", why=ended.message)


ASKER: Final = Asker(_NAME, on_succeeded=_done, on_refused=_refused, on_unknown=_unknown)
"""Told beside the vertical whose call it is, after it."""


async def _hear(
    tx: Transaction, ended: Ended, state: StepState, *, code: str | None = None, why: str | None = None
) -> None:
    """Write what came of a step, and move its saga on. What a person settled stays as he left it."""
    saga_id = await tx.fetchval(_OF_CALL, ended.tenant_id, ended.id)
    row = await tx.fetchrow(_SAGA, ended.tenant_id, saga_id)
    told = (code and storable(code, length_max=_CODE_MAX), why and storable(why, length_max=_ERROR_MAX))
    if await tx.fetchval(_HEARD, ended.tenant_id, ended.id, state, *told) is None:
        return
    saga = Saga(**dict(row) | {"plan": msgspec.json.decode(row["plan"])})
    if saga.state in ("running", "compensating", "stuck"):
        await _move(tx, saga)


async def _move(tx: Transaction, saga: Saga) -> None:
    kind = KINDS[saga.kind]
    for _ in range(4 * len(kind.steps)):
        match decide(kind, await _standings(tx, saga)):
            case AskNext(step, state):
                await _stand(tx, saga, state)
                if await _is_asked(tx, saga, kind, step):
                    return
            case Undo(steps):
                await _write_undoing(tx, saga, kind, steps)
            case Rest(state):
                await _stand(tx, saga, state)
                return
    raise AssertionError(f"{saga.shown} does not come to rest")


async def _is_asked(tx: Transaction, saga: Saga, kind: Kind, step: Standing) -> bool:
    """Ask for a step; False when its vertical refuses at once, which is an outcome like the gateway's own refusal."""
    try:
        async with attempt(tx):
            await _ask(tx, saga, kind, step)
    except Unavailable:
        raise
    except DomainError as refusal:
        why = storable(f"{refusal.message}. {refusal.hint}".strip(), length_max=_ERROR_MAX)
        await tx.fetchval(_REFUSED, saga.tenant_id, saga.id, step.number, refusal.code[:_CODE_MAX], why)
        return False
    return True


async def _ask(tx: Transaction, saga: Saga, kind: Kind, step: Standing) -> None:
    asked: Asked = await kind.act(step.name).ask(tx, saga)
    call_id = await calls.tell_too(tx, tenant_id=saga.tenant_id, key=asked.call_key, asker=_NAME)
    written = await tx.fetchval(_ASKED, saga.tenant_id, saga.id, step.number, call_id, asked.about)
    assert written is not None, "a step is asked for once"


async def _write_undoing(tx: Transaction, saga: Saga, kind: Kind, steps: Sequence[Standing]) -> None:
    await tx.execute(_SKIP, saga.tenant_id, saga.id)
    undos = [(step, kind.undo_of(step.name)) for step in steps]
    names = [undo.name for _, undo in undos if undo]
    numbers = [len(kind.steps) + place for place in range(1, len(steps) + 1)]
    undone = [step.number for step in steps]
    await tx.execute(_STEPS, saga.tenant_id, saga.id, numbers, names, undone, ["waiting"] * len(steps))


async def _stand(tx: Transaction, saga: Saga, state: State) -> None:
    """Write where the saga stands, and tell what somebody may wait for."""
    if state in ("compensated", "needs_hands"):
        await tx.execute(_SKIP, saga.tenant_id, saga.id)
    if await tx.fetchval(_STAND, saga.tenant_id, saga.id, state) is None or state == "running":
        return
    changes = {"kind": saga.kind, "subject": saga.subject}
    await audit.record(
        tx, tenant_id=saga.tenant_id, actor="gateway", action=f"saga.{state}", subject=saga.shown, changes=changes
    )


async def _standings(tx: Transaction, saga: Saga) -> list[Standing]:
    return [Standing(**dict(row)) for row in await tx.fetch(_STANDINGS, saga.tenant_id, saga.id)]


async def _is_open(tx: Transaction, tenant_id: UUID, subject: str) -> SagaOpen:
    open_id = await tx.fetchval(_OPEN_OF, tenant_id, subject)
    shown = ids.show(ids.SAGA, open_id) if open_id else ""
    return SagaOpen(
        f"{subject} is in the middle of something that has several steps",
        hint="Wait for its end: GET /v1/sagas/{saga}.",
        retry_after_s=2,
        context={"saga": shown} if shown else {},
    )
