"""The registers: replace if newer, and join what belongs together. Set-based: one batch, a handful of statements."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import KINDS, AnyFact, PaymentMethodFact, SubscriptionFact, Version, version_of
from bursar.money.gateways.redaction import without_person
from bursar.money.merging.links import member_names
from bursar.money.merging.links import name as name_of

encode = msgspec.json.Encoder(order="sorted").encode
HISTORY = "subscription_at"
"""Kind under which every snapshot of a subscription is kept: what a period bought is what the plan was then."""

OWNED = "payment_method_of"
"""Kind under which the newest snapshot of a saved way to pay that named its customer is kept: a detached one may name nobody."""

_ASIDE = (HISTORY, OWNED)
_decode_subscription = msgspec.json.Decoder(SubscriptionFact).decode
_DECODERS = {
    kind: msgspec.json.Decoder(fact_type)
    for kind, fact_type in (KINDS | {HISTORY: SubscriptionFact, OWNED: PaymentMethodFact}).items()
}


@dataclass(frozen=True, slots=True)
class Reported:
    """A snapshot, the event that told it, and the gateway's time of the telling."""

    event_id: UUID
    fact: AnyFact
    at: datetime


class Snapshot(NamedTuple):
    """The newest snapshot of an object and when the gateway took it."""

    fact: AnyFact
    at: datetime


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch touched, as it stands after merging.

    purchases: every member of every touched purchase. loose: touched objects that belong to none, by (kind, ref).
    told_by: the last event of the batch that spoke of a purchase or a loose object.
    absorbed: purchases that turned out to be another one (old id to surviving id).
    """

    purchases: dict[UUID, list[Snapshot]]
    loose: dict[tuple[str, str], Snapshot]
    told_by: dict[UUID | tuple[str, str], UUID]
    absorbed: dict[UUID, UUID]


class _Row(NamedTuple):
    fact: AnyFact
    version: Version
    tie: int
    state: bytes
    event_id: UUID


@dataclass(frozen=True, slots=True)
class _Joined:
    """Purchase of each name of a batch. opened: purchases that nothing told of before. Else as in `Merged`."""

    purchase_of: dict[str, UUID] = field(default_factory=dict)
    opened: frozenset[UUID] = frozenset()
    absorbed: dict[UUID, UUID] = field(default_factory=dict)
    told_by: dict[UUID | tuple[str, str], UUID] = field(default_factory=dict)


# Look-ups of many keys are one look-up for each: a plan made while the table was small would else read all of a tenant.
_PURCHASES_OF = """
select r.ref, r.purchase_id from unnest($3::text[]) as wanted (ref) cross join lateral (
  select ref, purchase_id from purchase_ref where tenant_id = $1 and gateway_account_id = $2 and ref = wanted.ref offset 0
) r
"""

_FILE_REFS = """
insert into purchase_ref (tenant_id, gateway_account_id, ref, purchase_id)
select $1, $2, ref, purchase_id from unnest($3::text[], $4::uuid[]) as new (ref, purchase_id)
on conflict (tenant_id, gateway_account_id, ref) do update set purchase_id = excluded.purchase_id
where purchase_ref.purchase_id <> excluded.purchase_id
"""

# Rows that repeat one gateway object are found by its name, which has an index; those that may be of none, by the purchase.
_ABSORB = [
    *(
        f"""
    update {table} as t set purchase_id = a.kept
    from unnest($2::uuid[], $3::uuid[]) as a (gone, kept)
    join gateway_object o on o.tenant_id = $1 and o.purchase_id = a.gone and o.kind = '{kind}'
    where t.tenant_id = $1 and t.gateway_account_id = o.gateway_account_id and t.gateway_ref = o.ref
    """
        for table, kind in (
            ("refund", "refund"),
            ("dispute", "dispute"),
            ("invoice", "invoice"),
            ("checkout_session", "session"),
        )
    ),
    *(
        f"""
    update {table} as t set purchase_id = a.kept
    from unnest($2::uuid[], $3::uuid[]) as a (gone, kept)
    where t.tenant_id = $1 and t.purchase_id = a.gone
    """
        for table in ("purchase_ref", "gateway_object", "payment")
    ),
]

_MARK_ABSORBED = """
update purchase as p
set merged_into = a.kept, is_paid = false, is_disputed = false, subscription_ref = null, paid_minor = 0, refunded_minor = 0,
    lost_minor = 0, lines = '[]', unmatched_reason = null, unmatched_refs = '{}', touched_at = clock_timestamp()
