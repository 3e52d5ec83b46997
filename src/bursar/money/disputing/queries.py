"""Disputes in full, and what was answered to them, as people and programs see it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import DisputeAnswerId, DisputeId
from bursar.money.calls.models import CallState
from bursar.money.calls.queries import GatewayCallId
from bursar.money.payments.queries import dispute
from bursar.money.payments.schemas import Dispute

ANSWERS_MAX: Final = 100

AnswerStatus = Literal["pending", "done", "refused", "unknown"]


class DisputeAnswerNotFound(NotFound):
    """No answer to a dispute of this tenant has this id."""

    code = "dispute_answer_not_found"


class AnswerFile(BaseModel):
    """A file that is shown. What is in it lies at the gateway; here it is kept only until it is there."""

    name: str = Field(description="What it shows.", examples=["receipt"])
    filename: str
    content_type: str
    size_bytes: int
    gateway_call: GatewayCallId
    state: CallState = Field(description="Of the call that brings it to the gateway.")
    gateway_ref: str | None = Field(examples=["file_1Qxg1o8vcGmo"])


class DisputeAnswer(View):
    """What was answered to a dispute, and what the gateway said."""

    id: DisputeAnswerId
    dispute: DisputeId
    kind: Literal["evidence", "acceptance"]
    is_final: bool = Field(description="Handed to the bank, once and for all; else kept beside the dispute.")
    status: AnswerStatus = Field(
        description="pending: the gateway has not answered yet. unknown: nobody can tell what it did; see the call."
    )
    texts: dict[str, str]
    files: list[AnswerFile]
    gateway_call: GatewayCallId | None = Field(
        description="The call that answers; none until every file lies at the gateway."
    )
    failure_code: str | None
    failure: str | None = Field(description="Why the gateway refused it.")
    actor: str
    created_at: datetime
    ended_at: datetime | None


class Evidence(BaseModel):
    """What lies at the gateway beside a dispute, as far as it came from here: of each kind what was said or shown last."""

    texts: dict[str, str]
    files: dict[str, AnswerFile]


class DisputeInFull(Dispute):
    """A payment that its payer contests, and what was answered."""

    evidence: Evidence
    answers: list[DisputeAnswer] = Field(description="Newest first.")


_SELECT: Final = """select a.id, a.dispute_id as dispute, a.kind, a.is_final, a.texts::text as texts, a.call_id as gateway_call,
  case when a.failure is not null then 'refused' when not a.is_open then 'done'
    when g.state = 'unknown' or exists (
      select from dispute_answer_file u join gateway_call c on c.tenant_id = u.tenant_id and c.id = u.call_id
      where u.tenant_id = a.tenant_id and u.answer_id = a.id and c.state = 'unknown') then 'unknown'
    else 'pending' end as status,
  a.failure_code, a.failure, a.actor, a.created_at, a.ended_at
from dispute_answer a
left join gateway_call g on g.tenant_id = a.tenant_id and g.id = a.call_id"""

_ONE = f"{_SELECT} where a.tenant_id = $1 and a.id = $2"

_OF_DISPUTE = f"{_SELECT} where a.tenant_id = $1 and a.dispute_id = $2 order by a.id desc limit {ANSWERS_MAX}"

_FILES = """
select f.answer_id, f.name, f.filename, f.content_type, f.size_bytes, f.call_id as gateway_call, g.state, g.ref as gateway_ref
from dispute_answer_file f join gateway_call g on g.tenant_id = f.tenant_id and g.id = f.call_id
where f.tenant_id = $1 and f.answer_id = any($2::uuid[]) order by f.answer_id, f.name
"""

_CALLS = """
select id from gateway_call where tenant_id = $1 and state = 'asked' and (
  id = (select call_id from dispute_answer where tenant_id = $1 and id = $2)
  or id in (select call_id from dispute_answer_file where tenant_id = $1 and answer_id = $2))
order by id limit 1
"""


async def dispute_in_full(tx: Transaction, *, tenant_id: UUID, dispute_id: UUID) -> DisputeInFull:
    """Return a dispute and what was answered. Raises DisputeNotFound."""
    found = await dispute(tx, tenant_id=tenant_id, dispute_id=dispute_id)
    answers = await _answers(tx, tenant_id, await tx.fetch(_OF_DISPUTE, tenant_id, dispute_id))
    return DisputeInFull(**dict(found), evidence=_evidence(answers), answers=answers)


async def dispute_answer(tx: Transaction, *, tenant_id: UUID, answer_id: UUID) -> DisputeAnswer:
    """Return one answer. Raises DisputeAnswerNotFound."""
    answers = await _answers(tx, tenant_id, await tx.fetch(_ONE, tenant_id, answer_id))
    if not answers:
        raise DisputeAnswerNotFound(f"there is no answer to a dispute {ids.show(ids.DISPUTE_ANSWER, answer_id)}")
    return answers[0]


async def call_under_way(tx: Transaction, *, tenant_id: UUID, answer_id: UUID) -> UUID | None:
    """Return the call of an answer that is made next; None when none is."""
    found: UUID | None = await tx.fetchval(_CALLS, tenant_id, answer_id)
    return found


async def _answers(tx: Transaction, tenant_id: UUID, rows: Sequence[Any]) -> list[DisputeAnswer]:
    files: dict[UUID, list[AnswerFile]] = {row["id"]: [] for row in rows}
    for row in await tx.fetch(_FILES, tenant_id, list(files)):
        told = dict(row)
        files[told.pop("answer_id")].append(AnswerFile(**told))
    return [
        DisputeAnswer.of(dict(row) | {"files": files[row["id"]], "texts": msgspec.json.decode(row["texts"])})
        for row in rows
    ]


def _evidence(answers: Sequence[DisputeAnswer]) -> Evidence:
    texts: dict[str, str] = {}
    files: dict[str, AnswerFile] = {}
    for each in reversed(answers):
        if each.status == "done":
            texts |= each.texts
            files |= {file.name: file for file in each.files}
    return Evidence(texts=texts, files=files)
