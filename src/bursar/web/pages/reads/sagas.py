"""What has several steps, with the names of the customers it is about."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.listing import ASKED, Slice
from bursar.money.sagas import Saga, saga, sagas
from bursar.web.pages.paging import ROWS

_NAMES = (
    "select id, left(coalesce(name, email), 200) as name from customer where tenant_id = $1 and id = any($2::uuid[])"
)


@dataclass(frozen=True, slots=True)
class SagaRow:
    """customer: the name or address, where there is one."""

    id: str
    saga: Saga
    money: Money
    customer_id: str | None
    customer: str | None
    calls: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class SagaRows:
    """for_hands: what a person has to finish. others: a page of the rest; after: where the next page begins."""

    for_hands: tuple[SagaRow, ...]
    others: tuple[SagaRow, ...]
    after: str | None


async def saga_list(tx: Transaction, *, tenant_id: UUID, after: UUID | None) -> SagaRows:
    """Return what a person has to finish, on the first page only, and a page of the rest, newest first."""
    place = Slice(ROWS, after)
    others = await sagas(tx, tenant_id=tenant_id, page=place, given={"by_itself": ASKED})
    hands = () if after else (await sagas(tx, tenant_id=tenant_id, page=place, given={"for_hands": ASKED})).rows
    rows = await _rows(tx, tenant_id, [*hands, *others.rows])
    after_id = ids.show(ids.SAGA, others.next_after) if others.next_after else None
    return SagaRows(rows[: len(hands)], rows[len(hands) :], after_id)


async def saga_story(tx: Transaction, *, tenant_id: UUID, saga_id: UUID) -> SagaRow:
    """Return one. Raises SagaNotFound."""
    return (await _rows(tx, tenant_id, [await saga(tx, tenant_id=tenant_id, saga_id=saga_id)]))[0]


async def _rows(tx: Transaction, tenant_id: UUID, found: Iterable[Saga]) -> tuple[SagaRow, ...]:
    found = list(found)
    whose = {one.customer for one in found if one.customer}
    named = await tx.fetch(_NAMES, tenant_id, list(whose)) if whose else ()
    names = {row["id"]: row["name"] for row in named}
    return tuple(_row(one, names.get(one.customer)) for one in found)


def _row(one: Saga, name: str | None) -> SagaRow:
    calls = tuple(ids.show(ids.GATEWAY_CALL, s.gateway_call) if s.gateway_call else None for s in one.steps)
    customer_id = ids.show(ids.CUSTOMER, one.customer) if one.customer else None
    return SagaRow(ids.show(ids.SAGA, one.id), one, Money(one.amount_minor, one.currency), customer_id, name, calls)
