"""Options that commands share, and how they answer."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[Path | None, typer.Option("--data", help="Directory of the embedded instance (BURSAR_DATA).")]
Limit = Annotated[int, typer.Option(help="Rows of a page.", min=1, max=1000)]
After = Annotated[str | None, typer.Option("--cursor", help="next_cursor of the page before.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]


def answer(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print what a command found or did, for a program or for a person."""
    print(json.dumps(value) if as_json else text, flush=True)


def tell(text: str) -> None:
    """Say something to the person watching; standard output stays for the answer."""
    with suppress(OSError):  # the terminal may be gone, which is no reason to fail
        print(f"bursar: {text}", file=sys.stderr, flush=True)