from unnest($2::uuid[], $3::uuid[]) as a (gone, kept)
where p.tenant_id = $1 and p.id = a.gone
"""

_MERGE = """
insert into gateway_object (tenant_id, gateway_account_id, kind, ref, is_final, version_at, version_rank, version_tie, state, purchase_id, event_id)
select $1, $2, kind, ref, is_final, version_at, version_rank, version_tie, state::jsonb, purchase_id, event_id
from unnest($3::text[], $4::text[], $5::bool[], $6::timestamptz[], $7::bigint[], $8::bigint[], $9::text[], $10::uuid[], $11::uuid[])
  as new (kind, ref, is_final, version_at, version_rank, version_tie, state, purchase_id, event_id)
on conflict (tenant_id, gateway_account_id, kind, ref) do update
set is_final = excluded.is_final, version_at = excluded.version_at, version_rank = excluded.version_rank,
    version_tie = excluded.version_tie, state = excluded.state, event_id = excluded.event_id
where (gateway_object.is_final, gateway_object.version_at, gateway_object.version_rank, gateway_object.version_tie)
    < (excluded.is_final, excluded.version_at, excluded.version_rank, excluded.version_tie)
returning kind, ref
"""

_MEMBERS = """
select o.kind, o.version_at, o.state::text as state, wanted.id as purchase_id
from unnest($2::uuid[]) as wanted (id) cross join lateral (
  select kind, version_at, state from gateway_object where tenant_id = $1 and purchase_id = wanted.id offset 0
) o
"""

_LOOSE = """
select o.kind, o.ref, o.version_at, o.state::text as state
from unnest($3::text[], $4::text[]) as wanted (kind, ref) cross join lateral (
  select kind, ref, version_at, state from gateway_object
  where tenant_id = $1 and gateway_account_id = $2 and kind = wanted.kind and ref = wanted.ref offset 0
) o
"""


async def merge(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, reported: Sequence[Reported], revisit: Iterable[UUID] = ()
) -> Merged:
    """Merge a batch of snapshots of one gateway account and return what it touched, as it now stands.

    revisit: purchases to be read again although nothing new was said of them (the catalogue changed).
    """
    newest = _newest(reported)
    joined = await _join(tx, tenant_id=tenant_id, account_id=account_id, reported=reported)
    taken = await _replace(
        tx, tenant_id=tenant_id, account_id=account_id, newest=newest, purchase_of=joined.purchase_of
    )
    revisited = {joined.absorbed.get(p, p) for p in revisit}
    purchases = await _members(tx, tenant_id=tenant_id, joined=joined, revisited=revisited, newest=newest, taken=taken)
    loose_keys = [key for key, row in newest.items() if key[0] not in _ASIDE and not member_names(row.fact)]
    for key in loose_keys:
        joined.told_by[key] = newest[key].event_id
    return Merged(
        purchases=purchases,
        loose=await objects(tx, tenant_id=tenant_id, account_id=account_id, names=loose_keys),
        told_by=joined.told_by,
        absorbed=joined.absorbed,
    )


async def _members(
    tx: Transaction,
    *,
    tenant_id: UUID,
    joined: _Joined,
    revisited: set[UUID],
    newest: Mapping[tuple[str, str], _Row],
    taken: set[tuple[str, str]],
) -> dict[UUID, list[Snapshot]]:
    """Return every member of the touched purchases; those of a purchase that this batch opened are all in the batch."""
    purchases: dict[UUID, list[Snapshot]] = {p: [] for p in {*joined.purchase_of.values(), *revisited}}
    told: dict[UUID, list[tuple[str, str]]] = {}
    for key in newest:
        if purchase_id := joined.purchase_of.get(name_of(*key)):
            told.setdefault(purchase_id, []).append(key)
    opened = {p for p, keys in told.items() if p in joined.opened and taken.issuperset(keys)}
    for purchase_id in opened:
        purchases[purchase_id] = [Snapshot(newest[key].fact, newest[key].version.at) for key in told[purchase_id]]
    if stored := list(purchases.keys() - opened):
        for row in await tx.fetch(_MEMBERS, tenant_id, stored):
            purchases[row["purchase_id"]].append(_snapshot(row))
    return purchases


async def objects(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Snapshot]:
    """Return the newest snapshots of the named objects (kind, gateway id); unknown ones are left out."""
    wanted = list(names)
    if not wanted:
        return {}
    rows = await tx.fetch(_LOOSE, tenant_id, account_id, [kind for kind, _ in wanted], [ref for _, ref in wanted])
    return {(row["kind"], row["ref"]): _snapshot(row) for row in rows}


async def owners_of_methods(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, refs: Iterable[str]
) -> dict[str, str]:
    """Return whose each saved way to pay is, or was last: customers by the gateway ids of the methods; unknown ones are left out."""
    known = await objects(tx, tenant_id=tenant_id, account_id=account_id, names=[(OWNED, ref) for ref in refs])
    return {
        ref: s.fact.customer
        for (_, ref), s in known.items()
        if isinstance(s.fact, PaymentMethodFact) and s.fact.customer
    }


# The bounds come ready made: row-level security keeps `||` and every other condition that is not leakproof off the index.
_HISTORIES = f"""
select s.ref as subscription, o.version_at, o.state::text as state
from unnest($3::text[], $4::text[], $5::text[]) as s (ref, low, high) cross join lateral (
  select ref, version_at, state from gateway_object
  where tenant_id = $1 and gateway_account_id = $2 and kind = '{HISTORY}' and ref >= s.low and ref < s.high offset 0
) o
order by o.ref
"""


async def subscription_histories(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, refs: Iterable[str]
) -> dict[str, list[tuple[SubscriptionFact, datetime]]]:
    """Return every snapshot of the named subscriptions, oldest first; unknown ones are left out."""
    histories: dict[str, list[tuple[SubscriptionFact, datetime]]] = {}
    if wanted := sorted(set(refs)):
        for row in await tx.fetch(_HISTORIES, tenant_id, account_id, wanted, *history_bounds(wanted)):
            histories.setdefault(row["subscription"], []).append(
                (_decode_subscription(row["state"]), row["version_at"])
            )
    return histories


def history_bounds(refs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return between which names the snapshots of each subscription are kept: from the first, up to before the second."""
    names = list(refs)
    return [f"{ref}@" for ref in names], [f"{ref}A" for ref in names]


