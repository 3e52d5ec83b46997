"""When a failed job is tried again: exponentially later, spread, and no more of them a minute than the budget allows."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

_MINUTE_S: Final = 60.0
_REMEMBERED_MAX: Final = 10_000
_EXPONENT_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Backoff:
    """first_s, then `factor` times as long after each failure, at most max_s; spread over the upper half."""

    first_s: float = 2.0
    factor: float = 2.0
    max_s: float = 3600.0

    def after_s(self, attempt: int, *, spread: float) -> float:
        """Return the wait after the failure of an attempt (1: the first). spread: a random number from 0 to 1."""
        whole = min(self.first_s * self.factor ** min(attempt - 1, _EXPONENT_MAX), self.max_s)
        return whole * (0.5 + spread / 2)


class Budget:
    """How many retries one worker lets begin within a minute, of each kind and tenant; those beyond queue up behind.

    So the failures of an outage never become one herd: they come back at this rate, whatever their number. A minute's
    worth may come at once, for what fails seldom should not wait.
    """

    def __init__(self) -> None:
        self._spent_until: dict[tuple[UUID, str], float] = {}

    def wait_s(
        self, tenant_id: UUID, kind: str, *, wanted_s: float, wait_max_s: float, per_minute: int, now_s: float
    ) -> float:
        """Count one retry and return its wait: `wanted_s`, or longer while the budget is spent, at most wait_max_s more.

        now_s: of a clock that only goes forward.
        """
        who = (tenant_id, kind)
        spent_until = max(self._spent_until.get(who, 0.0), now_s - _MINUTE_S) + _MINUTE_S / per_minute
        self._spent_until[who] = min(spent_until, now_s + wait_max_s)
        if len(self._spent_until) > _REMEMBERED_MAX:
            self._forget(now_s)
        return wanted_s + min(max(0.0, spent_until - now_s), wait_max_s)

    def _forget(self, now_s: float) -> None:
        self._spent_until = {who: at for who, at in self._spent_until.items() if at > now_s - _MINUTE_S}
        while len(self._spent_until) > _REMEMBERED_MAX:
            self._spent_until.pop(next(iter(self._spent_until)))
