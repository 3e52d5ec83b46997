"""What somebody may give to another: at most what he has himself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bursar.kernel import permissions
from bursar.kernel.errors import FieldError, Forbidden

_NAMED_MAX: Final = 20


class MoreThanHeld(Forbidden):
    """Nobody can give more than he has himself: permissions, a longer life, more addresses."""

    code = "more_than_held"


@dataclass(frozen=True, slots=True)
class Giver:
    """Who gives. permissions: what he holds. key_id: the API key he acts with, whose own limits then hold too."""

    actor: str
    permissions: frozenset[str]
    key_id: UUID | None = None

    def require(self, wanted: Iterable[str], *, field: str) -> None:
        """Return if all of these permissions are held. Raises MoreThanHeld. field: where the caller named them."""
        if lacking := sorted(frozenset(wanted) - self.permissions):
            raise MoreThanHeld(
                f"you cannot give {lacking[0]}, which you do not have yourself",
                hint="Let somebody give it who has it.",
                fields=tuple(FieldError(field, "more_than_held", name) for name in lacking[:_NAMED_MAX]),
            )


OPERATOR: Final = Giver("operator", permissions.ALL)
"""Whoever runs the installation, at its command line."""