def tie_of(fact: AnyFact, state: bytes) -> int:
    """Return what breaks the last tie: the content, so that two different snapshots of one second always end alike.

    What is left without the person decides first, so that the same one wins when the person is erased (decision 0015).
    """
    bare = without_person(fact)
    whole = _digest(state)
    return int.from_bytes((whole if bare is fact else _digest(encode(bare))) + whole, "big", signed=True)


def decode(kind: str, state: str) -> AnyFact:
    """Return the snapshot that a register of this kind keeps."""
    return _DECODERS[kind].decode(state)  # type: ignore[return-value]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=4).digest()


def _snapshot(row: dict[str, object]) -> Snapshot:
    return Snapshot(decode(str(row["kind"]), str(row["state"])), row["version_at"])  # type: ignore[arg-type]


def _newest(reported: Sequence[Reported]) -> dict[tuple[str, str], _Row]:
    """Reduce a batch to the newest snapshot of each object, so that one statement may write them all."""
    newest: dict[tuple[str, str], _Row] = {}
    for report in reported:
        state = encode(report.fact)
        row = _Row(report.fact, version_of(report.fact, report.at), tie_of(report.fact, state), state, report.event_id)
        keys = [(report.fact.kind, report.fact.ref)]
        if isinstance(report.fact, SubscriptionFact):
            keys.append((HISTORY, f"{report.fact.ref}@{report.at.timestamp():015.3f}"))
        elif isinstance(report.fact, PaymentMethodFact) and report.fact.customer:
            keys.append((OWNED, report.fact.ref))
        for key in keys:
            known = newest.get(key)
            if known is None or (known.version, known.tie) < (row.version, row.tie):
                newest[key] = row
    return newest


