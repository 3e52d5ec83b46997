"""Booking numbers: short, random, readable aloud, unique in a business."""

import secrets
from typing import Final

ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ3789"
"""Without what looks like something else."""
LENGTH: Final = 7


def number() -> str:
    """Return a number that nobody can guess: one of 13 thousand million."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
