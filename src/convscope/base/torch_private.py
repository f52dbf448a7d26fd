"""The undocumented parts of torch that convscope uses; tested with each torch version.

`pyproject.toml` allows torch up to the latest version that these tests were run with.
"""

import inspect
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, ParamSpec, TypeGuard, TypeVar, cast

import torch
from torch import Tensor

P = ParamSpec("P")
Optimiser = TypeVar("Optimiser", bound=torch.optim.Optimizer)
# Methods of an optimiser that import torch's compiler when they are called, to exclude themselves
# from compilation. The import takes a third of the time to the first training step.
_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
_GUARDS = "torch.fx.experimental.symbolic_shapes"
# The loggers on which torch.export reports what fails.
_LOGGERS = ("torch", "torch._export", "torch.export", "torch._subclasses.fake_tensor", _GUARDS)


def without_compiler(kind: Callable[P, Optimiser]) -> Callable[P, Optimiser]:
    """A subclass of the optimiser without imports of `torch._dynamo`; its steps are bit-equal.

    `step` runs without gradients, as torch's own does where the optimiser is not differentiable.
    """
    assert isinstance(kind, type)
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast("Callable[P, Optimiser]", type(kind.__name__, (kind,), methods))


def is_operation(call: Any) -> "TypeGuard[torch._ops.OpOverload]":
    """Whether a call is one of torch's operations, such as `aten.relu.default`."""
    return isinstance(call, torch._ops.OpOverload)


def is_region(call: Any) -> bool:
    """Whether a call runs a graph of its own: torch.no_grad, autocast, checkpoint, cond."""
    return isinstance(call, torch._ops.HigherOrderOperator)


def operation_name(call: Any) -> str | None:
    """The name of an operation without its overload, `relu_`; None for any other call."""
    return getattr(call, "_opname", None)


def schema_of(call: Any) -> Any:
    """The schema of an operation: arguments, returns and what they alias; None for other calls."""
    return getattr(call, "_schema", None)


def out_of_place(call: Any) -> Any:
    """The variant of an in-place operation that returns a new tensor; None where there is none."""
    packet = getattr(torch.ops.aten, call._opname.rstrip("_"), None)
    known = packet is not None and call._overloadname in packet.overloads()
    return getattr(packet, call._overloadname) if known else None


def storage_of(tensor: Tensor) -> int:
    """An identifier of a tensor's memory, equal for tensors that share it; also on meta."""
    return tensor.untyped_storage()._cdata


@contextmanager
def quiet_export() -> Iterator[None]:
    """Hides what torch.export prints, logs and warns; other output to stderr is printed."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    states = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        stream = sys.stderr
        sys.stderr = filtered = _WithoutExport(stream)
        try:
            yield
        finally:
            if sys.stderr is filtered:
                sys.stderr = stream
            for logger, state in zip(loggers, states, strict=True):
                logger.disabled = state


class _WithoutExport:
    """A stream without what `torch.export` prints to it."""

    def __init__(self, stream: Any) -> None:
        from torch.export import _trace  # noqa: PLC0415 (imports the compiler)

        self._stream = stream
        self._printer = _trace.__file__

    def write(self, text: str) -> int:
        near = islice(traceback.walk_stack(sys._getframe()), 4)
        if any(frame.f_code.co_filename == self._printer for frame, _ in near):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guards_watched(added: Callable[[], None]) -> Iterator[None]:
    """Calls `added` whenever torch.export assumes something about the size of the batch.

    `added` is called inside of the operation that caused it, so that the stack there shows the
    line. torch reports these assumptions only in its log.
    """
    logger = logging.getLogger(_GUARDS)
    state = logger.level, logger.propagate, logger.disabled, logger.handlers
    logger.setLevel(logging.INFO)
    logger.propagate, logger.disabled, logger.handlers = False, False, [_Guards(added)]
    try:
        yield
    finally:
        logger.setLevel(state[0])
        logger.propagate, logger.disabled, logger.handlers = state[1:]


class _Guards(logging.Handler):
    def __init__(self, added: Callable[[], None]) -> None:
        super().__init__()
        self._added = added

    def emit(self, record: logging.LogRecord) -> None:
        if "[guard added]" in record.msg:
            self._added()
