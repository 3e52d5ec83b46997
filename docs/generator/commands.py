"""The command line, from the commands themselves."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from bursar.cli.commands import COMMANDS
from generator import markdown

_ABOUT = """
`./bursar` in the project's root makes `.venv` from the committed locks if need be and runs the command in it.
It also sets `BURSAR_DATA` to `data` in the project's root where it is not set.
Two more words only the script knows: `./bursar setup` installs and does nothing else; `./bursar lock` renews the locks.

Every command takes `--json` and answers with one JSON object; every refusal is a line on standard error and a
non-zero exit code: 1 for a refusal or a finding, 2 for wrong usage.

Which database a command works on: with `BURSAR_DATABASE_URL` that one; else the embedded instance under `--data`.
If `bursar up` runs there its server is used; otherwise it is started for as long as the command lasts.
"""


@dataclass(frozen=True, slots=True)
class Option:
    """One option or argument. names: as they are typed. value: what it takes. needed: "yes", or the default."""

    names: tuple[str, ...]
    value: str
    needed: str
    about: str


@dataclass(frozen=True, slots=True)
class Usage:
    """One command that can be typed, with the words of its documentation."""

    name: str
    about: str
    options: tuple[Option, ...]


def page() -> str:
    """Return the page."""
    overview = markdown.table(
        ("command", "what it does"),
        [(f"[`bursar {name}`](#{markdown.anchor(f'bursar {name}')})", c.purpose) for name, c in COMMANDS.items()],
    )
    return markdown.page("Command line", _ABOUT, overview, *(_command(name) for name in COMMANDS))


def usages(name: str) -> Iterator[Usage]:
    """Yield a command, or each of the commands below it."""
    module = import_module(f"bursar.cli.{COMMANDS[name].module}")
    if not hasattr(module, "app"):
        yield _usage(name, getattr(module, name))
        return
    for registered in module.app.registered_commands:
        word = registered.name or registered.callback.__name__.replace("_", "-")
        yield _usage(f"{name} {word}", registered.callback)


def _command(name: str) -> str:
    found = list(usages(name))
    if [usage.name for usage in found] == [name]:
        return f"## bursar {name}\n\n{_body(found[0])}"
    app = import_module(f"bursar.cli.{COMMANDS[name].module}").app
    parts = [f"## bursar {name}", markdown.paragraphs(app.info.help if isinstance(app.info.help, str) else "")]
    parts += [f"### bursar {usage.name}\n\n{_body(usage)}" for usage in found]
    return "\n\n".join(part for part in parts if part)


def _body(usage: Usage) -> str:
    rows = [(", ".join(map(markdown.code, o.names)), o.value, o.needed, o.about) for o in usage.options]
    listed = markdown.table(("option", "value", "required, or default", "what it is"), rows)
    return "\n\n".join(part for part in (usage.about, listed) if part)


def _usage(name: str, command: Callable[..., Any]) -> Usage:
    hints = get_type_hints(command, include_extras=True)
    found = [
        _option(parameter, hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if any(isinstance(extra, OptionInfo | ArgumentInfo) for extra in _extras(hints[parameter.name]))
    ]
    return Usage(name, markdown.paragraphs(inspect.getdoc(command)), tuple(o for o in found if o))


def _extras(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def _option(parameter: inspect.Parameter, hint: Any) -> Option | None:
    """Return how a parameter is typed on the command line; None for a hidden one."""
    told = next(extra for extra in _extras(hint) if isinstance(extra, OptionInfo | ArgumentInfo))
    if told.hidden:
        return None
    bare, preset = get_args(hint)[0], parameter.default
    needed = "yes" if preset is inspect.Parameter.empty else ""
    dashed = f"--{parameter.name.replace('_', '-')}"
    if isinstance(told, ArgumentInfo):
        return Option((parameter.name.upper(),), _value(bare, told), needed, told.help or "")
    # Inside Annotated the first name stands where a default would.
    names = tuple(name for name in (told.default, *(told.param_decls or ())) if isinstance(name, str))
    if bare is bool:
        names = tuple(name for decl in names for name in decl.split("/")) or (dashed, f"--no-{dashed[2:]}")
        return Option(names, "flag", "on" if preset else "", told.help or "")
    shown = markdown.code(preset) if not needed and preset not in (None, [], ()) else needed
    return Option(names or (dashed,), _value(bare, told), shown, told.help or "")


def _value(bare: Any, told: OptionInfo | ArgumentInfo) -> str:
    kinds = [kind for kind in get_args(bare) if kind is not NoneType] if not isinstance(bare, type) else [bare]
    kind = kinds[0]
    is_repeated = get_origin(kind) is list or get_origin(bare) is list
    item = get_args(kind)[0] if get_origin(kind) is list else kind
    text = {"str": "text", "int": "whole number", "Path": "path", "float": "number"}.get(
        getattr(item, "__name__", ""), str(getattr(item, "__name__", item))
    )
    if told.min is not None or told.max is not None:
        text += f", {told.min if told.min is not None else '…'} to {told.max if told.max is not None else '…'}"
    return text + (", may be repeated" if is_repeated else "")
