"""The worker process: claims buckets of the queue, applies their events, and keeps the house's small chores."""

from bursar.worker.process import run

__all__ = ["run"]
