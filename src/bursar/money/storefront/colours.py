"""Whether a colour can be read. Pure. Source: WCAG 2.2, relative luminance and contrast ratio; success criterion 1.4.3."""

from dataclasses import dataclass
from typing import Final

CONTRAST_MIN: Final = 4.5

_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
_LIGHT_CANVAS: Final = (252, 252, 251)
_DARK_CANVAS: Final = (20, 21, 26)
"""What the pages' text stands on; the darkest light and the lightest dark of them, a little more than they are."""
_STEPS: Final = 100

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shades:
    """An accent as the pages use it. on_…: of the text on it."""

    light: str
    on_light: str
    dark: str
    on_dark: str


def contrast_on_page(accent: str) -> float:
    """Return the contrast of an accent with the page it stands on, where it is light."""
    return _ratio(_rgb(accent), _LIGHT_CANVAS)


def readable(accent: str) -> str:
    """Return the nearest darker shade of an accent that can be read on a light page; the accent itself where it can."""
    return _moved(_rgb(accent), towards=_BLACK, until_read_on=_LIGHT_CANVAS)


def shades_of(accent: str) -> Shades:
    """Return an accent for light and dark pages, and the text that can be read on each."""
    light = readable(accent)
    dark = _moved(_rgb(accent), towards=_WHITE, until_read_on=_DARK_CANVAS)
    return Shades(light, _text_on(light), dark, _text_on(dark))


def _text_on(colour: str) -> str:
    found = max((_WHITE, _BLACK), key=lambda text: _ratio(text, _rgb(colour)))
    return _hex(found)


def _moved(colour: Rgb, *, towards: Rgb, until_read_on: Rgb) -> str:
    for step in range(_STEPS + 1):
        r, g, b = (round(own + (end - own) * step / _STEPS) for own, end in zip(colour, towards, strict=True))
        if _ratio((r, g, b), until_read_on) >= CONTRAST_MIN:
            return _hex((r, g, b))
    raise AssertionError("black is read on light, and white on dark")


def _ratio(one: Rgb, other: Rgb) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Rgb) -> float:
    red, green, blue = (_linear(channel / 255) for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004 - of the source


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
