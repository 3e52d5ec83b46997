"""What an invariant is, and how its statement is narrowed to what changed."""

import re
from dataclasses import dataclass
from enum import StrEnum

_ONLY = re.compile(r"/\*only ([a-z_.]+)\*/")
_STANDING = ":standing"


class Scope(StrEnum):
    """Which rows an invariant can be narrowed to, so that checking what changed does not read what did not."""

    purchase = "purchase"
    source = "source"  # a purchase or a subscription: what grants come from
    lot = "lot"
    spend = "spend"
    licence = "licence"
    transaction = "transaction"  # of the ledger
    event = "event"
    class_ = "class"
    booking = "booking"
    entry = "entry"  # of a waitlist
    coupon = "coupon"
    whole = "whole"  # so few rows that all of them are read every time
    never = "never"  # provable only from the whole table: for `verify`


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise and the statement that finds what breaks it.

    name: permanent. promises: one sentence for a person. subject: the table whose rows are counted as checked.
    sql: `$1` is the tenant, `:standing` the kinds of grant that last as long as a subscription; `/*only p.id*/` marks
    where the statement is narrowed to the ids of its scope. It returns one row for each offence: ids under the name
    of what they identify (`payment`, `lot`, …), then what was found and what should be.
    """

    name: str
    promises: str
    subject: str
    scope: Scope
    sql: str

    @property
    def takes_standing(self) -> bool:
        return _STANDING in self.sql

    def statement(self, *, limit: int, scoped: bool = False) -> str:
        """Return the statement over everything, or over the ids of its scope (the last parameter)."""
        text = self.sql.strip()
        if self.takes_standing:
            text = text.replace(_STANDING, "$2::text[]")
        if scoped and self.scope is not Scope.whole:
            number = 3 if self.takes_standing else 2
            text, places = _ONLY.subn(rf"and \1 = any(${number}::uuid[])", text)
            if not places:
                raise ValueError(f"{self.name} names a scope and no place for it")
        return f"select * from (\n{text}\n) as offence limit {limit}"
