"""Charts, drawn here as plain geometry; the template turns it into SVG. Pure. Units are those of the view box."""

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 1.0
_LEAST = 1.5


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: how much, in which tone."""

    amount: float
    tone: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, stacked from the bottom up. title: what it says when pointed at."""

    parts: tuple[Part, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of the drawing."""

    x: float
    y: float
    width: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True)
class Column:
    """A bar as drawn: its pieces, and the column of the chart that answers the pointer."""

    rects: tuple[Rect, ...]
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing. label: what a screen reader says instead."""

    width: float
    height: float
    columns: tuple[Column, ...]
    label: str


def bar_chart(bars: Sequence[Bar], *, width: float, height: float, label: str) -> Chart:
    """Return stacked bars on a common scale; something that is not nothing is never drawn as nothing."""
    top = max((sum(part.amount for part in bar.parts) for bar in bars), default=0) or 1
    slot = width / max(len(bars), 1)
    columns = []
    for position, bar in enumerate(bars):
        parts = [part for part in bar.parts if part.amount > 0]
        x, floor = position * slot, height
        rects = []
        for part, tall in zip(parts, _heights(parts, top=top, height=height), strict=True):
            floor -= tall
            rects.append(
                Rect(_round(x + GAP / 2), _round(floor), _round(max(slot - GAP, 0.5)), _round(tall), part.tone)
            )
        columns.append(Column(tuple(rects), _round(x), _round(slot), bar.title))
    return Chart(width, height, tuple(columns), label)


def _heights(parts: Sequence[Part], *, top: float, height: float) -> list[float]:
    """Return how tall each piece is; what the small ones need to be seen, the tallest gives."""
    heights = [max(part.amount / top * height, _LEAST) for part in parts]
    if (excess := sum(heights) - height) > 0:
        heights[heights.index(max(heights))] -= excess
    return heights


def _round(number: float) -> float:
    return round(number, 2)
