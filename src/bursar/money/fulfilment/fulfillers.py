"""The registry of fulfillers: who delivers which kind of grant."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid

if TYPE_CHECKING:
    from bursar.money.fulfilment.grants import Change


class SpecInvalid(Invalid):
    """A grant of a price is not of a form that its fulfiller understands."""

    code = "grant_invalid"


class Fulfiller(Protocol):
    """Delivers grants of one kind.

    is_standing: on a subscription, it lasts as long as the subscription does (a feature); otherwise it is
    granted anew with each paid period (credits).
    """

    kind: str
    is_standing: bool

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Return the specification in its canonical form. Raises SpecInvalid."""

    async def deliver(self, tx: Transaction, *, tenant_id: UUID, changes: Sequence["Change"], now: datetime) -> None:
        """Bring what the customer has to what these grants now say. Set-based, and harmless when repeated."""


class Registry:
    """Fulfillers by kind."""

    def __init__(self, fulfillers: Iterable[Fulfiller]) -> None:
        self._by_kind: dict[str, Fulfiller] = {}
        for fulfiller in fulfillers:
            if fulfiller.kind in self._by_kind:
                raise ValueError(f"two fulfillers for grants of the kind {fulfiller.kind}")
            self._by_kind[fulfiller.kind] = fulfiller

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._by_kind)

    def __getitem__(self, kind: str) -> Fulfiller:
        return self._by_kind[kind]

    def checked(self, specs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the grants of a price in canonical form. Raises SpecInvalid naming the grant's index."""
        out = []
        for index, spec in enumerate(specs):
            kind = spec.get("kind")
            if not isinstance(kind, str) or kind not in self._by_kind:
                raise SpecInvalid(
                    f"grants[{index}].kind is {kind!r}; known kinds are {', '.join(self._by_kind)}",
                    fields=(FieldError(f"grants.{index}.kind", "unknown_kind", "no fulfiller delivers this kind"),),
                )
            try:
                out.append({"kind": kind} | self._by_kind[kind].checked({k: v for k, v in spec.items() if k != "kind"}))
            except SpecInvalid as error:
                raise SpecInvalid(
                    f"grants[{index}]: {error.message}",
                    hint=error.hint,
                    fields=tuple(FieldError(f"grants.{index}.{f.field}", f.code, f.message) for f in error.fields),
                ) from error
        return out
