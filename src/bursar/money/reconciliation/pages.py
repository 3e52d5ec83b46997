"""Take one page of the gateway's list: one transaction that compares, writes down, files repairs, and moves the run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.gateways import FieldMissing, gateway
from bursar.money.gateways.balances import balance_entry
from bursar.money.gateways.bookings import BalanceEntry
from bursar.money.gateways.calling import Answer, Page
from bursar.money.gateways.calls import Kind
from bursar.money.gateways.facts import AnyFact, DisputeFundsFact
from bursar.money.merging import objects
from bursar.money.reconciliation.absent import find_absent
from bursar.money.reconciliation.balances import compare_and_keep
from bursar.money.reconciliation.comparing import compared, matters
from bursar.money.reconciliation.differences import counted, write_found
from bursar.money.reconciliation.models import Class, Found, Run, State, Why
from bursar.money.reconciliation.runs import move_on

_DETAIL_MAX: Final = 500

_REMEMBER = """
insert into reconciliation_page (tenant_id, run_id, number, kind, refs) values ($1, $2, $3, $4, $5)
"""


Differing = dict[tuple[str, str], tuple[Found, Answer | None]]
"""Differences by the kind and name of their objects, each with what the gateway showed; None where it shows nothing."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """One fact of a listed object."""

    answer: Answer
    fact: AnyFact
    made_at: datetime | None


async def take_page(tx: Transaction, run: Run, *, tenant_id: UUID, page: Page, now: datetime, grace: timedelta) -> None:
    """Compare a page with what we have. A page is taken once: the run moves on in the same transaction.

    Raises RunMoved, AccountsMixedUp; the transaction is then to be given up.
    """
    compare = _booked if run.kind is Kind.balance_transaction else _merged
    found = await compare(tx, run, tenant_id=tenant_id, answers=page.answers, now=now)
    refs = list(dict.fromkeys(answer.ref for answer in page.answers))
    differing = {answer.ref for _, answer in found.values() if answer}
    if refs:
        await tx.execute(_REMEMBER, tenant_id, run.id, run.pages, run.kind.value, refs)
    if page.cursor is None:
        absent = await find_absent(tx, run, tenant_id=tenant_id, grace=grace)
        found |= {(each.kind, each.ref): (each, None) for each in absent}
    classes = await write_found(tx, run, tenant_id=tenant_id, found=[*found.values()], now=now, grace=grace)
    await move_on(
        tx,
        run,
        tenant_id=tenant_id,
        cursor=page.cursor,
        objects=len(refs),
        counts=counted(classes),
        matched=len(refs) - len(differing),
        now=now,
    )


async def to_fetch(tx: Transaction, run: Run, *, tenant_id: UUID, page: Page) -> list[Answer]:
    """Return which objects of a page differ and would be merged: where lists are short, they are fetched before that."""
    if run.kind is Kind.balance_transaction:
        return []
    found = await _merged(tx, run, tenant_id=tenant_id, answers=page.answers, now=run.until)
    differing = {answer.ref: answer for each, answer in found.values() if answer and each.state is not State.open}
    return [*differing.values()]


async def _merged(tx: Transaction, run: Run, *, tenant_id: UUID, answers: Sequence[Answer], now: datetime) -> Differing:
    """Compare objects that are merged from reports with their registers: one statement for all of them."""
    del now
    found: Differing = {}
    shown: list[_Shown] = []
    for answer in answers:
        try:
            shown += _facts(run, answer)
        except FieldMissing as error:
            unread = _unread(run, answer, error)
            found[unread.kind, unread.ref] = (unread, answer)
    names = [(each.fact.kind, each.fact.ref) for each in shown]
    known = await objects(tx, tenant_id=tenant_id, account_id=run.account_id, names=names)
    for each in shown:
        name = (each.fact.kind, each.fact.ref)
        difference = compared(known.get(name), each.fact, at=each.answer.at, made_at=each.made_at)
        if difference:
            found[name] = (difference, each.answer)
    return found


async def _booked(tx: Transaction, run: Run, *, tenant_id: UUID, answers: Sequence[Answer], now: datetime) -> Differing:
    """Compare bookings, which nobody reports, with those that were listed before and with what they are about."""
    found: Differing = {}
    entries: dict[str, BalanceEntry] = {}
    by_ref = {answer.ref: answer for answer in answers}
    for answer in answers:
        try:
            entries[answer.ref] = balance_entry(run.gateway, answer.object)
        except FieldMissing as error:
            found[run.kind.value, answer.ref] = (_unread(run, answer, error), answer)
    for each in await compare_and_keep(tx, run, tenant_id=tenant_id, entries=[*entries.values()], now=now):
        found[each.kind, each.ref] = (each, by_ref[each.ref])
    return found


def _facts(run: Run, answer: Answer) -> list[_Shown]:
    """Return what an object says of itself, and a dispute of its funds. What else it carries is listed on its own."""
    facts = gateway(run.gateway).translate_object(kind=run.kind, object=answer.object)
    own = next((fact for fact in facts if fact.kind == run.kind.value and fact.ref == answer.ref), None)
    if own is None or not matters(own):
        return []
    made_at = getattr(own, "created_at", None)
    moved = [fact for fact in facts if isinstance(fact, DisputeFundsFact) and fact.dispute == own.ref]
    return [_Shown(answer, fact, made_at) for fact in (own, *moved)]


def _unread(run: Run, answer: Answer, error: FieldMissing) -> Found:
    detail = str(error)[:_DETAIL_MAX]
    return Found(run.kind.value, answer.ref, Class.status, None, None, State.open, Why.unreadable, detail=detail)
