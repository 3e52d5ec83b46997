"""Disputing: what we answer when a payer contests a payment: words and files, handed to the bank once and for all, or a concession.

What it is: the answer, its files, and the calls that bring them to the gateway. What it is not: it decides no dispute and moves no
money. What the gateway reports does, as ever.

Invariants:
- a dispute has at most one answer whose outcome nobody knows, and at most one final one that was not refused;
- no final answer is asked for after the day by which the bank wants it, and none of a dispute that is decided;
- an answer is given when every file of it lies at the gateway: the report of the last one and the answer's call are one transaction;
- what is in a file is kept in the call that brings it, and nowhere once that has its outcome;
- that a dispute is due soon is told once for each date.
"""

from bursar.money.disputing.answering import (
    ASKER,
    DisputeAnswered,
    DisputeAnswerOpen,
    DisputeClosed,
    DisputeOverdue,
    EvidenceMissing,
    Said,
    accept,
    answer,
)
from bursar.money.disputing.files import EvidenceFileInvalid, File, file_of
from bursar.money.disputing.queries import (
    DisputeAnswer,
    DisputeAnswerNotFound,
    DisputeInFull,
    dispute_answer,
    dispute_in_full,
)

__all__ = [
    "ASKER",
    "DisputeAnswer",
    "DisputeAnswerNotFound",
    "DisputeAnswerOpen",
    "DisputeAnswered",
    "DisputeClosed",
    "DisputeInFull",
    "DisputeOverdue",
    "EvidenceFileInvalid",
    "EvidenceMissing",
    "File",
    "Said",
    "accept",
    "answer",
    "dispute_answer",
    "dispute_in_full",
    "file_of",
]
