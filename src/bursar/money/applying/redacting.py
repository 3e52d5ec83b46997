"""Redact events that name an erased person: their facts before they are merged, their bodies for good. Decision 0015."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.applying.translation import Translated
from bursar.money.gateways import Translation
from bursar.money.gateways.facts import AnyFact, CustomerFact
from bursar.money.gateways.redaction import (
    Marks,
    body_of,
    is_pseudonym,
    own_event_redacted,
    redacted,
    texts_of_value,
)
from bursar.money.merging import member_names

if TYPE_CHECKING:
    from bursar.money.applying.batch import Account

_KEY = "select key from erasure_key where tenant_id = $1"
_KNOWN = """
select m.mark from unnest($2::bytea[]) as wanted (mark) cross join lateral (
  select mark from erased_mark where tenant_id = $1 and mark = wanted.mark offset 0
) m
"""
_MARK = "insert into erased_mark (tenant_id, mark) select $1, mark from unnest($2::bytea[]) as new (mark) order by mark on conflict do nothing"
_REPLACE_BODIES = """
update gateway_event_body as b set body = n.body, erased_at = clock_timestamp()
from unnest($2::uuid[], $3::bytea[]) as n (event_id, body)
join gateway_event e on e.tenant_id = $1 and e.id = n.event_id
where b.tenant_id = $1 and b.event_id = n.event_id and b.received_at = e.received_at and b.erased_at is null
"""
_EMPTY_DIFFERING = "update gateway_event_differing set body = '{}' where tenant_id = $1 and event_id = any($2::uuid[])"
_FORGET_DEAD = "update gateway_event_dead set error = 'erased' where tenant_id = $1 and event_id = any($2::uuid[])"
_FORGET_ATTEMPTS = (
    "update gateway_event_attempt set error = 'erased' where tenant_id = $1 and event_id = any($2::uuid[])"
)
DESK: Final = "manual"


@dataclass(frozen=True, slots=True)
class Redaction:
    """Events of one lane as they are after it.

    bodies: what now stands for those that name an erased person. changed: facts before and after. brought: further marks.
    """

    events: list[Translated]
    bodies: Mapping[UUID, bytes]
    changed: list[tuple[AnyFact, AnyFact]]
    brought: frozenset[bytes]


async def known_marks(tx: Transaction, *, tenant_id: UUID) -> Marks | None:
    """Return the tenant's marks; None where nobody was ever erased."""
    key = await tx.fetchval(_KEY, tenant_id)
    return None if key is None else Marks(key)


async def mark(tx: Transaction, *, tenant_id: UUID, marks: Collection[bytes]) -> None:
    """Write down that these are an erased person's; what is marked stays so."""
    await tx.execute(_MARK, tenant_id, sorted(marks))


async def which_are_marked(tx: Transaction, *, tenant_id: UUID, marks: set[bytes]) -> set[bytes]:
    """Return those of the marks that are erased persons'."""
    return {row["mark"] for row in await tx.fetch(_KNOWN, tenant_id, sorted(marks))}


async def redact_events(
    tx: Transaction, *, account: "Account", marks: Marks, events: Sequence[Translated]
) -> Sequence[Translated]:
    """Redact the facts of erased persons and replace the bodies that name them; mark what these events bring."""
    named = {e.event.id: marks_named(e, account=account, marks=marks) for e in events}
    marked = await which_are_marked(tx, tenant_id=account.tenant_id, marks=set().union(*named.values()))
    if not marked:
        return events
    done = redaction_of(events, account=account, marks=marks, named=named, marked=marked, is_late=True)
    await mark(tx, tenant_id=account.tenant_id, marks=done.brought)
    await replace_bodies(tx, tenant_id=account.tenant_id, bodies=done.bodies)
    return done.events


