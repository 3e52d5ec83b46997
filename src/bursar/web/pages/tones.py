"""What colour a state has. The word is always shown too; there are six tones and no others."""

from enum import StrEnum


class Tone(StrEnum):
    """good: as it should be. busy: under way. warn: look at it. bad: act. back: money returned. quiet: at rest."""

    good = "good"
    busy = "busy"
    warn = "warn"
    bad = "bad"
    back = "back"
    quiet = "quiet"


_TONES = {
    Tone.good: "applied succeeded active paid won restored granted recovered complete captured returned on",
    Tone.busy: "received pending processing trialing open queued under_review scheduled invited",
    Tone.warn: "failed requires_action past_due incomplete suspended needs_response unmatched spent",
    Tone.bad: "dead disputed lost unpaid uncollectible broken overdue shortfall",
    Tone.back: "refunded revoked taken reversed repaid",
    Tone.quiet: "ignored canceled paused closed void draft superseded expired ended inactive adjusted deactivated off",
}
_BY_WORD = {word: tone for tone, words in _TONES.items() for word in words.split()}

_BY_KIND = {
    ("payment", "failed"): Tone.bad,
    ("coupon", "not yet"): Tone.busy,
    ("coupon", "used up"): Tone.warn,
    ("refund", "succeeded"): Tone.back,
    ("refund", "failed"): Tone.bad,
    ("reconciliation", "listing"): Tone.busy,
    ("reconciliation", "settling"): Tone.busy,
    ("reconciliation", "done"): Tone.good,
    ("reconciliation", "compared"): Tone.good,
    ("reconciliation", "failed"): Tone.bad,
    ("difference", "waiting"): Tone.busy,
    ("difference", "repairing"): Tone.busy,
    ("difference", "repaired"): Tone.good,
    ("difference", "open"): Tone.bad,
    ("dispute", "needs_response"): Tone.bad,
    ("dispute", "under_review"): Tone.warn,
    ("dispute", "inquiry"): Tone.warn,
    ("answer", "done"): Tone.good,
    ("answer", "refused"): Tone.bad,
    ("answer", "unknown"): Tone.bad,
    ("drill", "running"): Tone.busy,
    ("drill", "passed"): Tone.good,
    ("drill", "failed"): Tone.bad,
    ("drill", "broken_off"): Tone.warn,
    ("backup", "proven"): Tone.good,
    ("backup", "damaged"): Tone.bad,
    ("job", "ready"): Tone.busy,
    ("job", "running"): Tone.busy,
    ("job", "held"): Tone.quiet,
    ("job", "unknown"): Tone.warn,
    ("call", "asked"): Tone.busy,
    ("call", "refused"): Tone.bad,
    ("call", "unknown"): Tone.bad,
    ("method", "ends soon"): Tone.warn,
    ("method", "expired"): Tone.bad,
    ("change", "done"): Tone.good,
    ("change", "refused"): Tone.bad,
    ("change", "unknown"): Tone.bad,
    ("saga", "running"): Tone.busy,
    ("saga", "compensating"): Tone.busy,
    ("saga", "stuck"): Tone.bad,
    ("saga", "needs_hands"): Tone.bad,
    ("saga", "completed"): Tone.good,
    ("saga", "compensated"): Tone.back,
    ("step", "asked"): Tone.busy,
    ("step", "done"): Tone.good,
    ("step", "refused"): Tone.bad,
    ("step", "unknown"): Tone.bad,
    ("alert", "open"): Tone.bad,
    ("alert", "acknowledged"): Tone.warn,
    ("alert", "resolved"): Tone.good,
    ("severity", "critical"): Tone.bad,
    ("severity", "high"): Tone.bad,
    ("severity", "medium"): Tone.warn,
    ("severity", "low"): Tone.quiet,
    ("notice", "sent"): Tone.good,
    ("notice", "failed"): Tone.bad,
    ("notice", "passed_on"): Tone.warn,
    ("circuit", "closed"): Tone.good,
    ("circuit", "open"): Tone.bad,
    ("circuit", "half_open"): Tone.warn,
    ("booking", "booked"): Tone.good,
    ("booking", "attended"): Tone.good,
    ("booking", "held"): Tone.busy,
    ("booking", "requested"): Tone.warn,
    ("booking", "no_show"): Tone.bad,
    ("booking", "late_cancelled"): Tone.warn,
    ("fee", "open"): Tone.warn,
    ("fee", "paid"): Tone.good,
    ("fee", "waived"): Tone.quiet,
    ("fee", "withdrawn"): Tone.quiet,
    ("entry", "waiting"): Tone.busy,
    ("entry", "offered"): Tone.busy,
    ("entry", "skipped"): Tone.warn,
    ("class", "open"): Tone.good,
    ("class", "full"): Tone.busy,
    ("class", "overbooked"): Tone.warn,
    ("class", "hidden"): Tone.quiet,
    ("health", "healthy"): Tone.good,
    ("health", "degraded"): Tone.warn,
    ("health", "unhealthy"): Tone.bad,
}


def tone_of(word: str, kind: str = "") -> Tone:
    """Return the tone of a state. kind: what it is a state of, where the same word means something else."""
    return _BY_KIND.get((kind, word)) or _BY_WORD.get(word, Tone.quiet)
