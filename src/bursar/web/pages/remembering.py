"""Figures that cost something, kept for a moment, so that a thousand watchers cost the tables no more than one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

_KEPT_S_MIN = 0.4
_KEPT_COSTS = 20
_KEPT_MAX = 512

Value = TypeVar("Value")


@dataclass(slots=True)
class _Kept:
    until: float = 0.0
    value: Any = None
    making: asyncio.Lock = field(default_factory=asyncio.Lock)


class Memory:
    """Values by key, each kept for twenty times as long as it took to make."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], _Kept] = {}

    async def recall(self, key: tuple[object, ...], make: Callable[[], Awaitable[Value]]) -> Value:
        """Return the value of a key, making it when it is unknown or old. One maker at a time for each key."""
        if len(self._kept) >= _KEPT_MAX and key not in self._kept:
            self._kept.clear()
        kept = self._kept.setdefault(key, _Kept())
        async with kept.making:
            began = time.monotonic()
            if began >= kept.until:
                kept.value = await make()
                took = time.monotonic() - began
                kept.until = time.monotonic() + max(_KEPT_S_MIN, took * _KEPT_COSTS)
            value: Value = kept.value
            return value


def memory_of(request: Request) -> Memory:
    """Return the process's memory; made at its first use."""
    state = request.app.state
    if not hasattr(state, "pages_memory"):
        state.pages_memory = Memory()
    memory: Memory = state.pages_memory
    return memory
