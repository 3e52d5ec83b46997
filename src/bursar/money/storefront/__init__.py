"""The storefront: what customers of a business see of us, and which prices they may buy with nothing but a link.

What it is: a business's theme, and its buy links. What it is not: a shop; a checkout is made and paid as every other is.

Invariants:
- a business that chose nothing has a theme all the same;
- an accent can be read on the pages, in light and in dark, or is refused;
- a price is sold by link only while its business says so.
"""

from bursar.money.storefront.buy_links import BuyLink, NotForSale, buy_links, offer_of, set_buy_link
from bursar.money.storefront.colours import Shades, shades_of
from bursar.money.storefront.themes import AccentUnreadable, Theme, set_theme, theme_of

__all__ = [
    "AccentUnreadable",
    "BuyLink",
    "NotForSale",
    "Shades",
    "Theme",
    "buy_links",
    "offer_of",
    "set_buy_link",
    "set_theme",
    "shades_of",
    "theme_of",
]
