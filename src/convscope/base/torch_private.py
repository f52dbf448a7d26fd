"""The undocumented parts of torch that convscope uses; tested with each torch version.

`pyproject.toml` allows torch up to the latest version that these tests were run with.
"""

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
Optimiser = TypeVar("Optimiser", bound=torch.optim.Optimizer)
# Methods of an optimiser that import torch's compiler when they are called, to exclude themselves
# from compilation. The import takes a third of the time to the first training step.
_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def without_compiler(kind: Callable[P, Optimiser]) -> Callable[P, Optimiser]:
    """A subclass of the optimiser without imports of `torch._dynamo`; its steps are bit-equal.

    `step` runs without gradients, as torch's own does where the optimiser is not differentiable.
    """
    assert isinstance(kind, type)
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast("Callable[P, Optimiser]", type(kind.__name__, (kind,), methods))
