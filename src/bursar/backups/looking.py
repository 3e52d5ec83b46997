"""Looking into a backup: restored into a scratch server as a drill does, handed to whoever wants to look, and removed."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeVar

from bursar.backups.drilling import refuse_without_room
from bursar.backups.planning import Plan
from bursar.backups.restoring import Restored, Scene, restore
from bursar.backups.taking import Tell
from bursar.backups.vault import Vault
from bursar.kernel.files import Locked, lock
from bursar.kernel.postgres import Recovery, Tools

Found = TypeVar("Found")


def clear_look(scratch: Path) -> None:
    """Remove what a look left that was killed; nothing while somebody looks."""
    if scratch.exists():
        with suppress(Locked), _alone(scratch):
            Recovery.clear(scratch)


def look_into(
    vault: Vault,
    planned: Plan,
    *,
    scratch: Path,
    tools: Tools,
    tell: Tell,
    look: Callable[[Scene], Awaitable[Found]],
) -> tuple[Found, Restored]:
    """Restore, let somebody look, remove. scratch: a directory for this alone, gone afterwards, whatever happens.

    What a killed process left is removed first.
    Raises: Locked while somebody else looks, DrillWithoutRoom, and what `restore` and `look` raise.
    """
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with _alone(scratch):
        Recovery.clear(scratch)
        refuse_without_room(planned, scratch, "a look into a backup")
        found: list[Found] = []

        async def looking(scene: Scene) -> None:
            found.append(await look(scene))

        try:
            restored = restore(vault, planned, into=scratch, tools=tools, tell=tell, look=looking)
        finally:
            Recovery.clear(scratch)
    return found[0], restored


def _alone(scratch: Path) -> AbstractContextManager[None]:
    return lock(scratch.with_name(f"{scratch.name}.lock"), holder="a look into a backup")
