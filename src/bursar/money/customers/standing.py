"""Whether a customer is still one, and whether his gateway knows him by a name of its own."""

from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.errors import Conflict

UNNAMED: Final = ("email:", "guest:")
"""How a customer's name at the gateway begins where the gateway has none."""

IS_GONE: Final = "(c.is_deleted or c.deleted_at is not null or c.erased_at is not null)"
"""Of `customer c`: deleted at the gateway, deleted here, or erased. Nothing is asked in the name of who is gone."""


class CustomerNotAtGateway(Conflict):
    """The gateway knows this customer by no name of its own, or the customer is gone: nothing can be asked there in his name."""

    code = "customer_not_at_gateway"


def is_named(ref: str) -> bool:
    """Return whether the gateway itself gave this name."""
    return not ref.startswith(UNNAMED)


def name_at_gateway(ref: str, *, customer_id: UUID, is_gone: bool) -> str:
    """Return the customer's name at his gateway. is_gone: as `IS_GONE` says. Raises CustomerNotAtGateway."""
    shown = ids.show(ids.CUSTOMER, customer_id)
    if is_gone:
        raise CustomerNotAtGateway(
            f"{shown} is deleted or erased",
            hint="Nothing is asked of the gateway for who is gone. Restore a deleted customer first.",
        )
    if not is_named(ref):
        raise CustomerNotAtGateway(
            f"the gateway has no customer {shown}",
            hint="Who paid as a guest has no name there. Let the customer buy once with saves_payment_method: POST /v1/checkouts.",
        )
    return ref
