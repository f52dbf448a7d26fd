"""A training loop as one writes it by hand for images in memory: no events, no states, no keys.

Channels-last, fused SGD, a random order for each epoch, flips of half a batch at a time: as fast as
we know how to write it in plain PyTorch without compiling.
"""

from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F

from convscope.nets.catalog import build_module
from convscope.nets.initialise import initialise
from convscope.training.events import Prepared
from convscope.training.recipe import Recipe


class PlainLoop:
    """float32 training of the recipe's network on images (n, height, width, channels), uint8."""

    def __init__(
        self, recipe: Recipe, prepared: Prepared, images: np.ndarray, labels: np.ndarray
    ) -> None:
        torch.manual_seed(recipe.seed)
        preprocess, optim = prepared.preprocess, recipe.optim
        self._flip, self._batch = bool(prepared.recipe.augment.flip), recipe.batch_size
        self._smoothing = optim.label_smoothing
        self._images, self._labels = torch.from_numpy(images), torch.from_numpy(labels)
        self._mean, self._std = (
            torch.tensor(values).view(1, -1, 1, 1) * 255
            for values in (preprocess.mean, preprocess.std)
        )
        self._module = build_module(
            recipe.model.name,
            num_classes=len(prepared.class_names),
            input_shape=(preprocess.channels, *preprocess.size),
            **recipe.model.options,
        )
        initialise(self._module, recipe.model.init)
        self._module.to(memory_format=torch.channels_last)
        self._optimiser = torch.optim.SGD(
            self._module.parameters(),
            optim.learning_rate,
            momentum=optim.momentum,
            nesterov=optim.nesterov,
            weight_decay=optim.weight_decay,
            fused=True,
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            optim.learning_rate,
            total_steps=(recipe.epochs or 1) * (len(images) // self._batch),
            pct_start=optim.warmup,
            cycle_momentum=False,
        )
        self._order = torch.empty(0, dtype=torch.long)
        self.loss = 0.0

    def train(self, steps: int) -> float:
        """Seconds that the next `steps` steps took."""
        began = perf_counter()
        self._module.train()
        for _ in range(steps):
            if len(self._order) < self._batch:
                self._order = torch.randperm(len(self._images))
            picked, self._order = self._order[: self._batch], self._order[self._batch :]
            images = self._images[picked].permute(0, 3, 1, 2).float()
            images = images.sub_(self._mean).div_(self._std)
            if self._flip:
                mirrored = torch.rand(len(picked), 1, 1, 1) < 0.5
                images = torch.where(mirrored, images.flip(3), images)
            loss = F.cross_entropy(
                self._module(images), self._labels[picked], label_smoothing=self._smoothing
            )
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            self.loss = loss.item()
        return perf_counter() - began
