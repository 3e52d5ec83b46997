"""The settings, from the class that reads them."""

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
            getattr(field.annotation, "__name__", str(field.annotation)),
            markdown.code(field.default) or "empty",
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return markdown.page("Settings", _ABOUT, markdown.table(("variable", "type", "default", "what it sets"), rows))
