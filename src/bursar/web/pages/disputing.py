"""Disputes: what must be answered first, one of them with the form for its evidence, and the two steps that cannot be undone."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import Conflict, Invalid
from bursar.kernel.http.inputs import lines
from bursar.kernel.zones import time_zone_of
from bursar.money import disputing
from bursar.money.disputing import Said, dispute_in_full, file_of
from bursar.money.gateways.calls import EvidenceFile, EvidenceText
from bursar.web.pages.paging import Before, before
from bursar.web.pages.reads.disputes import DisputePage, dispute_page, open_disputes, other_disputes
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.uploads import Sent, sent
from bursar.web.pages.visits import Page, Visiting, to

_TEXT_MAX: Final = 20_000
_TEXTS: Final = (
    EvidenceText.product_description,
    EvidenceText.customer_name,
    EvidenceText.customer_email_address,
    EvidenceText.service_date,
    EvidenceText.uncategorized_text,
)
"""What nearly every answer says; the others are folded away."""
_FILES: Final = (EvidenceFile.receipt, EvidenceFile.customer_communication, EvidenceFile.service_documentation)
_OTHER_TEXTS: Final = tuple(name for name in EvidenceText if name not in _TEXTS)
_OTHER_FILES: Final = tuple(name for name in EvidenceFile if name not in _FILES)

router = APIRouter(route_class=PageRoute)


class DisputeNotAnswerable(Conflict):
    """The dispute takes no answer now."""

    code = "dispute_not_answerable"


class EvidenceFormInvalid(Invalid):
    """A text of the form is too long, or holds what is no text."""

    code = "evidence_form_invalid"


@router.get("/disputes")
@needs("disputes:read")
async def dispute_list(visit: Visiting, before_id: Before = None) -> Response:
    """Show the disputes: those that must be answered, then the others, newest first."""
    async with visit.open() as page:
        zone = await time_zone_of(page.tx, tenant_id=visit.tenant_id)
        is_newest = before_id is None
        waiting = (
            await open_disputes(page.tx, tenant_id=visit.tenant_id, now=visit.now, zone=zone, soon=visit.due_soon)
            if is_newest
            else ()
        )
        others = await other_disputes(
            page.tx, tenant_id=visit.tenant_id, now=visit.now, zone=zone, below=before(ids.DISPUTE, before_id)
        )
        return page.answer(
            "disputes.html",
            waiting=waiting,
            others=others.rows,
            after=others.after,
            is_newest=is_newest,
        )


@router.get("/disputes/{dispute}")
@needs("disputes:read")
async def one_dispute(visit: Visiting, dispute: str) -> Response:
    """Show one dispute, what was said and shown so far, and the form for more."""
    async with visit.open() as page:
        found = await _found(page, ids.parse(ids.DISPUTE, dispute))
        return page.answer(
            "dispute.html",
            dispute=found,
            texts=_TEXTS,
            files=_FILES,
            other_texts=_OTHER_TEXTS,
            other_files=_OTHER_FILES,
            text_max=_TEXT_MAX,
            answer_id=_fresh(),
        )


@router.post("/disputes/{dispute}/evidence")
@needs("disputes:write")
async def draft(visit: Visiting, dispute: str) -> Response:
    """Lay texts and files beside the dispute at the gateway; nothing is handed to the bank yet."""
    dispute_id = ids.parse(ids.DISPUTE, dispute)
    form = await sent(visit)
    async with visit.open() as page:
        kept = (await dispute_in_full(page.tx, tenant_id=visit.tenant_id, dispute_id=dispute_id)).evidence.texts
        await disputing.answer(
            page.tx,
            tenant_id=visit.tenant_id,
            dispute_id=dispute_id,
            said=_said(form, kept),
            actor=visit.actor,
            now=visit.now,
            answer_id=_named(form.fields),
        )
    return to(f"/disputes/{dispute}")


@router.get("/disputes/{dispute}/submit")
@needs("disputes:write")
async def submit_form(visit: Visiting, dispute: str) -> Response:
    """Restate what is handed to the bank, for how much and of whom, and that it is once and for all."""
    async with visit.open() as page:
        found = await _answerable(page, ids.parse(ids.DISPUTE, dispute))
        return page.answer("dispute_submit.html", dispute=found, answer_id=_fresh())


@router.post("/disputes/{dispute}/submit")
@needs("disputes:write")
async def submit(visit: Visiting, dispute: str) -> Response:
    """Hand what lies beside the dispute to the bank. Sending the form twice is asking once."""
    fields = await visit.form()
    async with visit.open() as page:
        await disputing.answer(
            page.tx,
            tenant_id=visit.tenant_id,
            dispute_id=ids.parse(ids.DISPUTE, dispute),
            said=Said(is_final=True),
            actor=visit.actor,
            now=visit.now,
            answer_id=_named(fields),
        )
    return to(f"/disputes/{dispute}")


@router.get("/disputes/{dispute}/accept")
@needs("disputes:write")
async def accept_form(visit: Visiting, dispute: str) -> Response:
    """Restate what conceding means."""
    async with visit.open() as page:
        found = await _answerable(page, ids.parse(ids.DISPUTE, dispute))
        return page.answer("dispute_accept.html", dispute=found, answer_id=_fresh())


@router.post("/disputes/{dispute}/accept")
@needs("disputes:write")
async def accept(visit: Visiting, dispute: str) -> Response:
    """Concede a dispute. Sending the form twice is asking once."""
    fields = await visit.form()
    async with visit.open() as page:
        await disputing.accept(
            page.tx,
            tenant_id=visit.tenant_id,
            dispute_id=ids.parse(ids.DISPUTE, dispute),
            actor=visit.actor,
            now=visit.now,
            answer_id=_named(fields),
        )
    return to(f"/disputes/{dispute}")


async def _found(page: Page, dispute_id: UUID) -> DisputePage:
    visit = page.visit
    return await dispute_page(
        page.tx, tenant_id=visit.tenant_id, dispute_id=dispute_id, now=visit.now, soon=visit.due_soon
    )


async def _answerable(page: Page, dispute_id: UUID) -> DisputePage:
    found = await _found(page, dispute_id)
    if found.blocked:
        raise DisputeNotAnswerable("This dispute takes no answer now.", hint=found.blocked)
    return found


def _said(form: Sent, kept: dict[str, str]) -> Said:
    """Return what is new in a form that shows what was said before. Raises EvidenceFormInvalid, EvidenceFileInvalid."""
    texts = {name: text for name in EvidenceText if (text := _text(form, name)) and text != kept.get(name.value)}
    files = tuple(
        file_of(name, filename=form.files[name.value][0], content=form.files[name.value][1])
        for name in EvidenceFile
        if name.value in form.files
    )
    return Said(texts, files)


def _text(form: Sent, name: EvidenceText) -> str:
    text = form.fields.get(name.value, "").replace("\r\n", "\n").strip()
    try:
        if len(text) <= _TEXT_MAX:
            return lines(text)
    except ValueError:
        pass
    raise EvidenceFormInvalid(
        f"“{name.value.replace('_', ' ')}” has at most {_TEXT_MAX} characters, and no control characters.",
        hint="Go back and correct it.",
    )


def _named(fields: dict[str, str]) -> UUID:
    return ids.parse(ids.DISPUTE_ANSWER, fields.get("answer", ""))


def _fresh() -> str:
    return ids.show(ids.DISPUTE_ANSWER, ids.new())
