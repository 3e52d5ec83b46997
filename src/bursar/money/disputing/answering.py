"""Answer a dispute: one transaction writes the answer and the calls that bring its files; the last one's outcome asks for the answer itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction, storable
from bursar.kernel.errors import Conflict, Invalid
from bursar.money import calls
from bursar.money.calls import Asker, Ended
from bursar.money.disputing.files import File, check_sizes
from bursar.money.gateways.calls import (
    AcceptDispute,
    AnyCall,
    EvidenceFile,
    EvidenceText,
    SubmitEvidence,
    UploadFile,
)
from bursar.money.payments.queries import DisputeNotFound

ASKED_BY: Final = "disputing"
_FAILURE_MAX: Final = 500
_CODE_MAX: Final = 100
TEXTS_LENGTH_MAX: Final = 150_000
"""Characters of all texts together. Source: Stripe API reference, "Dispute evidence object"."""

Kind = Literal["evidence", "acceptance"]


class DisputeClosed(Conflict):
    """The dispute is decided: nothing that is said now is read."""

    code = "dispute_closed"


class DisputeOverdue(Conflict):
    """The bank took answers until a day that is over."""

    code = "dispute_overdue"


class DisputeAnswered(Conflict):
    """The final answer was given. There is one."""

    code = "dispute_answered"


class DisputeAnswerOpen(Conflict):
    """An earlier answer has no outcome yet."""

    code = "dispute_answer_open"


class EvidenceMissing(Invalid):
    """An answer says or shows something."""

    code = "evidence_missing"


@dataclass(frozen=True, slots=True)
class Said:
    """What is said and shown. is_final: handed to the bank, with all that was said before; else kept beside the dispute."""

    texts: Mapping[EvidenceText, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A dispute and the account that it is at. is_answered: the final answer was given. has_evidence: something was said before."""

    id: UUID
    account_id: UUID
    gateway: str
    has_key: bool
    ref: str
    status: str
    is_inquiry: bool
    due_by: datetime | None
    is_answered: bool
    has_evidence: bool

    @property
    def account(self) -> calls.Account:
        return calls.Account(self.account_id, self.gateway, self.has_key)


_TARGET = """
select d.id, d.gateway_account_id as account_id, a.gateway, a.api_key is not null and a.is_active as has_key, d.gateway_ref as ref,
  d.status, d.is_inquiry, d.due_by,
  exists (
    select from dispute_answer x where x.tenant_id = d.tenant_id and x.dispute_id = d.id and x.of_inquiry = d.is_inquiry
      and x.is_final and not x.is_open and x.failure is null) as is_answered,
  exists (
    select from dispute_answer x where x.tenant_id = d.tenant_id and x.dispute_id = d.id and x.kind = 'evidence'
      and not x.is_open and x.failure is null) as has_evidence
from dispute d join gateway_account a on a.tenant_id = d.tenant_id and a.id = d.gateway_account_id
where d.tenant_id = $1 and d.id = $2
"""

_KNOWN = "select id from dispute_answer where tenant_id = $1 and id = $2"

# Two guards stand behind it: one answer that is open, one final answer that was not refused.
_WRITE = """
insert into dispute_answer (tenant_id, id, dispute_id, kind, is_final, of_inquiry, texts, actor)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8)
on conflict do nothing
returning id
"""

_OPEN = "select call_id from dispute_answer where tenant_id = $1 and dispute_id = $2 and is_open"

# The same file of the same dispute lies at the gateway already.
_UPLOADED = """
select distinct on (f.sha256, f.filename) f.sha256, f.filename, f.call_id
from dispute_answer a
join dispute_answer_file f on f.tenant_id = a.tenant_id and f.answer_id = a.id
join gateway_call g on g.tenant_id = f.tenant_id and g.id = f.call_id
where a.tenant_id = $1 and a.dispute_id = $2 and f.sha256 = any($3::bytea[]) and g.state = 'succeeded'
order by f.sha256, f.filename, f.call_id
"""

_WRITE_FILES = """
insert into dispute_answer_file (tenant_id, answer_id, name, filename, content_type, size_bytes, sha256, call_id)
select $1, $2, name, filename, content_type, size_bytes, sha256, call_id
from unnest($3::text[], $4::text[], $5::text[], $6::int[], $7::bytea[], $8::uuid[])
  as new (name, filename, content_type, size_bytes, sha256, call_id)
"""

