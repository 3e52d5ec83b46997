"""Pauses that end early: what waits in the background is told to stop, or that something came."""

import asyncio
import contextlib


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()
