"""Stripe's requests: form-encoded pairs with brackets in, typed values out.

Every parameter that a route does not read is refused by name, so that nothing is asked for in vain: a parameter
that Stripe has and this sandbox does not simulate gets the same answer as one that does not exist.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from bursar.money.gateways.fields import Json
from bursar.sandbox.refusals import invalid, missing

PAIRS_MAX: Final = 1000
_DEPTH_MAX: Final = 8
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")


def decode(text: str) -> Json:
    """Return the nested parameters of a query or a form. Raises Refusal."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=PAIRS_MAX)
    except ValueError as error:
        raise invalid(f"Too many parameters, or not a form: {error}") from error
    return nested(pairs)


def nested(pairs: Iterable[tuple[str, str]]) -> Json:
    """Return pairs such as `items[0][price]=p` as what they mean. Raises Refusal."""
    root: Json = {}
    for name, value in pairs:
        head, _, _ = name.partition("[")
        path = [head, *_PART.findall(name[len(head) :])]
        if len(path) > _DEPTH_MAX or "\0" in name or "\0" in value:
            raise invalid("A parameter is nested too deeply or holds a zero byte.")
        _put(root, path, value)
    return {name: _shaped(value) for name, value in root.items()}


def _put(root: Json, path: list[str], value: str) -> None:
    holder = root
    for part in path[:-1]:
        inner = holder.setdefault(part, {})
        if not isinstance(inner, dict):
            raise invalid(f"Invalid parameter: {path[0]}", param=path[0])
        holder = inner
    last = path[-1] or str(len(holder))
    holder[last] = value


def _shaped(value: Any) -> Any:
    """Turn objects whose keys are numbers into lists."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_shaped(value[key]) for key in sorted(value, key=int)]
    return {key: _shaped(inner) for key, inner in value.items()}


class Params:
    """The parameters of one request, or of one object in them. at: where it stands, for refusals."""

    def __init__(self, values: Json, at: str = "") -> None:
        self._values = values
        self._at = at
        self._read: set[str] = set()
        self._inner: list[Params] = []

    def has(self, name: str) -> bool:
        """Tell whether it was sent, be it empty."""
        self._read.add(name)
        return name in self._values

    def accept(self, *names: str) -> None:
        """Take parameters that change nothing here."""
        self._read.update(names)

    def text(self, name: str, default: str | None = None, *, among: Sequence[str] = ()) -> str | None:
        """Return a text, or the default where it is absent or empty."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {name}", param=self.named(name))
        if among and value not in among:
            told = ", ".join(among)
            raise invalid(f"Invalid {self.named(name)}: must be one of {told}", param=self.named(name))
        return value

    def need(self, name: str, *, among: Sequence[str] = ()) -> str:
        """Return a text that must be there."""
        value = self.text(name, among=among)
        if value is None:
            raise missing(self.named(name))
        return value

    def whole(self, name: str, default: int | None = None, *, least: int | None = None) -> int | None:
        """Return a whole number."""
        value = self.text(name)
        if value is None:
            return default
        if not _WHOLE.fullmatch(value):
            raise invalid(f"Invalid integer: {value}", param=self.named(name), code="parameter_invalid_integer")
        if least is not None and int(value) < least:
            raise invalid(
                f"This value must be greater than or equal to {least}.",
                param=self.named(name),
                code="parameter_invalid_integer",
            )
        return int(value)

    def need_whole(self, name: str, *, least: int | None = None) -> int:
        """Return a whole number that must be there."""
        value = self.whole(name, least=least)
        if value is None:
            raise missing(self.named(name))
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.text(name, among=("true", "false"))
        return default if value is None else value == "true"

    def mapping(self, name: str) -> dict[str, str]:
        """Return flat texts by name, such as metadata. An empty value means: remove it."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None or value in ("", {}):
            return {}
        if not isinstance(value, dict) or not all(isinstance(inner, str) for inner in value.values()):
            raise invalid(f"Invalid object: {name}", param=self.named(name))
        return value

    def child(self, name: str) -> "Params | None":
        """Return an object inside, or None where it is absent or empty."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None or value in ("", {}):
            return None
        if not isinstance(value, dict):
            raise invalid(f"Invalid object: {name}", param=self.named(name))
        return self._keep(Params(value, self.named(name)))

    def children(self, name: str) -> "list[Params]":
        """Return a list of objects."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid(f"Invalid array: {name}", param=self.named(name))
        return [self._keep(Params(item, f"{self.named(name)}[{index}]")) for index, item in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; one text alone is a list of one."""
        self._read.add(name)
        value = self._values.get(name)
        if value is None or value == "":
            return []
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise invalid(f"Invalid array: {name}", param=self.named(name))
        return listed

    def names(self) -> list[str]:
        """Return what was sent."""
        return list(self._values)

    def raw(self, name: str) -> Any:
        """Return whatever was sent under a name."""
        self._read.add(name)
        return self._values.get(name)

    def named(self, name: str) -> str:
        """Return a parameter's name as the caller wrote it."""
        return f"{self._at}[{name}]" if self._at else name

    def refuse_others(self) -> None:
        """Raises Refusal for what nobody has read, here and in the objects inside that somebody has looked into."""
        for inner in self._inner:
            inner.refuse_others()
        for name in self._values:
            if name not in self._read:
                raise invalid(
                    f"Received unknown parameter: {self.named(name)} (or one that the sandbox does not simulate)",
                    param=self.named(name),
                    code="parameter_unknown",
                )

    def _keep(self, inner: "Params") -> "Params":
        self._inner.append(inner)
        return inner


def merged(before: dict[str, str], change: dict[str, str]) -> dict[str, str]:
    """Return metadata after a change: an empty value removes its name."""
    return {name: value for name, value in (before | change).items() if value != ""}