_WAITING = """
select a.id from dispute_answer a
where a.tenant_id = $1 and a.is_open and a.call_id is null and a.id in (
  select f.answer_id from dispute_answer_file f where f.tenant_id = $1 and f.call_id = $2)
order by a.id for update
"""

_ANSWER = """
select a.id, a.dispute_id, d.gateway_account_id as account_id, d.gateway_ref as ref, a.texts::text as texts, a.is_final, a.actor
from dispute_answer a join dispute d on d.tenant_id = a.tenant_id and d.id = a.dispute_id
where a.tenant_id = $1 and a.id = $2 and a.is_open and a.call_id is null
"""

_FILES = """
select f.name, g.ref, g.state = 'succeeded' as is_there
from dispute_answer_file f join gateway_call g on g.tenant_id = f.tenant_id and g.id = f.call_id
where f.tenant_id = $1 and f.answer_id = $2 order by f.name
"""

_ASKED = "update dispute_answer set call_id = $3 where tenant_id = $1 and id = $2 and is_open and call_id is null"

_GIVEN = """
update dispute_answer set is_open = false, ended_at = clock_timestamp() where tenant_id = $1 and call_id = $2 and is_open
returning id, dispute_id
"""

_FAILED = """
update dispute_answer a set is_open = false, ended_at = clock_timestamp(), failure_code = $3, failure = $4
where a.tenant_id = $1 and a.is_open and (
  a.call_id = $2 or a.id in (select f.answer_id from dispute_answer_file f where f.tenant_id = $1 and f.call_id = $2))
returning id, dispute_id
"""


# Whoever was erased while an answer was under way: what it said goes with its outcome. Decision 0015.
_IS_ERASED = """
select exists (
  select from dispute d join payment p on p.tenant_id = d.tenant_id and p.id = d.payment_id
  join customer c on c.tenant_id = p.tenant_id and c.id = p.customer_id
  where d.tenant_id = $1 and d.id = $2 and c.erased_at is not null)
"""
_FORGET_TEXTS = "update dispute_answer set texts = '{}' where tenant_id = $1 and id = $2"
_FORGET_FILES = (
    "update dispute_answer_file set filename = 'erased', sha256 = null where tenant_id = $1 and answer_id = $2"
)
_FORGET_CALLS = """
update gateway_call set request = 'erased', error_message = null where tenant_id = $1 and subject = $2 and state in ('succeeded', 'refused')
"""


async def answer(
    tx: Transaction,
    *,
    tenant_id: UUID,
    dispute_id: UUID,
    said: Said,
    actor: str,
    now: datetime,
    answer_id: UUID | None = None,
) -> UUID:
    """Write down what is said and shown, and the calls that bring it to the gateway; return the answer.

    answer_id: a fresh id that makes a repeat harmless.
    Raises DisputeNotFound, DisputeClosed, DisputeOverdue, DisputeAnswered, DisputeAnswerOpen, EvidenceMissing, EvidenceFileInvalid,
    GatewayKeyMissing, OperationUnsupported.
    """
    if answer_id and await tx.fetchval(_KNOWN, tenant_id, answer_id):
        return answer_id
    target = await target_of(tx, tenant_id=tenant_id, dispute_id=dispute_id)
    guard(target, now=now)
    _check(target, said)
    calls.check_account(target.account, SubmitEvidence(dispute=target.ref))
    answer_id = answer_id or ids.new()
    texts = {name.value: text for name, text in said.texts.items()}
    if not await _write(tx, tenant_id, target, answer_id, "evidence", is_final=said.is_final, texts=texts, actor=actor):
        return answer_id
    await _upload(tx, tenant_id, target, answer_id, said.files, actor=actor)
    await _submit_if_whole(tx, tenant_id, answer_id)
    told = {"texts": sorted(texts), "files": sorted(each.name.value for each in said.files), "is_final": said.is_final}
    await _record(tx, tenant_id, target, "dispute.evidence_asked", told, actor=actor)
    return answer_id


