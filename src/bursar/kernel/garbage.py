"""Garbage collection of a process that runs for long: seldom, and never of what was loaded at its start."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG_MAX = 100_000
"""Objects made and not yet freed before Python looks for cycles among them. What a batch or a request makes is freed without that."""


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while modules are loaded: they make hundreds of thousands of objects, and nearly all of them stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settle() -> None:
    """Keep what is loaded by now out of every collection, and collect seldom. Call it when the process is ready to work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 20, 50)
