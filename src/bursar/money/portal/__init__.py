"""Portal: links to the gateway's own page for one of its customers.

What it is: the call that makes a link, and how long the link is told. What it is not: a portal of ours.

Invariants:
- a link is a bearer secret: it is sealed where it lies, told for LINK_LIFE after the gateway made it, and then taken out of its call;
- it is in no event, in no audit record, and in no kept answer of an Idempotency-Key;
- whoever the gateway does not know gets none.
"""

from bursar.money.portal.opening import (
    FORGET_LINK,
    LINK_LIFE,
    forget_link,
    open_session,
)
from bursar.money.portal.queries import PortalSession, PortalSessionNotFound, portal_session

__all__ = [
    "FORGET_LINK",
    "LINK_LIFE",
    "PortalSession",
    "PortalSessionNotFound",
    "forget_link",
    "open_session",
    "portal_session",
]
