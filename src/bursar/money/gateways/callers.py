"""The callers of a process, by the name an account is configured with; each opened when it is first asked for.

An SDK is imported with the first call to its gateway: only workers make calls, and the API stays small.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from bursar.kernel.clock import utc_now
from bursar.money.gateways.calling import Caller
from bursar.money.gateways.calls import AnyCall, Kind
from bursar.money.gateways.desk import DeskCaller
from bursar.money.gateways.dodo.caller import DodoCaller
from bursar.money.gateways.registry import GATEWAYS, GatewayUnknown
from bursar.money.gateways.stripe.caller import StripeCaller


class Callers:
    """Keeps one caller for each gateway, within one event loop. Close it at the end."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self._callers: dict[str, Caller] = {
            "stripe": StripeCaller("stripe", now=now),
            "sandbox": StripeCaller("sandbox", now=now),
            "dodo": DodoCaller(now=now),
            "manual": DeskCaller(),
        }

    def of(self, name: str) -> Caller:
        """Return the caller of a gateway. Raises GatewayUnknown."""
        found = self._callers.get(name)
        if found is None:
            raise GatewayUnknown("there is no gateway of this name", hint=f"Use one of {', '.join(GATEWAYS)}.")
        return found

    async def close(self) -> None:
        """Close the connections of all."""
        for caller in self._callers.values():
            await caller.close()


_SILENT: Final = Callers()
"""Nothing is sent through these, so they open nothing; they know what their gateways can do."""


def check(gateway: str, call: AnyCall) -> None:
    """Ask before an intent is written. Raises OperationUnsupported for what the gateway cannot do, GatewayUnknown."""
    _SILENT.of(gateway).check(call)


def listed_by(gateway: str) -> frozenset[Kind]:
    """Return which kinds of objects a gateway can list. Raises GatewayUnknown."""
    return _SILENT.of(gateway).lists
