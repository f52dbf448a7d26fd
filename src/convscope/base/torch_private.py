"""What convscope uses of torch that torch does not document; tested for each torch version.

`pyproject.toml` allows torch up to the version that these tests have run with.
"""

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
Optimiser = TypeVar("Optimiser", bound=torch.optim.Optimizer)
# Methods of an optimiser that import torch's compiler when they are called, to tell it to leave
# them alone: a third of the time to the first training step, and of no use without the compiler.
_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def without_compiler(kind: Callable[P, Optimiser]) -> Callable[P, Optimiser]:
    """The same optimiser, whose methods do not import `torch._dynamo`; bit for bit the same steps.

    `step` runs without gradients, as torch's own does where the optimiser is not differentiable.
    """
    assert isinstance(kind, type)
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast("Callable[P, Optimiser]", type(kind.__name__, (kind,), methods))
