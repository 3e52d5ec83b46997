"""Routes of disputes: what is contested, and what is answered."""

import asyncio
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import GatewayRefused
from bursar.kernel.http import Input, Instant, Key, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId, DisputeId, PaymentId
from bursar.kernel.http.inputs import lines
from bursar.money import calls
from bursar.money.calls.following import check_not_refused
from bursar.money.disputing import answering, queries
from bursar.money.disputing.files import ContentType, File, decoded, file_of
from bursar.money.disputing.queries import DisputeAnswer, DisputeInFull
from bursar.money.gateways.calls import EvidenceFile, EvidenceText
from bursar.money.payments import queries as payments
from bursar.money.payments.schemas import Dispute, DisputeState

BODY_BYTES_MAX: Final = 6 * 2**20
"""Files as base64 are a third longer than they are."""
TEXT_LENGTH_MAX: Final = 20_000

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["disputes"])

_Dispute = Annotated[DisputeId, Path()]
_Words = Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH_MAX), AfterValidator(lines)]


class DisputeAnswerRefused(GatewayRefused):
    """The gateway will not take this answer."""

    code = "dispute_answer_refused"
    status = 422


class NewEvidenceFile(Input):
    """A PDF, a JPEG or a PNG: known by how it begins."""

    filename: Key
    content_type: ContentType
    content: Annotated[
        str,
        Field(description="Base64 (RFC 4648, section 4).", examples=["JVBERi0xLjcK"]),
    ]


class NewEvidence(Input):
    """What is said and shown. Not final: it is kept beside the dispute, and what is sent later under a name takes its place."""

    texts: dict[Annotated[EvidenceText, Field(strict=False)], _Words] = Field(
        default_factory=dict, examples=[{"product_description": "Ten classes, eight of them attended."}]
    )
    files: dict[Annotated[EvidenceFile, Field(strict=False)], NewEvidenceFile] = Field(default_factory=dict)
    is_final: bool = Field(
        default=False, description="Hand it to the bank with all that was sent before, once and for all."
    )

    @property
    def said(self) -> answering.Said:
        """Return it as the door takes it. Raises EvidenceFileInvalid."""
        return answering.Said(self.texts, tuple(_file(name, new) for name, new in self.files.items()), self.is_final)


class DisputeFilters(PageFilters):
    customer: CustomerId | None = None
    gateway_ref: Key | None = None
    gateway_account: AccountId | None = None
    payment: PaymentId | None = None
    status: DisputeState | None = None
    due_before: Instant | None = Field(default=None, description="Those whose answer must be given before then.")
    since: Instant | None = None
    until: Instant | None = None


async def _given(caller: Caller, name: str) -> DisputeAnswer | None:
    """Wait for the gateway's answers, of the files and of the answer itself. Raises DisputeAnswerRefused."""
    answer_id = ids.parse(ids.DISPUTE_ANSWER, name)
    now = asyncio.get_running_loop().time
    end = now() + caller.resources.settings.outcome_wait_s
    while True:
        async with caller.transaction() as tx:
            # The call first: when none is under way, the answer that is read after it has its outcome.
            call_id = await queries.call_under_way(tx, tenant_id=caller.tenant_id, answer_id=answer_id)
            found = await queries.dispute_answer(tx, tenant_id=caller.tenant_id, answer_id=answer_id)
        left = end - now()
        if call_id is None or left <= 0:
            break
        await calls.waited(
            caller.resources.db, tenant_id=caller.tenant_id, call_id=call_id, at_most=timedelta(seconds=left)
        )
    check_not_refused(
        found,
        DisputeAnswerRefused,
        hint="Nothing was handed to the bank. Change what the gateway objects to, and answer again.",
        dispute_answer=name,
    )
    return found if found.status == "done" else None


@router.get("/disputes")
@needs("disputes:read")
async def list_disputes(caller: CallerOf, filters: Annotated[DisputeFilters, Query()]) -> Page[Dispute]:
    """List disputes, newest first."""
    async with caller.transaction() as tx:
        return page_of(await payments.disputes(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/disputes/{dispute}")
@needs("disputes:read")
async def get_dispute(caller: CallerOf, dispute: _Dispute) -> DisputeInFull:
    """Return one dispute, with what was said and shown so far and what became of it."""
    async with caller.transaction() as tx:
        return await queries.dispute_in_full(tx, tenant_id=caller.tenant_id, dispute_id=dispute)


@router.post("/disputes/{dispute}/evidence", status_code=202, responses={201: {"model": DisputeAnswer}})
@needs("disputes:write", outcome=_given, bytes_max=BODY_BYTES_MAX)
async def answer_dispute(caller: CallerOf, dispute: _Dispute, new: NewEvidence, response: Response) -> DisputeAnswer:
    """Answer a dispute: say something, show something, hand it to the bank.

    201: the gateway has it. 202: it has not answered yet; read the dispute, or repeat with the same key.
    """
    said = new.said
    async with caller.transaction() as tx:
        answer_id = await answering.answer(
            tx, tenant_id=caller.tenant_id, dispute_id=dispute, said=said, actor=caller.actor, now=caller.now()
        )
        return await _asked(tx, caller, dispute, answer_id, response)


@router.post("/disputes/{dispute}/acceptances", status_code=202, responses={201: {"model": DisputeAnswer}})
@needs("disputes:write", outcome=_given)
async def accept_dispute(caller: CallerOf, dispute: _Dispute, response: Response) -> DisputeAnswer:
    """Concede a dispute. It cannot be undone: the money stays with the payer, and what it bought is taken back. 201 and 202 as for evidence."""
    async with caller.transaction() as tx:
        answer_id = await answering.accept(
            tx, tenant_id=caller.tenant_id, dispute_id=dispute, actor=caller.actor, now=caller.now()
        )
        return await _asked(tx, caller, dispute, answer_id, response)


async def _asked(
    tx: Transaction, caller: Caller, dispute_id: UUID, answer_id: UUID, response: Response
) -> DisputeAnswer:
    response.headers["location"] = f"/v1/disputes/{ids.show(ids.DISPUTE, dispute_id)}"
    return await queries.dispute_answer(tx, tenant_id=caller.tenant_id, answer_id=answer_id)


def _file(name: EvidenceFile, new: NewEvidenceFile) -> File:
    return file_of(name, filename=new.filename, content=decoded(name, new.content), content_type=new.content_type)
