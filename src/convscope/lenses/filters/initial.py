"""The weights that a run's network started with, drawn again as its training drew them."""

from pathlib import Path

import torch
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.nets.catalog import NETWORKS
from convscope.runs.checkpoint import load_checkpoint
from convscope.runs.folder import best_path, read_recipe
from convscope.training.work import initial_module


def load_initial(run: str | Path) -> nn.Module:
    """The network of a run's best weights as it was before its first step, in eval mode.

    They are not stored: seed and recipe give them again, to the last bit where torch's version and
    kind of processor are those of the training. torch's generator is left as it was.

    Raises:
        ConvscopeError: no run, or one whose start its recipe does not tell: a stage that went on
            from another one's weights, or a network of one's own, whose code may have changed.
    """
    run = Path(run)
    stored, recipe = load_checkpoint(best_path(run)), read_recipe(run)
    index = stored.position.stage
    stage = recipe.stages[index]
    if index > 0 and stage.start != "random":
        raise ConvscopeError(
            f"{run}: stage {stage.name!r} started from weights of the stage before it, "
            "which were not kept"
        )
    if recipe.weights is not None and index == 0:
        raise ConvscopeError(f"{run} started from the weights of {recipe.weights.source}")
    if stored.model.name not in NETWORKS:
        raise ConvscopeError(
            f"{run}: {stored.model.name} is your own network, and its code may have changed since"
        )
    names = stored.class_names or ()
    with torch.random.fork_rng(devices=[]):
        module = initial_module(recipe, index, stored.preprocess, len(names))
    return module.eval()
