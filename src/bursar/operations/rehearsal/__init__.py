"""The rehearsal: a studio that sells, books, cancels and waits for months of its own clock, step by step, and everything is checked after each.

What it is: one caller after another, chosen by the seed, on the real doors and a real PostgreSQL, with a clock of its own. Answers get lost
and are asked for again, transactions die before their commit, the gateway repeats, reorders and withholds its reports. The same seed is
the same rehearsal: a step that breaks an invariant breaks it again.
What it is not: parallel. What happens when two want a seat at once is tested with processes of their own.
"""

from bursar.operations.rehearsal.controls import CONTROLS, Control, broken_by
from bursar.operations.rehearsal.playing import Rehearsed, rehearse

__all__ = ["CONTROLS", "Control", "Rehearsed", "broken_by", "rehearse"]