async def _join(tx: Transaction, *, tenant_id: UUID, account_id: UUID, reported: Sequence[Reported]) -> _Joined:
    """Find, open and unite the purchases of the batch: purchase of each name, absorbed ones, who told last."""
    groups = [(names, report.event_id) for report in reported if (names := member_names(report.fact))]
    if not groups:
        return _Joined()
    every_name = sorted({name for names, _ in groups for name in names})
    rows = await tx.fetch(_PURCHASES_OF, tenant_id, account_id, every_name)
    known: dict[str, UUID] = {row["ref"]: row["purchase_id"] for row in rows}
    root = _united(groups, known)
    purchase_of, absorbed = _chosen(every_name, known, root)
    if absorbed:
        gone, kept = list(absorbed.keys()), list(absorbed.values())
        for statement in _ABSORB:
            await tx.execute(statement, tenant_id, gone, kept)
        await tx.execute(_MARK_ABSORBED, tenant_id, gone, kept)
    unfiled = [name for name in every_name if known.get(name) != purchase_of[name]]
    if unfiled:
        await tx.execute(_FILE_REFS, tenant_id, account_id, unfiled, [purchase_of[name] for name in unfiled])
    told_by: dict[UUID | tuple[str, str], UUID] = {purchase_of[names[0]]: event_id for names, event_id in groups}
    opened = frozenset(purchase_of.values()) - frozenset(known.values())
    return _Joined(purchase_of, opened, absorbed, told_by)


def _united(groups: Sequence[tuple[tuple[str, ...], UUID]], known: dict[str, UUID]) -> dict[str, str]:
    """Return the root of each name's group: names of one snapshot, and names already in one purchase, share a root."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        root = name
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[name] != root:
            parent[name], name = root, parent[name]
        return root

    for names, _ in groups:
        first = find(names[0])
        for other in names[1:]:
            parent[find(other)] = first
            first = find(first)
    anchor: dict[UUID, str] = {}
    for name, purchase_id in known.items():
        parent[find(name)] = find(anchor.setdefault(purchase_id, name))
    return {name: find(name) for name in list(parent)}


def _chosen(
    every_name: Sequence[str], known: dict[str, UUID], root: dict[str, str]
) -> tuple[dict[str, UUID], dict[UUID, UUID]]:
    """Choose each group's purchase: its oldest known one, or a new one, whose row is written when it has been assessed."""
    candidates: dict[str, set[UUID]] = {}
    for name in every_name:
        found = candidates.setdefault(root[name], set())
        if name in known:
            found.add(known[name])
    chosen: dict[str, UUID] = {}
    absorbed: dict[UUID, UUID] = {}
    for group, found in candidates.items():
        if not found:
            chosen[group] = ids.new()
            continue
        chosen[group] = min(found)
        absorbed.update({gone: chosen[group] for gone in found if gone != chosen[group]})
    return {name: chosen[root[name]] for name in every_name}, absorbed


async def _replace(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    newest: dict[tuple[str, str], _Row],
    purchase_of: dict[str, UUID],
) -> set[tuple[str, str]]:
    """Write what is newer than what is stored; return the names (kind, gateway id) of what was written."""
    if not newest:
        return set()
    rows = [(key, newest[key]) for key in sorted(newest)]
    written = await tx.fetch(
        _MERGE,
        tenant_id,
        account_id,
        [kind for (kind, _), _ in rows],
        [ref for (_, ref), _ in rows],
        [row.version.is_final for _, row in rows],
        [row.version.at for _, row in rows],
        [row.version.rank for _, row in rows],
        [row.tie for _, row in rows],
        [row.state.decode() for _, row in rows],
        [purchase_of.get(name_of(kind, ref)) for (kind, ref), _ in rows],
        [row.event_id for _, row in rows],
    )
    return {(row["kind"], row["ref"]) for row in written}
