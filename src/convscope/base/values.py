"""Frozen values that go to and from JSON with strict keys (recipes, preprocessing)."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from convscope.base.errors import ConvscopeError


class Value(BaseModel):
    """A frozen record. Unknown keys and values out of range are refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, data: Any, where: str) -> Self:
        """The value that `data` (as read from JSON) describes.

        Raises:
            ConvscopeError: naming `where`, each wrong key, and what is allowed there.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConvscopeError(f"{where}: {_explain(error, cls)}") from None

    def with_settings(self, settings: dict[str, Any]) -> Self:
        """A copy with dotted keys replaced, as in `{"optim.learning_rate": 0.1}`.

        Raises:
            ConvscopeError: for a key that does not exist or a value out of range.
        """
        data = self.model_dump()
        for dotted, value in settings.items():
            *parents, last = dotted.split(".")
            place: Any = data
            for parent in parents:
                place = _step(place, parent, dotted)
            _step(place, last, dotted, value)
        return type(self).parse(data, "--set")


_MISSING = object()


def _step(place: Any, key: str, dotted: str, value: Any = _MISSING) -> Any:
    if isinstance(place, (list, tuple)) and key.isdigit() and int(key) < len(place):
        if value is not _MISSING:
            place[int(key)] = value  # pyright: ignore[reportIndexIssue]
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
        else:
            parts.append(f"{where or cls.__name__}: {item['msg']}, got {item['input']!r}")
    return "; ".join(parts)
