"""The options of a command, derived from a class of parameters."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import CLASS, Params

P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class OptionValues(Generic[P]):
    """What was typed for the options of a class of parameters."""

    kind: type[P]
    values: dict[str, Any]

    def params(self, class_names: Sequence[str] = ()) -> P:
        """The parameters, with classes by their index.

        Raises:
            ConvscopeError: a value out of range, or no such class.
        """
        values = {name: value for name, value in self.values.items() if value is not None}
        for name, value in values.items():
            if _is_class(self.kind.model_fields[name]):
                values[name] = class_number(class_names, value, _flag(name))
        try:
            return self.kind.model_validate(values)
        except ValidationError as error:
            parts = [
                f"{_flag(str(item['loc'][0]))}: {item['msg']}, got {item['input']!r}"
                for item in error.errors()
            ]
            raise ConvscopeError("; ".join(parts)) from None


def with_options(kind: type[P]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces the parameter `params` of a command by an option for each field of `kind`.

    The command gets `OptionValues` for it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**given: Any) -> None:
            values = {name: given.pop(name) for name in kind.model_fields}
            command(params=OptionValues(kind, values), **given)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            parameters += _options(kind) if parameter.name == "params" else [parameter]
        return with_signature(run, parameters, command.__name__, command.__doc__ or "")

    return decorate


def with_signature(
    run: Callable[..., None], parameters: Sequence[inspect.Parameter], name: str, text: str
) -> Callable[..., None]:
    """`run`, which takes keywords, with the signature that Typer reads its options from."""
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    run.__signature__ = inspect.Signature(keywords)
    run.__annotations__ = {p.name: p.annotation for p in keywords}
    run.__name__, run.__doc__ = name, text
    return run


def class_number(names: Sequence[str], text: str, option: str) -> int:
    """The index of the class that an option names or numbers.

    Raises:
        ConvscopeError: there is no such class. The message lists the classes.
    """
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    raise ConvscopeError(
        f"{option} {text!r} is not a class; there are {', '.join(names[:12])}{more}"
    )


def _options(kind: type[Params]) -> list[inspect.Parameter]:
    found = []
    for name, field in kind.model_fields.items():
        option = typer.Option(_flag(name), help=field.description, **_bounds(field))
        found.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_default(field),
                annotation=Annotated[_type(field), option],
            )
        )  # fmt: skip
    return found


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_class(field: FieldInfo) -> bool:
    return CLASS in field.metadata or CLASS in _metadata(field.annotation)


def _metadata(annotation: Any) -> list[Any]:
    """The metadata of an `Annotated` type, also inside a union."""
    if get_origin(annotation) is Annotated:
        return list(annotation.__metadata__)
    if get_origin(annotation) in (Union, UnionType):
        return [item for part in get_args(annotation) for item in _metadata(part)]
    return []


def _type(field: FieldInfo) -> Any:
    """The type of an option: a tuple becomes a repeatable option, a class is given as text."""
    parts = [part for part in _union(field.annotation) if part is not NoneType]
    (kind,) = parts
    if _is_class(field):
        kind = str
    elif get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    elif isinstance(kind, type) and issubclass(kind, Enum):
        kind = str  # `params` makes it an enum, which may accept old spellings
    if get_origin(kind) is tuple:
        kind = list[get_args(kind)[0]]
    optional = len(_union(field.annotation)) > 1 or get_origin(kind) is list
    return kind | None if optional and get_origin(kind) is not Literal else kind


def _union(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _default(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    return list(default) or None if isinstance(default, tuple) else default


def _bounds(field: FieldInfo) -> dict[str, Any]:
    """The bounds that Typer can check, none if one is exclusive; `params` checks all of them."""
    found: dict[str, Any] = {}
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            found["min"] = item.ge
        elif isinstance(item, annotated_types.Le):
            found["max"] = item.le
    exclusive = any(isinstance(i, annotated_types.Gt | annotated_types.Lt) for i in field.metadata)
    return {} if exclusive else found
