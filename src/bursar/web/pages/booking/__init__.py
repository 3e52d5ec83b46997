"""A business's own pages: what is on, booking it, and a customer's account. For customers, who are no users.

What it is: pages that read the booking app and act through its doors. What it is not: the business's side of it, which is among the
other pages; and no page needs a script.

Invariants:
- a page shows one business, and of a customer only what he has shown to be his, or whose link he holds;
- a booking is opened by its link, or by whoever is signed in as its customer; its id alone opens nothing;
- whoever is not signed in learns nothing about an address;
- a form sent twice is one booking.
"""

from bursar.web.pages.booking import account, browsing, own, seats, services, signing

PARTS = (browsing, seats, services, own, account, signing)

__all__ = ["PARTS"]
