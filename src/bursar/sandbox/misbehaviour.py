"""How the sandbox misbehaves when it is told to: as gateways do, on bad days, and by the same dice every time.

Probabilities are between 0 and 1; every request and every delivery throws its own dice.
"""

from dataclasses import asdict, dataclass, fields
from random import Random
from typing import Any, Literal

from bursar.kernel.errors import Invalid
from bursar.sandbox.store import Store

_NAME = "misbehaviour"
Down = Literal["no", "unavailable", "hang_up"]


class SwitchInvalid(Invalid):
    """There is no such switch, or it cannot stand like that."""

    code = "switch_invalid"


@dataclass(frozen=True, slots=True)
class Switches:
    """down: `unavailable` answers 503 to everything, `hang_up` ends every connection without an answer.
    slow_s: wait before doing anything. late_s, late: wait after doing it, with this probability.
    lose: do it and hang up instead of answering. fail: answer 500 without doing it; fail_is_kept: under the idempotency
    key too, so that a repetition gets the same 500. rate_limit: answer 429 to everything.
    duplicate, drop: send a webhook twice, or never. reorder: let it wait up to reorder_s first.
    writes_only: misfortunes of requests happen to POST and DELETE only. seed: of the dice.
    """

    down: Down = "no"
    slow_s: float = 0.0
    late_s: float = 0.0
    late: float = 1.0
    lose: float = 0.0
    fail: float = 0.0
    fail_is_kept: bool = False
    rate_limit: bool = False
    duplicate: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 5.0
    writes_only: bool = True
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one request."""

    wait_first_s: float = 0.0
    wait_after_s: float = 0.0
    is_lost: bool = False
    fails: bool = False


class Misbehaviour:
    """The switches as they stand, kept over restarts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        kept = store.setting(_NAME) or {}
        self.switches = Switches(**kept)
        self._dice = Random(self.switches.seed)  # noqa: S311 - repeatable on purpose

    def set(self, changes: dict[str, Any]) -> Switches:
        """Turn switches and throw the dice anew. Raises SwitchInvalid."""
        wanted = asdict(self.switches) | changes
        known = {field.name: field.default for field in fields(Switches)}
        for name, value in changes.items():
            if name not in known or not _fits(name, value, known[name]):
                raise SwitchInvalid(
                    f"{name} cannot be {value!r}", hint=f"Switches: {', '.join(known)}; probabilities are from 0 to 1."
                )
        self.switches = Switches(**wanted)
        self._dice = Random(self.switches.seed)  # noqa: S311 - repeatable on purpose
        self._store.keep(_NAME, wanted)
        return self.switches

    def reset(self) -> Switches:
        """Behave again."""
        return self.set(asdict(Switches()))

    def fate(self, method: str) -> Fate:
        """Throw the dice for a request."""
        switches = self.switches
        if switches.writes_only and method == "GET":
            return Fate()
        return Fate(
            wait_first_s=switches.slow_s,
            wait_after_s=switches.late_s if switches.late_s and self._falls(switches.late) else 0.0,
            is_lost=self._falls(switches.lose),
            fails=self._falls(switches.fail),
        )

    def copies(self) -> list[float]:
        """Throw the dice for a delivery: after how many seconds each copy of it is sent. None: it never is."""
        switches = self.switches
        if self._falls(switches.drop):
            return []
        waits = [self._dice.uniform(0, switches.reorder_s) if self._falls(switches.reorder) else 0.0]
        if self._falls(switches.duplicate):
            waits.append(self._dice.uniform(0, 1))
        return waits

    def _falls(self, probability: float) -> bool:
        return probability > 0 and self._dice.random() < probability


def _fits(name: str, value: Any, default: Any) -> bool:
    if name == "down":
        return value in ("no", "unavailable", "hang_up")
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "seed":
        return isinstance(value, int)
    return 0 <= value <= (3600 if name.endswith("_s") else 1)
