"""All connections of an API process: how many there may be, whose time is over, who goes when there are too many."""

import resource
from collections.abc import Iterable
from typing import Any, Final

import structlog

CONNECTIONS_MAX: Final = 6_000
_OWN_FILES: Final = 64
"""Descriptors that the process needs besides callers and the database: its log, its loop, the files of its pages."""
_LEAVING_SHARE: Final = 16
"""The part of the connections that goes at once when there are too many, so that room need not be made for each."""

_log = structlog.get_logger("bursar.http")


def connections_max(*, database_connections: int) -> int:
    """Return how many callers may be connected, after asking for as many descriptors as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + database_connections + _OWN_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    room = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)
    return max(room - database_connections - _OWN_FILES, 16)


def cut_off_late(connections: Iterable[Any], *, now: float) -> int:
    """End the connections whose time is over; return how many. now: on the clock of time.monotonic."""
    late = [connection for connection in connections if connection.cut_off_at <= now]
    for connection in late:
        connection.cut_off()
    if late:
        _log.info("connections_cut_off", late=len(late))
    return len(late)


def make_room(connections: set[Any], *, newcomer: Any) -> int:
    """End those that have waited longest without a whole request, in favour of a newcomer; return how many.

    Whoever sends a request at once is never among them; whoever only holds connections open always is.
    """
    waiting = [c for c in connections if c is not newcomer and c.is_waited_for]
    waiting.sort(key=lambda connection: connection.since)
    leaving = waiting[: max(len(connections) // _LEAVING_SHARE, 1)]
    connections.difference_update(leaving)
    for connection in leaving:
        connection.transport.abort()
    _log.warning("connections_full", ended=len(leaving), left=len(connections))
    return len(leaving)
