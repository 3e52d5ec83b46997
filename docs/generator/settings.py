"""The settings, from the class that reads them."""

from typing import Any, get_args

from bursar.kernel.settings import Settings
from generator import markdown

_ABOUT = """
Settings are read once, at the start of a process, from the environment. Nothing is read from a file.
An option of a command wins over its variable. A value that is not of its type keeps the process from starting.

Each gateway account has a tolerance of its own; `BURSAR_SIGNATURE_TOLERANCE_S` is what a new account gets.
"""


def page() -> str:
    """Return the page."""
    prefix = str(Settings.model_config["env_prefix"])
    rows = [
        (
            markdown.code(f"{prefix}{name.upper()}"),
            _type(field.annotation),
            markdown.code(field.default) or "empty",
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return markdown.page("Settings", _ABOUT, markdown.table(("variable", "type", "default", "what it sets"), rows))


def _type(annotation: Any) -> str:
    choices = get_args(annotation)
    return " or ".join(map(markdown.code, choices)) if choices else annotation.__name__