def redaction_of(
    events: Sequence[Translated],
    *,
    account: "Account",
    marks: Marks,
    named: Mapping[UUID, set[bytes]],
    marked: set[bytes],
    is_late: bool,
) -> Redaction:
    """Return the events without the marked persons. Pure.

    named: the marks of what each event names (`marks_named`). is_late: they came after the erasure, which so knows nothing
    of what they bring: it is the person's, too.
    """
    facts = {e.event.id: [(fact, _marks_of(fact, account, marks)) for fact in e.translation.facts] for e in events}
    reach, brought = set(marked), set[bytes]()
    # What belongs to a purchase of the person is the person's, too; until nothing new is named.
    while is_late:
        told_of = [fact for told in facts.values() for fact, own in told if own & reach]
        grown = set().union(*(_brought_by(fact, account, marks) for fact in told_of)) - reach
        if not grown:
            break
        reach |= grown
        brought |= grown
    after, bodies, changed = list[Translated](), dict[UUID, bytes](), list[tuple[AnyFact, AnyFact]]()
    for translated in events:
        event = translated.event
        if not named[event.id] & reach:
            after.append(translated)
            continue
        told = tuple(redacted(fact, marks) if own & reach else fact for fact, own in facts[event.id])
        changed += [(was, now) for (was, _), now in zip(facts[event.id], told, strict=True) if was != now]
        translation = Translation(told, is_ignored=translated.translation.is_ignored)
        after.append(replace(translated, translation=translation))
        if not event.is_erased:
            bodies[event.id] = own_event_redacted(translated.payload, marks) if event.is_own else body_of(translation)
    return Redaction(after, bodies, changed, frozenset(brought))


def marks_named(translated: Translated, *, account: "Account", marks: Marks) -> set[bytes]:
    """Return the marks of whatever an event may name: by its facts, and in a gateway's by any text of the body.

    What a business calls its own desk payments may be a word that also means something else: of an event of ours only the
    facts count.
    """
    found: set[bytes] = set().union(*(_marks_of(fact, account, marks) for fact in translated.translation.facts))
    if not translated.event.is_own:
        found |= {marks.of_text(account.id, text) for text in texts_of_value(translated.payload)}
    return found


def marks_of_names(names: Iterable[str], account: "Account", marks: Marks) -> set[bytes]:
    """Return the marks of names (`<kind>:<id>`). A gateway's ids say themselves what they are of; those of a desk do not."""
    whole = account.gateway == DESK
    return {marks.of_ref(account.id, name if whole else name.partition(":")[2]) for name in names}


async def replace_bodies(tx: Transaction, *, tenant_id: UUID, bodies: Mapping[UUID, bytes]) -> None:
    """Let these bodies stand for the events from now on, and forget what differed and what failed."""
    if bodies:
        events = sorted(bodies)
        await tx.execute(_REPLACE_BODIES, tenant_id, events, [bodies[event_id] for event_id in events])
        for statement in (_EMPTY_DIFFERING, _FORGET_DEAD, _FORGET_ATTEMPTS):
            await tx.execute(statement, tenant_id, events)


def _marks_of(fact: AnyFact, account: "Account", marks: Marks) -> set[bytes]:
    """Return the marks of what a fact names as one thing: itself, its purchase, its customer, its address."""
    names = {f"{fact.kind}:{fact.ref}", *member_names(fact)}
    if customer := getattr(fact, "customer", None):
        names.add(f"customer:{customer}")
    found = marks_of_names(names, account, marks)
    if email := getattr(fact, "email", None):
        found.add(marks.of_email(email))
    return found


def _brought_by(fact: AnyFact, account: "Account", marks: Marks) -> set[bytes]:
    """Return what a late fact of the person makes the person's: its purchase, or the customer with the address."""
    brought = marks_of_names({f"{fact.kind}:{fact.ref}", *member_names(fact)}, account, marks)
    if isinstance(fact, CustomerFact) and fact.email and not is_pseudonym(fact.email):
        brought.add(marks.of_email(fact.email))
    return brought
