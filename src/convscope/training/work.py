"""Set up one stage of training: network, optimiser, batches and clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import torch
from torch import nn

from convscope.base.device import channels_last
from convscope.base.errors import ConvscopeError
from convscope.base.torch_private import without_compiler
from convscope.data.loader import Batches
from convscope.images.preprocess import Preprocess
from convscope.nets.catalog import build_module, num_parameters
from convscope.nets.classifier import Classifier
from convscope.training.events import StageStarted
from convscope.training.prepare import Setup
from convscope.training.recipe import Recipe
from convscope.training.schedule import UNPLANNED, Replay
from convscope.training.stages import start_from
from convscope.training.state import Position, State, capture_state, restore_state
from convscope.training.transfer import TransferredWeights, freeze, transfer_weights

# Pixels in a validation batch: 256 images of 64 x 64. A run can be stopped only between two
# batches, so a batch must not take long. Larger batches are not faster.
_EVAL_PIXELS = 256 * 64 * 64


@dataclass
class Clock:
    """Measured wall-clock times. Only this and the tensors change in place during training.

    Attributes:
        before: seconds of earlier sessions and stages.
        started: when this stage started (`perf_counter`).
        saved: when the last checkpoint was stored (`perf_counter`).
        save_seconds: how long the consumer took to store it.
        validation: seconds of the last validation; None before the first one.
        per_step: running mean of the seconds per step.
        lap_seconds: training time since the last plan, without validation.
        lap_steps: steps since the last plan.
    """

    before: float
    started: float
    saved: float
    save_seconds: float = 0.0
    validation: float | None = None
    per_step: float | None = None
    lap_seconds: float = 0.0
    lap_steps: int = 0

    def seconds(self) -> float:
        """Training seconds so far."""
        return self.before + perf_counter() - self.started


@dataclass(frozen=True)
class Work:
    """Everything that a stage of training needs, except the position.

    Attributes:
        setup: the prepared data.
        recipe: with the values of this stage.
        index: of the stage.
        classifier: the network to train.
        optimiser: of its trainable parameters.
        train: batches of the training images.
        val: batches of the validation images.
        weights: (classes,) class weights of the loss; None for equal weights.
        clock: measured times.
        first: the position where this session starts.
        replay: plans of a time budget to replay.
        frozen: modules to keep in eval mode.
        taken: what was copied from pretrained weights.
    """

    setup: Setup
    recipe: Recipe
    index: int
    classifier: Classifier
    optimiser: torch.optim.Optimizer
    train: Batches
    val: Batches
    weights: torch.Tensor | None
    clock: Clock
    first: Position
    replay: Replay
    frozen: list[nn.Module]
    taken: TransferredWeights | None

    def state(self, position: Position) -> State:
        """The state to store at `position`."""
        position = replace(position, seconds=self.clock.seconds())
        return capture_state(position, self.classifier.module, self.optimiser)


@dataclass(frozen=True)
class Start:
    """What a training starts from, if not from random weights.

    Attributes:
        resume: the state of an earlier checkpoint of the same recipe.
        replay: the plans that the run made before.
        initial: the classifier with the weights that `Recipe.weights` names.
        splits: the split of each image by path, as an earlier version may have drawn it. They are
            drawn again where the images are others.
    """

    resume: State | None = None
    replay: Replay = field(default_factory=Replay)
    initial: Classifier | None = None
    splits: Mapping[str, str] | None = None


def build_work(
    setup: Setup, index: int, previous: nn.Module | None, start: Start, spent: float
) -> Work:
    """Builds network, optimiser and batches of stage `index`, new or restored from `start.resume`.

    Args:
        setup: the prepared data.
        index: of the stage.
        previous: the trained network of the previous stage, if any.
        start: what the training starts from.
        spent: seconds of earlier sessions and stages.

    Raises:
        WeightsError: the pretrained weights do not match the network.
        ConvscopeError: pretrained weights are missing, or a module to freeze does not exist.
    """
    recipe = setup.recipe.at_stage(index)
    stage = recipe.stages[index]
    preprocess = setup.preprocess(recipe.data)
    canvas = preprocess.model_copy(update={"resize": stage.train_resize or preprocess.resize})
    module = initial_module(setup.recipe, index, preprocess, len(setup.dataset.class_names))
    taken, resume, names = None, start.resume, setup.dataset.class_names
    if previous is not None:
        start_from(stage.start, module, previous)
    elif recipe.weights is not None and index == 0 and resume is None:
        if start.initial is None:
            raise ConvscopeError(f"the recipe starts from {recipe.weights.source}: give `initial`")
        taken = transfer_weights(module, start.initial, names)
    module.to(setup.device)
    channels_last(module)
    frozen = freeze(module, recipe.freeze)
    optimiser = _optimiser(recipe, module)
    indices, size = setup.train_indices(), recipe.batch_size
    train = setup.batches(indices, canvas, size)
    val_size = max(1, min(256, _EVAL_PIXELS // (preprocess.size[0] * preprocess.size[1])))
    val = setup.batches(np.flatnonzero(setup.splits == "val"), preprocess, val_size)
    total = UNPLANNED if recipe.epochs is None else recipe.epochs * train.steps_per_epoch
    first = Position(stage=index, segments=((0, 0.0, total),))
    if resume is not None:
        restore_state(resume, module, optimiser)
        first = resume.position
    weights = None
    if recipe.optim.class_weights:
        counts = torch.tensor(setup.class_counts(), dtype=torch.float32, device=setup.device)
        weights = counts.sum() / (len(counts) * counts.clamp(min=1))
    classifier = Classifier(recipe.model.name, module, preprocess, names)
    began = setup.began if previous is None else perf_counter()
    clock = Clock(spent, began, perf_counter())
    return Work(
        setup, recipe, index, classifier, optimiser, train, val, weights, clock, first,
        start.replay, frozen, taken,
    )  # fmt: skip


def initial_module(
    recipe: Recipe, index: int, preprocess: Preprocess, num_classes: int
) -> nn.Module:
    """The network of stage `index` with random weights from the recipe's seed.

    Seeds torch's global generator. Training continues with the state that this leaves.
    """
    model = recipe.at_stage(index).model
    torch.manual_seed(recipe.seed + index)
    return build_module(
        model.name,
        num_classes=num_classes,
        input_shape=(preprocess.channels, *preprocess.size),
        init=model.init,
        **model.options,
    )


def _optimiser(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    optim = recipe.optim
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if optim.name == "adamw":
        return without_compiler(torch.optim.AdamW)(
            parameters, optim.learning_rate, weight_decay=optim.weight_decay, fused=True
        )
    return without_compiler(torch.optim.SGD)(
        parameters,
        optim.learning_rate,
        momentum=optim.momentum,
        nesterov=optim.nesterov and optim.momentum > 0,
        weight_decay=optim.weight_decay,
        fused=True,
    )


def stage_started(work: Work) -> StageStarted:
    """The first event of a stage."""
    recipe = work.recipe
    return StageStarted(
        stage=work.index,
        stages=len(recipe.stages),
        name=recipe.stages[work.index].name,
        model=recipe.model.name,
        parameters=num_parameters(work.classifier.module),
        frozen=sum(p.numel() for p in work.classifier.module.parameters() if not p.requires_grad),
        steps_per_epoch=work.train.steps_per_epoch,
        preprocess=work.classifier.preprocess,
        taken=work.taken,
    )
