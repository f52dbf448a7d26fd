"""Frozen values that go to and from JSON with strict keys (recipes, preprocessing)."""

import reprlib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from convscope.base.errors import ConvscopeError

V = TypeVar("V", bound="Value")


class Value(BaseModel):
    """A frozen record. Unknown keys and values out of range are refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls: type[V], data: Any, where: str) -> V:
        """The value that `data` (as read from JSON) describes.

        Raises:
            ConvscopeError: naming `where`, each wrong key, and what is allowed there.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConvscopeError(f"{where}: {_explain(error, cls)}") from None

    def with_settings(self: V, settings: dict[str, Any]) -> V:
        """A copy with dotted keys replaced, as in `{"optim.learning_rate": 0.1}`.

        Raises:
            ConvscopeError: for a key that does not exist or a value out of range.
        """
        data = self.model_dump(mode="json")  # lists, not tuples: items can be replaced
        for dotted, value in settings.items():
            *parents, last = dotted.split(".")
            place: Any = data
            for parent in parents:
                place = _step(place, parent, dotted)
            _step(place, last, dotted, value)
        return type(self).parse(data, "settings")

    def differences(self: V, other: V) -> list[str]:
        """Where `other` says something else, one setting a line, by dotted key."""
        return _differences(self.model_dump(mode="json"), other.model_dump(mode="json"), "")


def _differences(before: Any, now: Any, where: str) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        parts = [
            _differences(before.get(key), now.get(key), f"{where}.{key}".lstrip("."))
            for key in keys
        ]
        return [line for part in parts for line in part]
    return [] if before == now else [f"{where}: {now!r} instead of {before!r}"]


_MISSING = object()


def _step(place: Any, key: str, dotted: str, value: Any = _MISSING) -> Any:
    if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
        if value is not _MISSING:
            place[int(key)] = value
            return None
        return place[int(key)]
    if not isinstance(place, dict):
        raise ConvscopeError(f"--set {dotted}: there is nothing below {key!r}")
    if value is not _MISSING:
        if key not in place and dotted.split(".")[-2:-1] != ["options"]:
            raise ConvscopeError(
                f"--set {dotted}: no such setting; there are {', '.join(sorted(place))}"
            )
        place[key] = value
        return None
    if key not in place:
        raise ConvscopeError(
            f"--set {dotted}: no such setting; there are {', '.join(sorted(place))}"
        )
    return place[key]


def _explain(error: ValidationError, cls: type[BaseModel]) -> str:
    parts = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            parts.append(f"{where}: no such setting")
        elif item["type"] == "value_error":  # our own checks, worded by us
            message = item["msg"].removeprefix("Value error, ")
            parts.append(f"{where}: {message}" if where else message)
        elif item["type"] == "model_type":
            parts.append(
                f"{where}: a group of settings; give the ones inside it"
                if where
                else "a table of settings is expected"
            )
        else:
            given = reprlib.repr(item["input"])
            parts.append(f"{where or cls.__name__}: {item['msg']}, got {given}")
    return "; ".join(parts)
