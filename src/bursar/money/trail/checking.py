"""Check the sealed audit trail: nothing changed, nothing gone, nothing added, and the end not cut off."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.audit import note_hash
from bursar.kernel.db import Transaction
from bursar.money.trail.sealing import LINE, NOTHING, Seal, told

FAULTS_MAX: Final = 100
_DIGEST_BYTES = 32

_SEALS = """select s.sequence, s.begins, s.ends, s.records, s.digests, s.previous, s.hash, s.sealed_at
from audit_seal s where s.tenant_id = $1 and s.sequence > $2 order by s.sequence limit 20"""

_RECORDS = f"""select a.id, sha256(convert_to({LINE}, 'UTF8')) as digest from audit_record a
where a.tenant_id = $1 and a.written_in >= $2 and a.written_in < $3"""

_NOTES = """select a.id, a.changes ->> 'note' as hash, n.salt, n.told::text as told
from audit_record a join audit_note n on n.tenant_id = a.tenant_id and n.record_id = a.id
where a.tenant_id = $1 and a.written_in >= $2 and a.written_in < $3"""

_UNSEALED = """select count(*) as count, min(a.at) as oldest from audit_record a
where a.tenant_id = $1 and a.written_in >= $2"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong. kind: `record_changed`, `note_changed`, `record_missing`, `record_inserted`, `seal_wrong`, `seal_missing`, `head_unknown`.

    subject: the record's public id, or the seal's number.
    """

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A tenant's chain, checked. head: `sha256:…` of the last seal. unsealed: records that wait for a seal."""

    tenant: str
    ok: bool
    head: str
    seals: int
    records: int
    unsealed: int
    oldest_unsealed_at: str | None
    faults: list[Fault]


async def check_chain(tx: Transaction, *, tenant_id: UUID, expected: str | None = None) -> Checked:
    """Check one tenant's whole chain. tx: sees one snapshot. expected: a head that was noted down before, `sha256:…`."""
    faults: list[Fault] = []
    heads = set()
    last = None
    count = 0
    async for seal, hash_kept in _seals(tx, tenant_id):
        faults += _faults_of_link(seal, hash_kept, last)
        faults += _faults_of_records(seal, await tx.fetch(_RECORDS, tenant_id, seal.begins, seal.ends))
        faults += _faults_of_notes(seal, await tx.fetch(_NOTES, tenant_id, seal.begins, seal.ends))
        last, count = (seal, hash_kept), count + len(seal.records)
        heads.add(shown(hash_kept))
    if expected is not None and expected not in heads:
        faults.append(Fault("head_unknown", expected, "no seal has this hash: the end was cut off, or written anew"))
    waiting = await tx.fetchrow(_UNSEALED, tenant_id, last[0].ends if last else 0)
    return Checked(
        tenant=ids.show(ids.TENANT, tenant_id),
        ok=not faults,
        head=shown(last[1] if last else NOTHING),
        seals=last[0].sequence if last else 0,
        records=count,
        unsealed=waiting["count"],
        oldest_unsealed_at=told(waiting["oldest"]) if waiting["oldest"] else None,
        faults=faults[:FAULTS_MAX],
    )


def shown(hash_: bytes) -> str:
    """Return a hash as people note it down."""
    return f"sha256:{hash_.hex()}"


async def _seals(tx: Transaction, tenant_id: UUID) -> AsyncIterator[tuple[Seal, bytes]]:
    after = 0
    while rows := await tx.fetch(_SEALS, tenant_id, after):
        for row in rows:
            yield seal_of(row), row["hash"]
        after = rows[-1]["sequence"]


def seal_of(row: Any) -> Seal:
    """Return a seal as it is kept; its hash may be another one than the kept one."""
    sealed_at: datetime = row["sealed_at"]
    return Seal(
        sequence=row["sequence"],
        begins=row["begins"],
        ends=row["ends"],
        records=tuple(row["records"]),
        digests=row["digests"],
        previous=row["previous"],
        sealed_at=sealed_at,
    )


def _faults_of_link(seal: Seal, hash_kept: bytes, last: tuple[Seal, bytes] | None) -> list[Fault]:
    """Return what is wrong between a seal and the one before. last: that one and its hash as kept."""
    name = str(seal.sequence)
    sequence, ends, hash_before = (last[0].sequence, last[0].ends, last[1]) if last else (0, 0, NOTHING)
    faults = []
    if seal.sequence != sequence + 1:
        faults.append(Fault("seal_missing", str(sequence + 1), f"seal {name} follows seal {sequence}"))
    if seal.previous != hash_before or seal.begins != ends:
        faults.append(Fault("seal_wrong", name, "it does not follow the seal before"))
    if seal.hash != hash_kept:
        faults.append(Fault("seal_wrong", name, "its hash is not that of what it says"))
    return faults


def _faults_of_records(seal: Seal, rows: list[Any]) -> list[Fault]:
    found = {row["id"]: row["digest"] for row in rows}
    kept = {record: seal.digests[n * _DIGEST_BYTES : (n + 1) * _DIGEST_BYTES] for n, record in enumerate(seal.records)}
    within = f"seal {seal.sequence} of {told(seal.sealed_at)}"
    faults = [Fault("record_missing", _record(r), within) for r in seal.records if r not in found]
    faults += [Fault("record_inserted", _record(r), within) for r in found if r not in kept]
    faults += [
        Fault("record_changed", _record(r), within) for r, digest in kept.items() if found.get(r, digest) != digest
    ]
    return faults


def _faults_of_notes(seal: Seal, rows: list[Any]) -> list[Fault]:
    """Return the notes that are not what their records say. One that is gone was forgotten with a person."""
    within = f"seal {seal.sequence} of {told(seal.sealed_at)}"
    return [
        Fault("note_changed", _record(row["id"]), within)
        for row in rows
        if note_hash(row["salt"], json.loads(row["told"])) != row["hash"]
    ]


def _record(record_id: UUID) -> str:
    return ids.show(ids.AUDIT, record_id)
