"""Sagas as people and programs see them: each with its steps, their calls, and what is to be done by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.calls.models import CallState
from bursar.money.calls.queries import GatewayCallId
from bursar.money.sagas.kinds import REFUND
from bursar.money.sagas.models import State, StepState
from bursar.money.sagas.telling import Case, Told, what_to_do

SagaId = Annotated[UUID, PublicId(ids.SAGA)]


class SagaNotFound(NotFound):
    """No saga of this tenant has this id."""

    code = "saga_not_found"


class SagaStep(View):
    """One step, or what undoes one."""

    number: int
    name: str = Field(examples=["refund"])
    compensates: int | None = Field(description="The number of the step that this one undoes.")
    state: StepState = Field(
        description="unknown: it may have been done, and nobody can tell. skipped: it was not needed, or an earlier one was refused."
    )
    about: str | None = Field(description="What was made for it.", examples=["re_01kapj5m6rfq1v5wx6h0b1a2c3"])
    amount_minor: int | None = Field(description="Of a refund.")
    currency: str | None
    gateway_call: GatewayCallId | None
    call_state: CallState | None
    ref: str | None = Field(description="The gateway's id of what it answered.", examples=["re_3QXg1o8vcGmoR32Z"])
    error_code: str | None
    error: str | None = Field(description="Why it was refused, or why nobody can tell.")
    asked_at: datetime | None
    ended_at: datetime | None


class Saga(View):
    """Several calls to a gateway that belong together, and how far they are."""

    id: SagaId
    kind: str = Field(examples=["subscriptions.change_and_refund"])
    state: State = Field(
        description="compensating: a step was refused, and what was done is being undone. stuck: nobody can tell whether a step was "
        "done. needs_hands: a person has to finish it. compensated: nothing is left of it. settled: a person has finished it."
    )
    subject: str = Field(examples=["sub_01kapj5m6rfq1v5wx6h0b1a2c3"])
    customer: CustomerId | None
    gateway_account: AccountId
    payment: str = Field(
        description="The payment of which money goes back.", examples=["pay_01kapj5m6rfq1v5wx6h0b1a2c3"]
    )
    amount_minor: int = Field(description="What is to go back.")
    currency: str = Field(examples=["EUR"])
    what_to_do: str | None = Field(description="While it is stuck or needs hands: what exactly, with amounts and ids.")
    steps: tuple[SagaStep, ...]
    actor: str
    settled_by: str | None
    note: str | None = Field(description="What whoever settled it by hand said.")
    created_at: datetime
    ended_at: datetime | None


_SELECT: Final = """select s.id, s.kind, s.state, s.subject, s.customer_id, s.gateway_account_id, s.plan::text as plan, s.amount_minor,
  s.currency, s.actor, s.settled_by, s.note, s.created_at, s.ended_at, a.gateway
from saga s join gateway_account a on a.tenant_id = s.tenant_id and a.id = s.gateway_account_id"""

SAGAS = Listing(
    select=_SELECT,
    tenant="s.tenant_id",
    key="s.id",
    filters={
        "state": "s.state = {}",
        "for_hands": "s.state in ('stuck', 'needs_hands')",
        "by_itself": "s.state in ('running', 'compensating', 'completed', 'compensated', 'settled')",
        "subject": "s.subject = {}",
        "kind": "s.kind = {}",
        "since": "s.created_at >= {}",
        "until": "s.created_at < {}",
    },
    stamped_by="us",
)

_ONE = f"{_SELECT} where s.tenant_id = $1 and s.id = $2"

_STEPS = """
select t.saga_id, t.number, t.name, t.compensates, t.state, t.about, t.call_id, c.state as call_state, c.ref, t.error_code,
  coalesce(t.error, case when t.state = 'unknown' then c.error_message end) as error, t.asked_at, t.ended_at
from saga_step t left join gateway_call c on c.tenant_id = t.tenant_id and c.id = t.call_id
where t.tenant_id = $1 and t.saga_id = any($2::uuid[]) order by t.saga_id, t.number
"""

_STATE = "select state from saga where tenant_id = $1 and id = $2"


async def sagas(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Saga]:
    """Return sagas, newest first. given: values by filter of `SAGAS`."""
    found: Part[Any] = await part(tx, SAGAS, tenant_id=tenant_id, given=given, page=page, view=dict)
    return replace(found, rows=tuple(await _told(tx, tenant_id, found.rows)))


async def saga(tx: Transaction, *, tenant_id: UUID, saga_id: UUID) -> Saga:
    """Return one saga. Raises SagaNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, saga_id)
    if row is None:
        raise SagaNotFound(f"there is no saga {ids.show(ids.SAGA, saga_id)}")
    return (await _told(tx, tenant_id, [row]))[0]


async def state_of(tx: Transaction, *, tenant_id: UUID, saga_id: UUID) -> State | None:
    state: State | None = await tx.fetchval(_STATE, tenant_id, saga_id)
    return state


async def _told(tx: Transaction, tenant_id: UUID, rows: Iterable[Any]) -> list[Saga]:
    by_saga: dict[UUID, list[Any]] = {row["id"]: [] for row in rows}
    if not by_saga:
        return []
    for step in await tx.fetch(_STEPS, tenant_id, list(by_saga)):
        by_saga[step["saga_id"]].append(step)
    return [_saga(row, by_saga[row["id"]]) for row in rows]


def _saga(row: Any, steps: list[Any]) -> Saga:
    plan = msgspec.json.decode(row["plan"])
    customer = ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None
    money = Money(row["amount_minor"], row["currency"])
    told = [Told(s["name"], s["state"], _call(s), s["about"], s["error"]) for s in steps]
    case = Case(row["state"], row["gateway"], plan, money, customer, told)
    same = (
        "id",
        "kind",
        "state",
        "subject",
        "amount_minor",
        "currency",
        "actor",
        "settled_by",
        "note",
        "created_at",
        "ended_at",
    )
    return Saga(
        **{name: row[name] for name in same},
        customer=row["customer_id"],
        gateway_account=row["gateway_account_id"],
        payment=plan["payment"],
        what_to_do=what_to_do(case),
        steps=tuple(_step(row, step) for step in steps),
    )


def _step(saga_row: Any, step: Any) -> SagaStep:
    is_refund = step["name"] == REFUND
    same = (
        "number",
        "name",
        "compensates",
        "state",
        "about",
        "call_state",
        "ref",
        "error_code",
        "error",
        "asked_at",
        "ended_at",
    )
    return SagaStep(
        **{name: step[name] for name in same},
        amount_minor=saga_row["amount_minor"] if is_refund else None,
        currency=saga_row["currency"] if is_refund else None,
        gateway_call=step["call_id"],
    )


def _call(step: Any) -> str | None:
    return ids.show(ids.GATEWAY_CALL, step["call_id"]) if step["call_id"] else None
