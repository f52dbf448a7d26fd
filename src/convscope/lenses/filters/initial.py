"""The weights of a run's network before training, computed again from its seed."""

from pathlib import Path

import torch
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.nets.catalog import NETWORKS
from convscope.runs.checkpoint import load_checkpoint
from convscope.runs.folder import best_path, read_recipe
from convscope.training.work import initial_module


def load_initial(run: str | Path) -> nn.Module:
    """The network of a run as it was before the first step of training, in eval mode.

    Initial weights are not stored. Seed and recipe give them again, bit by bit if torch's version
    and the kind of processor are those of the training. torch's random generator is not changed.

    Raises:
        ConvscopeError: it is not a run; the stage of the best weights continued from another
            stage's weights; training started from given weights; or the network is your own, whose
            code may have changed.
    """
    run = Path(run)
    stored, recipe = load_checkpoint(best_path(run)), read_recipe(run)
    index = stored.position.stage
    stage = recipe.stages[index]
    if index > 0 and stage.start != "random":
        raise ConvscopeError(
            f"{run}: stage {stage.name!r} started from weights of the stage before it, "
            "which are not stored"
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
