"""Links in gateways' answers: whoever has one may act as the customer, so they are sealed where they lie."""

from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.seal import Seal


def seal_link(seal: Seal, url: str, *, call_id: UUID) -> bytes:
    """Return a link as it is kept with its call, and nowhere else can be opened."""
    return seal.seal(url, purpose=_purpose(call_id))


def open_link(seal: Seal | None, sealed: bytes | None, *, call_id: UUID) -> str | None:
    """Return the link that a call's answer held; None without a seal, or where there is none."""
    if sealed is None or seal is None:
        return None
    return seal.open(sealed, purpose=_purpose(call_id))


def _purpose(call_id: UUID) -> str:
    return f"gateway_call:{ids.show(ids.GATEWAY_CALL, call_id)}:url"
