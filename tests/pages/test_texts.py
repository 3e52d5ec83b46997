"""Words and drawings: what is shown is the same thing, in bounds, and no more than that."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.web.pages.bodies import shown
from bursar.web.pages.drawing import Bar, Part, bar_chart
from bursar.web.pages.texts import clipped, duration, relative, visible
from bursar.web.pages.tones import Tone, tone_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=30,
)


@given(st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=12), values, max_size=6))
def test_a_laid_out_body_says_what_the_raw_one_says(value: object):
    raw = json.dumps(value).encode()

    body = shown(raw, size=len(raw))

    assert json.loads("".join(piece.text for piece in body.pieces)) == value
    assert not body.is_cut


@given(st.binary(max_size=3000))
def test_any_bytes_are_shown_in_bounds(raw: bytes):
    body = shown(b"{" + raw, size=len(raw) + 1)

    assert sum(len(piece.text) for piece in body.pieces) <= 40 * len(raw) + 200
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "".join(p.text for p in body.pieces)
    )


def test_ids_in_a_body_are_links_and_times_can_be_read():
    raw = json.dumps(
        {
            "id": "pi_3NxAbCdEfGh",
            "object": "payment_intent",
            "created": 1_760_000_000,
            "amount": 1_760_000_000,
            "note": "in_review",
        }
    ).encode()

    pieces = {piece.text: piece for piece in shown(raw, size=len(raw)).pieces if piece.kind in ("text", "number")}

    assert pieces['"pi_3NxAbCdEfGh"'].query == "pi_3NxAbCdEfGh"
    assert pieces['"payment_intent"'].query is None
    assert pieces['"in_review"'].query is None
    assert [p.title for p in shown(raw, size=len(raw)).pieces if p.text == "1760000000"] == [
        "2025-10-09 08:53:20 UTC",
        None,
    ]


def test_a_long_body_is_cut_and_says_so():
    raw = json.dumps(["x" * 50] * 10_000).encode()

    body = shown(raw[:65_536], size=len(raw))

    assert body.is_cut
    assert body.size == len(raw)


@given(st.text(max_size=300))
def test_visible_text_hides_nothing_and_reorders_nothing(text: str):
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]", visible(text))
    assert len(clipped(text, 20)) <= 20 * 8


@pytest.mark.parametrize(
    ("ago", "words"),
    [(0, "now"), (2.9, "now"), (3, "3 s ago"), (59, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"), (3600, "1 h ago"),
     (86_399, "23 h ago"), (86_400, "1 d ago"), (29 * 86_400, "29 d ago"), (40 * 86_400, "12 Oct 2026"), (-90, "in 1 min"), (-2, "now")],
)  # fmt: skip
def test_how_long_ago_is_said_in_one_unit(ago: float, words: str):
    assert relative(NOW - timedelta(seconds=ago), NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "0 ms"), (0.32, "320 ms"), (1.25, "1.2 s"), (32, "32 s"), (61, "1 min"), (7200, "2 h")],
)
def test_a_length_of_time_has_its_unit(seconds: float, words: str):
    assert duration(timedelta(seconds=seconds)) == words


@given(st.lists(st.lists(st.integers(0, 10**12), min_size=3, max_size=3), max_size=60))
def test_bars_stay_inside_the_drawing_and_nothing_that_is_there_is_invisible(amounts: list[list[int]]):
    bars = [Bar(tuple(Part(amount, "applied") for amount in each), "") for each in amounts]

    chart = bar_chart(bars, width=360, height=48, label="")

    for bar, column in zip(bars, chart.columns, strict=True):
        assert len(column.rects) == sum(part.amount > 0 for part in bar.parts)
        for rect in column.rects:
            assert -0.02 <= rect.x <= 360
            assert -0.02 <= rect.y <= rect.y + rect.height <= 48.02
            assert rect.height > 0


def test_every_state_has_a_tone_and_the_same_word_may_mean_another_thing():
    assert tone_of("succeeded", "payment") is Tone.good
    assert tone_of("succeeded", "refund") is Tone.back
    assert tone_of("failed") is Tone.warn
    assert tone_of("failed", "payment") is Tone.bad
    assert tone_of("never heard of") is Tone.quiet
