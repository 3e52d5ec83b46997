"""The clock, read at the edges and passed in."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time by this machine."""
    return datetime.now(UTC)
