"""Which account is asked, and whether it can be."""

from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.money.gateways.callers import check
from bursar.money.gateways.calls import AnyCall
from bursar.money.intake.accounts import GatewayKeyMissing


@dataclass(frozen=True, slots=True)
class Account:
    """Where something is asked. has_key: whether it is active and has an API key."""

    id: UUID
    gateway: str
    has_key: bool


def check_account(account: Account, call: AnyCall) -> None:
    """Return if an account's gateway can be asked for this. Raises GatewayKeyMissing, OperationUnsupported."""
    check(account.gateway, call)
    if not account.has_key:
        shown = ids.show(ids.GATEWAY_ACCOUNT, account.id)
        raise GatewayKeyMissing(
            f"{shown} is not active, or has no API key, so its gateway cannot be asked",
            hint=f"Give it one: POST /v1/gateway-accounts/{shown}/secret-rotations with api_key.",
        )
