"""What comes next in a saga, judged by where its steps stand. Pure.

Forward, until a step is refused; then back, in reverse, over what was done. Behind a step that nothing undoes there is no way
back: what is left is for hands. A step of which nobody can tell whether it was done stops everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.money.sagas.models import Kind, Standing, State


@dataclass(frozen=True, slots=True)
class AskNext:
    """A step is to be asked for. state: of the saga meanwhile."""

    step: Standing
    state: State


@dataclass(frozen=True, slots=True)
class Undo:
    """What was done is to be undone, in this order; later steps are not taken."""

    steps: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be asked for now."""

    state: State


Decision = AskNext | Undo | Rest


def decide(kind: Kind, steps: Sequence[Standing]) -> Decision:
    """Return what comes next. steps: in the order of their numbers."""
    forward = [step for step in steps if step.compensates is None]
    back = [step for step in steps if step.compensates is not None]
    is_back = any(step.state == "refused" for step in forward)
    way = back if is_back else forward
    if any(step.state == "unknown" for step in steps):
        return Rest("stuck")
    if any(step.state == "asked" for step in steps):
        return Rest("compensating" if is_back else "running")
    if is_back:
        done = [step for step in forward if step.state == "done"]
        if any(kind.undo_of(step.name) is None for step in done) or any(step.state == "refused" for step in back):
            return Rest("needs_hands")
        if done and not back:
            return Undo(tuple(reversed(done)))
    waiting = next((step for step in way if step.state == "waiting"), None)
    if waiting is not None:
        return AskNext(waiting, "compensating" if is_back else "running")
    return Rest("compensated" if is_back else "completed")
