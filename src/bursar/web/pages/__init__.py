"""The pages: a dashboard of one business, drawn on the server.

What it is: sign-in, the overview, lists and stories of events, payments, customers, dead letters, unmatched money,
and the way to replay and assign. What it is not: a second API; a page reads several verticals and acts through the
doors that the API uses.

Invariants:
- a page sees one tenant, the one of its session, in one transaction;
- nothing a gateway or customer wrote reaches a page as markup, and no page may run inline script or style;
- a post changes something only from a form of the same session, sent by a page of this site;
- a live page costs one stream, however much happens.
"""

from starlette.routing import BaseRoute

from bursar.web.pages import (
    account,
    alerting,
    attendance,
    booking,
    browsing,
    circuits,
    dead,
    desk_money,
    discounting,
    disputing,
    entrance,
    events,
    front_desk,
    invited,
    jobs,
    keys,
    offering,
    operating,
    overview,
    packs,
    people,
    places,
    planning,
    portal,
    reconciliation,
    refunding,
    reports,
    rostering,
    sagas,
    second_steps,
    shopping,
    standing,
    storefront,
    subscribing,
    terms,
    unmatched,
    watching,
)
from bursar.web.pages.files import Files
from bursar.web.pages.routing import last_resort, refusal_page, wants_page
from bursar.web.pages.templating import STATIC

_PARTS = (
    entrance,
    invited,
    overview,
    packs,
    discounting,
    events,
    dead,
    alerting,
    reconciliation,
    jobs,
    circuits,
    refunding,
    sagas,
    subscribing,
    disputing,
    portal,
    unmatched,
    browsing,
    watching,
    reports,
    attendance,
    desk_money,
    front_desk,
    planning,
    places,
    offering,
    rostering,
    terms,
    people,
    keys,
    storefront,
    account,
    second_steps,
    operating,
    standing,
    shopping,
    *booking.PARTS,
)

ROUTES: tuple[BaseRoute, ...] = (*(route for part in _PARTS for route in part.router.routes), *last_resort.routes)
"""The routes of all pages, as they were declared; what no page takes comes last."""

static = Files(STATIC)

__all__ = ["ROUTES", "STATIC", "refusal_page", "static", "wants_page"]