async def accept(
    tx: Transaction,
    *,
    tenant_id: UUID,
    dispute_id: UUID,
    actor: str,
    now: datetime,
    answer_id: UUID | None = None,
) -> UUID:
    """Concede a dispute, once and for all; return the answer. Raises as `answer`, but for what is said."""
    if answer_id and await tx.fetchval(_KNOWN, tenant_id, answer_id):
        return answer_id
    target = await target_of(tx, tenant_id=tenant_id, dispute_id=dispute_id)
    guard(target, now=now)
    call = AcceptDispute(dispute=target.ref)
    calls.check_account(target.account, call)
    answer_id = answer_id or ids.new()
    if not await _write(tx, tenant_id, target, answer_id, "acceptance", is_final=True, texts={}, actor=actor):
        return answer_id
    await _ask(tx, tenant_id, answer_id, call, account_id=target.account_id, dispute_id=target.id, actor=actor)
    await _record(tx, tenant_id, target, "dispute.acceptance_asked", {}, actor=actor)
    return answer_id


async def target_of(tx: Transaction, *, tenant_id: UUID, dispute_id: UUID) -> Target:
    """Return a dispute as its answers see it. Raises DisputeNotFound."""
    row = await tx.fetchrow(_TARGET, tenant_id, dispute_id)
    if row is None:
        raise DisputeNotFound(f"there is no dispute {ids.show(ids.DISPUTE, dispute_id)}")
    return Target(**dict(row))


def guard(target: Target, *, now: datetime) -> None:
    """Return if the dispute may be answered now; by the newest state that was reported: where the gateway knows a newer one, it refuses by itself.

    Raises DisputeClosed, DisputeAnswered, DisputeOverdue.
    """
    if target.status in ("won", "lost", "closed"):
        raise DisputeClosed(
            f"the dispute is {target.status}",
            hint="It is decided; nothing that is said now is read. Write to the customer instead.",
            context={"status": target.status},
        )
    if target.is_answered or target.status != "needs_response":
        raise DisputeAnswered(
            "the final answer to this dispute was given", hint="The bank decides now; wait for its report.",
            context={"status": target.status},
        )  # fmt: skip
    if target.due_by is not None and target.due_by <= now:
        raise DisputeOverdue(
            f"the bank took answers until {target.due_by:%Y-%m-%dT%H:%M:%SZ}",
            hint="It decides without one. Ask the gateway whether it still takes one on its own page.",
            context={"due_by": target.due_by.isoformat()},
        )


def _check(target: Target, said: Said) -> None:
    check_sizes(said.files)
    if sum(map(len, said.texts.values())) > TEXTS_LENGTH_MAX:
        raise EvidenceMissing(
            f"the texts have more than {TEXTS_LENGTH_MAX} characters together", hint="Banks read no more; say less."
        )
    if not said.texts and not said.files and not (said.is_final and target.has_evidence):
        raise EvidenceMissing(
            "nothing is said and nothing shown", hint="Send texts or files; to give up, accept the dispute instead."
        )


async def _write(
    tx: Transaction,
    tenant_id: UUID,
    target: Target,
    answer_id: UUID,
    kind: Kind,
    *,
    is_final: bool,
    texts: Mapping[str, str],
    actor: str,
) -> bool:
    """Write the answer; False if the same one was written meanwhile. Raises DisputeAnswerOpen, DisputeAnswered."""
    told = msgspec.json.encode(texts).decode()
    written = await tx.fetchval(_WRITE, tenant_id, answer_id, target.id, kind, is_final, target.is_inquiry, told, actor)
    if written is not None:
        return True
    if await tx.fetchval(_KNOWN, tenant_id, answer_id):
        return False
    row = await tx.fetchrow(_OPEN, tenant_id, target.id)
    if row is None:
        raise DisputeAnswered("the final answer to this dispute was given", hint="The bank decides now.")
    call = ids.show(ids.GATEWAY_CALL, row["call_id"]) if row["call_id"] else ""
    raise DisputeAnswerOpen(
        "an earlier answer to this dispute has no outcome yet",
        hint="Wait for it. Where one of its calls is unknown, let somebody look: POST /v1/gateway-calls/{gateway_call}/looks.",
        retry_after_s=2,
        context={"gateway_call": call} if call else {},
    )


async def _upload(
    tx: Transaction, tenant_id: UUID, target: Target, answer_id: UUID, files: Sequence[File], *, actor: str
) -> None:
    """Ask for each file to be laid before the gateway, but for those that lie there."""
    if not files:
        return
    found = await tx.fetch(_UPLOADED, tenant_id, target.id, [each.sha256 for each in files])
    uploaded = {(bytes(row["sha256"]), row["filename"]): row["call_id"] for row in found}
    call_ids = [
        uploaded.get((each.sha256, each.filename))
        or await _ask_upload(tx, tenant_id, target, answer_id, each, actor=actor)
        for each in files
    ]
    await tx.execute(
        _WRITE_FILES,
        tenant_id,
        answer_id,
        [each.name.value for each in files],
        [each.filename for each in files],
        [each.content_type for each in files],
        [len(each.content) for each in files],
        [each.sha256 for each in files],
        call_ids,
    )


