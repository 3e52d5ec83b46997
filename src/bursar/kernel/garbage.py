"""Garbage collection of a process that runs for long: seldom, and never of what was loaded at its start."""

import gc

_YOUNG_MAX = 100_000
"""Objects made and not yet freed before Python looks for cycles among them. What a batch or a request makes is freed without that."""


def settle() -> None:
    """Keep what is loaded by now out of every collection, and collect seldom. Call it when the process is ready to work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 20, 50)
