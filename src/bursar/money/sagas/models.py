"""What a saga is: its states, its steps, and the kinds of sagas, whose names are permanent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction

State = Literal["running", "compensating", "stuck", "needs_hands", "completed", "compensated", "settled"]
StepState = Literal["waiting", "asked", "done", "refused", "unknown", "skipped"]

FOR_HANDS: Final[frozenset[State]] = frozenset({"stuck", "needs_hands"})
"""Where nothing moves until somebody looks."""


@dataclass(frozen=True, slots=True)
class Saga:
    """A saga as its engine sees it. plan: what its steps need, fixed at the start."""

    tenant_id: UUID
    id: UUID
    kind: str
    state: State
    account_id: UUID
    subject: str
    plan: Mapping[str, Any]
    amount_minor: int
    currency: str
    actor: str

    @property
    def shown(self) -> str:
        return ids.show(ids.SAGA, self.id)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step asked for. about: public id of what was made for it. call_key: of the gateway call."""

    about: str
    call_key: str


Ask = Callable[[Transaction, Saga], Awaitable[Asked]]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to ask through its vertical. ask: raises what the vertical refuses."""

    name: str
    ask: Ask


@dataclass(frozen=True, slots=True)
class Step:
    """undo: what compensates the act once it is done; None: nothing does. is_needed: False skips it, judged at the start."""

    act: Act
    undo: Act | None = None
    is_needed: Callable[[Mapping[str, Any]], bool] = lambda _plan: True


@dataclass(frozen=True, slots=True)
class Kind:
    """A fixed list of steps under a permanent name. Steps that can be undone stand before the first that cannot."""

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        undone = [step.undo is not None for step in self.steps]
        assert undone == sorted(undone, reverse=True), f"{self.name}: what can be undone comes first"
        names = [act.name for act in self.acts]
        assert len(set(names)) == len(names), f"{self.name}: a name is taken twice"

    @property
    def acts(self) -> list[Act]:
        return [act for step in self.steps for act in (step.act, step.undo) if act]

    def act(self, name: str) -> Act:
        return next(act for act in self.acts if act.name == name)

    def undo_of(self, name: str) -> Act | None:
        return next(step.undo for step in self.steps if step.act.name == name)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one step stands. compensates: the number of the step that it undoes."""

    number: int
    name: str
    compensates: int | None
    state: StepState
