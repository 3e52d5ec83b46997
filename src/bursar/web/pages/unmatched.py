"""Unmatched money: the list, one of it, and an operator's word on what it bought."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import Conflict, Invalid
from bursar.money.intake import file_own_event
from bursar.web.pages.paging import Before, before
from bursar.web.pages.reads.unmatched import UnmatchedRow, price_choice, price_choices, unmatched_list, unmatched_one
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Page, Visiting, to

ASSIGNED = "bursar.payment.assigned"
QUANTITY_MAX = 1_000_000

router = APIRouter(route_class=PageRoute)


class NotUnmatched(Conflict):
    """The money has found its price meanwhile, or was never unmatched."""

    code = "not_unmatched"


class AssignmentInvalid(Invalid):
    """The assignment names no price or no whole quantity."""

    code = "assignment_invalid"


@router.get("/unmatched")
@needs("payments:read")
async def unmatched(
    visit: Visiting,
    before_id: Before = None,
    done: Literal["", "assigned"] = "",
) -> Response:
    """Show the money that names nothing we sell."""
    async with visit.open() as page:
        found = await unmatched_list(
            page.tx, tenant_id=visit.tenant_id, below=before(ids.PURCHASE, before_id), now=visit.now, grace=visit.grace
        )
        return page.answer(
            "unmatched.html",
            fragment="unmatched_rows.html",
            rows=found.rows,
            after=found.after,
            done=done,
            grace=visit.grace,
        )


@router.get("/unmatched/{purchase}")
@needs("payments:write")
async def assigning(visit: Visiting, purchase: str) -> Response:
    """Show one purchase and the prices it may be assigned to; then ask once more, naming amount and customer."""
    async with visit.open() as page:
        found = await _one(page, purchase)
        choices = await price_choices(page.tx, tenant_id=visit.tenant_id, money=found.money)
        return page.answer("assign.html", row=found, choices=choices, quantity_max=QUANTITY_MAX)


@router.post("/unmatched/{purchase}/confirm")
@needs("payments:write")
async def confirm(visit: Visiting, purchase: str) -> Response:
    """Restate what is about to be done: how much, whose, for what."""
    fields = await visit.form()
    price_id, quantity = _chosen(fields)
    async with visit.open() as page:
        found = await _one(page, purchase)
        choice = await price_choice(page.tx, tenant_id=visit.tenant_id, price_id=price_id, money=found.money)
        if choice is None:
            raise AssignmentInvalid("There is no such price here.", hint="Choose one from the list.")
        return page.answer("assign_confirm.html", row=found, choice=choice, quantity=quantity)


@router.post("/unmatched/{purchase}/assign")
@needs("payments:write")
async def assign(visit: Visiting, purchase: str) -> Response:
    """File the operator's word as an event of its own; a worker applies it like any other."""
    fields = await visit.form()
    price_id, quantity = _chosen(fields)
    async with visit.open() as page:
        tx, tenant_id = page.tx, visit.tenant_id
        found = await _one(page, purchase)
        if found.gateway_ref is None:
            raise _settled()
        if await price_choice(tx, tenant_id=tenant_id, price_id=price_id, money=found.money) is None:
            raise AssignmentInvalid("There is no such price here.", hint="Choose one from the list.")
        price = ids.show(ids.PRICE, price_id)
        event_id = await file_own_event(
            tx,
            tenant_id=tenant_id,
            account_id=found.account_id,
            type=ASSIGNED,
            payload={"payment": found.gateway_ref, "price": price, "quantity": quantity},
            occurred_at=visit.now,
        )
    return to(f"/events/{ids.show(ids.EVENT, event_id)}")


async def _one(page: Page, purchase: str) -> UnmatchedRow:
    """Return one purchase that is unmatched still. Raises NotUnmatched."""
    visit, purchase_id = page.visit, ids.parse(ids.PURCHASE, purchase)
    found = await unmatched_one(
        page.tx, tenant_id=visit.tenant_id, purchase_id=purchase_id, now=visit.now, grace=visit.grace
    )
    if found is None:
        raise _settled()
    return found


def _chosen(fields: dict[str, str]) -> tuple[UUID, int]:
    text = fields.get("quantity", "")
    quantity = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(QUANTITY_MAX)) else 0
    if not 1 <= quantity <= QUANTITY_MAX:
        raise AssignmentInvalid(
            f"The quantity is a whole number from 1 to {QUANTITY_MAX:,}.", hint="Go back and correct it."
        )
    return ids.parse(ids.PRICE, fields.get("price", "")), quantity


def _settled() -> NotUnmatched:
    return NotUnmatched(
        "This money is not unmatched any more, or is not known here.",
        hint="A report may have arrived that names its price: look it up under payments.",
    )
