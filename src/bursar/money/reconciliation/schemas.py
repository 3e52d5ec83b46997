"""Reconciliations as others see them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.http import FromJson, PublicId, View
from bursar.kernel.http.identifiers import AccountId, EventId

RunId = Annotated[UUID, PublicId(ids.RECONCILIATION)]
DifferenceId = Annotated[UUID, PublicId(ids.DIFFERENCE)]

RunState = Literal["listing", "settling", "done", "failed"]
DifferenceClass = Literal["missing_here", "missing_there", "amount", "currency", "status", "fee", "timing"]
DifferenceState = Literal["waiting", "repairing", "repaired", "open", "closed"]


class Counts(View):
    """How many objects fell into each class."""

    matched: int
    missing_here: int = Field(description="The gateway has it, and nothing told us of it.")
    missing_there: int = Field(description="We were told of it, and the gateway does not list it.")
    amount: int
    currency: int
    status: int
    fee: int
    timing: int = Field(description="Different only for now: a report is under way, or it is minutes old.")


class Reconciliation(View):
    """One comparison of all that a gateway account has with what we were told."""

    id: RunId
    gateway_account: AccountId
    actor: str = Field(description="Who asked for it.", examples=["schedule"])
    state: RunState = Field(description="settling: all is listed, and repairs are being applied.")
    kinds: list[str] = Field(description="What is listed, in this order.")
    kinds_done: int
    pages: int
    objects: int = Field(description="How many the gateway has listed so far.")
    since: datetime | None = Field(description="From when payments are listed.")
    until: datetime
    counts: Annotated[Counts, FromJson]
    unrepaired: int = Field(
        description="Differences that this run saw last and that still stand, those only for now left out."
    )
    error: str | None = Field(description="Why it failed.")
    started_at: datetime
    finished_at: datetime | None


class AccountStanding(View):
    """When a gateway account was last compared, from beginning to end."""

    gateway_account: AccountId
    name: str
    gateway: str
    last_good_at: datetime | None
    running: RunId | None
    is_overdue: bool = Field(description="The last good run is older than 26 hours.")


class Difference(View):
    """What differs, what was done about it, and why nothing was."""

    id: DifferenceId
    reconciliation: RunId = Field(description="The run that found it.")
    last_seen_in: RunId
    kind: str = Field(examples=["payment"])
    gateway_ref: str = Field(examples=["pi_3QXg1o8vcGmoR32Z"])
    class_: DifferenceClass = Field(serialization_alias="class", validation_alias="class")
    here: Annotated[dict[str, Any] | None, FromJson] = Field(description="What we were told.")
    there: Annotated[dict[str, Any] | None, FromJson] = Field(description="What the gateway shows.")
    state: DifferenceState = Field(
        description="waiting: only for now. repairing: what the gateway shows is being merged. open: see `why`."
    )
    why: str = Field(description="What was done, or why nothing could be.", examples=["merged"])
    explanation: str = Field(description="The same in words, and what to do.")
    detail: str | None
    event: EventId | None = Field(description="The report by which it is repaired, or which is under way.")
    found_at: datetime
    seen_at: datetime
    settled_at: datetime | None
