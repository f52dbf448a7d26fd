"""Frozen values with strict keys that convert to and from JSON (recipes, preprocessing)."""

import reprlib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from convscope.base.errors import ConvscopeError

V = TypeVar("V", bound="Value")


class Value(BaseModel):
    """A frozen pydantic model. Unknown keys and values out of range raise an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls: type[V], data: Any, where: str) -> V:
        """Builds the value from `data`, as read from JSON.

        Raises:
            ConvscopeError: `data` is invalid. The message names `where`, each invalid key and what
                is allowed there.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConvscopeError(f"{where}: {_explain(error, cls)}") from None

    def with_settings(self: V, settings: dict[str, Any]) -> V:
        """A copy with other values at dotted keys, such as `{"optim.learning_rate": 0.1}`.

        Raises:
            ConvscopeError: a key does not exist, or a value is out of range.
        """
        data = self.model_dump(mode="json")  # lists, not tuples: items can be replaced
        for dotted, value in settings.items():
            *parents, last = dotted.split(".")
            container: Any = data
            for parent in parents:
                container = _get_or_set(container, parent, dotted)
            _get_or_set(container, last, dotted, value)
        return type(self).parse(data, "settings")

    def differences(self: V, other: V) -> list[str]:
        """The settings in which `other` differs, one line each, with dotted keys."""
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


def _get_or_set(container: Any, key: str, dotted: str, value: Any = _MISSING) -> Any:
    """Reads `container[key]`, or writes `value` there if one is given."""
    if isinstance(container, list) and key.isdecimal() and int(key) < len(container):
        if value is not _MISSING:
            container[int(key)] = value
            return None
        return container[int(key)]
    if not isinstance(container, dict):
        raise ConvscopeError(f"--set {dotted}: the setting above {key!r} has no parts")
    if value is not _MISSING:
        # The options of a network are free: `options` may lack a key that the network accepts.
        if key not in container and dotted.split(".")[-2:-1] != ["options"]:
            raise _no_such_setting(container, dotted)
        container[key] = value
        return None
    if key not in container:
        raise _no_such_setting(container, dotted)
    return container[key]


def _no_such_setting(container: dict[str, Any], dotted: str) -> ConvscopeError:
    allowed = ", ".join(sorted(container))
    return ConvscopeError(f"--set {dotted}: no such setting; choose one of {allowed}")


def _explain(error: ValidationError, cls: type[BaseModel]) -> str:
    """The validation error in one line, in the words of a user who edits settings."""
    parts = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            parts.append(f"{where}: no such setting")
        elif item["type"] == "value_error":  # from a validator in this package
            message = item["msg"].removeprefix("Value error, ")
            parts.append(f"{where}: {message}" if where else message)
        elif item["type"] == "model_type":
            parts.append(
                f"{where} is a group of settings; set one of its members"
                if where
                else "not a JSON object of settings"
            )
        else:
            given = reprlib.repr(item["input"])
            parts.append(f"{where or cls.__name__}: {item['msg']}, got {given}")
    return "; ".join(parts)
