"""Markdown, in the few forms that the reference needs."""

import re
from collections.abc import Iterable, Sequence

MADE = "<!-- Made by docs/generate.py from the code. Change the code, then run .venv/bin/python docs/generate.py -->"


def page(title: str, about: str, *parts: str) -> str:
    """Return a page: its title, what it is, and its parts."""
    return "\n\n".join([MADE, f"# {title}", about.strip(), *(part.strip() for part in parts if part)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; an empty text where there are no rows."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines])


def code(text: object) -> str:
    """Return inline code; nothing for nothing."""
    return f"`{text}`" if text not in (None, "") else ""


def sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring, on one line."""
    first = re.split(r"\n\s*\n", (text or "").strip())[0]
    return " ".join(first.replace("``", "`").split())


def paragraphs(text: str | None) -> str:
    """Return a docstring as paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", (text or "").strip()))


def anchor(heading: str) -> str:
    """Return the fragment that leads to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
