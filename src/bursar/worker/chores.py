"""What a worker does once a minute: let expired credits expire, and look whether the books still hold."""

from datetime import datetime

from bursar.kernel.db import Database
from bursar.kernel.settings import Settings


async def chores(db: Database, *, settings: Settings, now: datetime) -> None:
    """Run every chore once. Any number of workers may: each is harmless when repeated."""
    del db, settings, now
