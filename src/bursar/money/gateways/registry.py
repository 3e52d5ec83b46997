"""The gateways we speak, by the name an account is configured with."""

from typing import Final

from bursar.kernel.errors import Invalid
from bursar.money.gateways.dodo import Dodo
from bursar.money.gateways.manual import Manual
from bursar.money.gateways.port import Gateway
from bursar.money.gateways.stripe import Stripe

GATEWAYS: Final[dict[str, Gateway]] = {
    "stripe": Stripe("stripe"),
    "dodo": Dodo(),
    "manual": Manual(),
    "sandbox": Stripe("sandbox"),
}


class GatewayUnknown(Invalid):
    """No adapter of that name."""

    code = "gateway_unknown"


def gateway(name: str) -> Gateway:
    """Return the adapter of that name. Raises GatewayUnknown."""
    found = GATEWAYS.get(name)
    if found is None:
        raise GatewayUnknown("there is no gateway of this name", hint=f"Use one of {', '.join(GATEWAYS)}.")
    return found
