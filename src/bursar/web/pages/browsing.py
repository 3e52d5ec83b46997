"""Customers and payments: lists and details; the catalogue, the books, the checks, the search."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.apps.booking import fees
from bursar.apps.booking.services.history import AHEAD, history
from bursar.kernel import ids
from bursar.kernel.auth import needs, signed_in
from bursar.kernel.errors import NotFound
from bursar.kernel.zones import time_zone_of
from bursar.web.pages.paging import ROWS, Before, before
from bursar.web.pages.reads.books import balances, transactions
from bursar.web.pages.reads.catalogue import catalogue
from bursar.web.pages.reads.checks import checks
from bursar.web.pages.reads.customer import customer
from bursar.web.pages.reads.customers import customers
from bursar.web.pages.reads.front_desk import names_of
from bursar.web.pages.reads.payment import payment
from bursar.web.pages.reads.payments import STATUSES, payments
from bursar.web.pages.reads.search import QUERY_MAX, search
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

_NEEDED = {
    "payments": "payments:read",
    "customers": "customers:read",
    "events": "events:read",
    "catalog": "catalog:read",
    "subscriptions": "subscriptions:read",
}
"""What the pages need that a search may lead to."""
_TOLD = 12
"""How much of the timeline stands on a customer's own page."""

router = APIRouter(route_class=PageRoute)


class CustomerNotFound(NotFound):
    """No customer of this tenant has this id."""

    code = "customer_not_found"


class PaymentNotFound(NotFound):
    """No payment of this tenant has this id."""

    code = "payment_not_found"


@router.get("/customers")
@needs("customers:read")
async def customer_list(
    visit: Visiting, q: Annotated[str, Query(max_length=QUERY_MAX)] = "", before_id: Before = None
) -> Response:
    """Show the customers, newest first, or those of a name."""
    named = q.replace("\0", "").strip()
    async with visit.open() as page:
        found = await search(page.tx, tenant_id=visit.tenant_id, query=named) if named and before_id is None else ()
        if len(found) == 1 and found[0].href.startswith("/customers/"):
            return to(found[0].href)
        listed = await customers(
            page.tx, tenant_id=visit.tenant_id, named=named or None, below=before(ids.CUSTOMER, before_id)
        )
        return page.answer(
            "customers.html", customers=listed.rows, after=listed.after, q=named, is_newest=before_id is None
        )


@router.get("/customers/{customer_ref}")
@needs("customers:read")
async def customer_page(visit: Visiting, customer_ref: str, before_id: Before = None) -> Response:
    """Show one customer."""
    customer_id = ids.parse(ids.CUSTOMER, customer_ref)
    async with visit.open() as page:
        found = await customer(
            page.tx,
            tenant_id=visit.tenant_id,
            customer_id=customer_id,
            movements_below=before(ids.MOVEMENT, before_id),
            now=visit.now,
        )
        if found is None:
            raise CustomerNotFound("There is no customer of this id here.", hint="Check the id, or search for it.")
        told = await history(
            page.tx,
            tenant_id=visit.tenant_id,
            customer_id=customer_id,
            until=visit.now + AHEAD,
            limit=_TOLD,
        )
        owes = (
            await fees.open_fees(page.tx, tenant_id=visit.tenant_id, customers=[customer_id])
            if visit.may("bookings:read")
            else []
        )
        return page.answer(
            "customer.html",
            customer=found,
            told=told,
            owes=[(ids.show(ids.BOOKING, each.booking), each) for each in owes],
            zone=await time_zone_of(page.tx, tenant_id=visit.tenant_id),
        )


@router.get("/customers/{customer_ref}/timeline")
@needs("customers:read")
async def timeline_page(
    visit: Visiting, customer_ref: str, before_id: Annotated[str, Query(alias="before", max_length=100)] = ""
) -> Response:
    """Show what a person paid, booked and came to, and which credits moved, the latest first."""
    customer_id = ids.parse(ids.CUSTOMER, customer_ref)
    async with visit.open() as page:
        told = await history(
            page.tx,
            tenant_id=visit.tenant_id,
            customer_id=customer_id,
            until=visit.now + AHEAD,
            limit=ROWS,
            before=before_id or None,
        )
        names = await names_of(page.tx, tenant_id=visit.tenant_id, customers=[customer_id])
        return page.answer(
            "customer_timeline.html",
            id=customer_ref,
            name=names.get(customer_ref, customer_ref),
            told=told,
            zone=await time_zone_of(page.tx, tenant_id=visit.tenant_id),
            is_newest=not before_id,
        )


@router.get("/payments")
@needs("payments:read")
async def payment_list(
    visit: Visiting,
    status: Literal["", "succeeded", "processing", "requires_action", "pending", "failed", "canceled"] = "",
    customer_ref: Annotated[str, Query(alias="customer", max_length=64)] = "",
    before_id: Before = None,
) -> Response:
    """Show the payments, newest first."""
    async with visit.open() as page:
        found = await payments(
            page.tx,
            tenant_id=visit.tenant_id,
            status=status or None,
            customer_id=ids.parse(ids.CUSTOMER, customer_ref) if customer_ref else None,
            below=before(ids.PAYMENT, before_id),
        )
        return page.answer(
            "payments.html",
            fragment="payments_rows.html",
            payments=found.rows,
            after=found.after,
            statuses=STATUSES,
            status=status,
            customer=customer_ref,
            is_newest=before_id is None,
        )


@router.get("/payments/{payment_ref}")
@needs("payments:read")
async def payment_page(visit: Visiting, payment_ref: str) -> Response:
    """Show one payment."""
    payment_id = ids.parse(ids.PAYMENT, payment_ref)
    async with visit.open() as page:
        found = await payment(page.tx, tenant_id=visit.tenant_id, payment_id=payment_id)
        if found is None:
            raise PaymentNotFound("There is no payment of this id here.", hint="Check the id, or search for it.")
        return page.answer("payment.html", payment=found)


@router.get("/catalog")
@needs("catalog:read")
async def catalogue_page(visit: Visiting) -> Response:
    """Show what is sold and what it grants."""
    async with visit.open() as page:
        return page.answer("catalogue.html", products=await catalogue(page.tx, tenant_id=visit.tenant_id))


@router.get("/books")
@needs("ledger:read")
async def books_page(visit: Visiting, before_id: Before = None) -> Response:
    """Show the balances and the newest transactions."""
    async with visit.open() as page:
        found = await transactions(page.tx, tenant_id=visit.tenant_id, below=before(ids.LEDGER_TRANSACTION, before_id))
        return page.answer(
            "books.html",
            books=await balances(page.tx, tenant_id=visit.tenant_id),
            transactions=found.rows,
            after=found.after,
            is_newest=before_id is None,
        )


@router.get("/checks")
@needs("ledger:read")
async def checks_page(visit: Visiting) -> Response:
    """Show what the running check last saw."""
    async with visit.open() as page:
        return page.answer("checks.html", checks=await checks(page.tx, tenant_id=visit.tenant_id))


@router.get("/search")
@signed_in
async def search_page(visit: Visiting, q: Annotated[str, Query(max_length=2_000)] = "") -> Response:
    """Go straight to the page that an id names; list the pages when there are several."""
    async with visit.open() as page:
        answers = await search(page.tx, tenant_id=visit.tenant_id, query=q)
        found = tuple(one for one in answers if visit.may(_NEEDED[one.href.split("/")[1].partition("#")[0]]))
        if len(found) == 1:
            return to(found[0].href)
        return page.answer("search.html", found=found, q=q.strip()[:QUERY_MAX])