async def _ask_upload(
    tx: Transaction, tenant_id: UUID, target: Target, answer_id: UUID, file: File, *, actor: str
) -> UUID:
    return await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=target.account_id,
        call=UploadFile(filename=file.filename, content_type=file.content_type, content=file.content),
        subject=ids.show(ids.DISPUTE, target.id),
        key=f"dispute_file:{ids.show(ids.DISPUTE_ANSWER, answer_id)}:{file.name.value}",
        actor=actor,
        asker=ASKED_BY,
    )


async def _submit_if_whole(tx: Transaction, tenant_id: UUID, answer_id: UUID) -> None:
    """Ask for the answer itself when every file of it lies at the gateway. Asked for once: the answer's row is its guard."""
    row = await tx.fetchrow(_ANSWER, tenant_id, answer_id)
    files = await tx.fetch(_FILES, tenant_id, answer_id)
    if row is None or not all(each["is_there"] for each in files):
        return
    call = SubmitEvidence(
        dispute=row["ref"],
        texts={EvidenceText(name): text for name, text in msgspec.json.decode(row["texts"]).items()},
        files={EvidenceFile(each["name"]): each["ref"] for each in files},
        is_final=row["is_final"],
    )
    place = {"account_id": row["account_id"], "dispute_id": row["dispute_id"]}
    await _ask(tx, tenant_id, answer_id, call, **place, actor=row["actor"])


async def _ask(
    tx: Transaction, tenant_id: UUID, answer_id: UUID, call: AnyCall, *, account_id: UUID, dispute_id: UUID, actor: str
) -> None:
    call_id = await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=account_id,
        call=call,
        subject=ids.show(ids.DISPUTE, dispute_id),
        key=f"dispute_answer:{ids.show(ids.DISPUTE_ANSWER, answer_id)}",
        actor=actor,
        asker=ASKED_BY,
    )
    await tx.execute(_ASKED, tenant_id, answer_id, call_id)


async def _record(
    tx: Transaction, tenant_id: UUID, target: Target, action: str, told: dict[str, Any], *, actor: str
) -> None:
    subject = ids.show(ids.DISPUTE, target.id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=subject, changes=told)


async def _succeeded(tx: Transaction, ended: Ended) -> None:
    if not isinstance(ended.call, UploadFile):
        for row in await tx.fetch(_GIVEN, ended.tenant_id, ended.id):
            await _forget_if_erased(tx, ended.tenant_id, row["id"], row["dispute_id"])
        return
    for row in await tx.fetch(_WAITING, ended.tenant_id, ended.id):
        await _submit_if_whole(tx, ended.tenant_id, row["id"])


async def _refused(tx: Transaction, ended: Ended) -> None:
    """Let the answer fail, whether it or a file of it was refused. Another one may be given."""
    why = storable(ended.message or "", length_max=_FAILURE_MAX) or "refused"
    code = ended.code and storable(ended.code, length_max=_CODE_MAX)
    for row in await tx.fetch(_FAILED, ended.tenant_id, ended.id, code, why):
        await audit.record(
            tx,
            tenant_id=ended.tenant_id,
            actor="gateway",
            action="dispute.answer_refused",
            subject=ids.show(ids.DISPUTE, row["dispute_id"]),
            changes={"answer": ids.show(ids.DISPUTE_ANSWER, row["id"]), "code": code},
        )
        await _forget_if_erased(tx, ended.tenant_id, row["id"], row["dispute_id"])


async def _forget_if_erased(tx: Transaction, tenant_id: UUID, answer_id: UUID, dispute_id: UUID) -> None:
    if await tx.fetchval(_IS_ERASED, tenant_id, dispute_id):
        await tx.execute(_FORGET_TEXTS, tenant_id, answer_id)
        await tx.execute(_FORGET_FILES, tenant_id, answer_id)
        await tx.execute(_FORGET_CALLS, tenant_id, ids.show(ids.DISPUTE, dispute_id))


ASKER: Final = Asker(ASKED_BY, on_succeeded=_succeeded, on_refused=_refused)
