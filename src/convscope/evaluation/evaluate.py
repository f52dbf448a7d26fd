"""Evaluate a classifier: metrics with confidence intervals from its table of predictions.

The metrics are those of scikit-learn. Calibration error and Wilson intervals, which it lacks, are
in `convscope.metrics`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.base.errors import DataError
from convscope.data.dataset import SPLITS, Dataset
from convscope.evaluation.predictions import Predictions, predictions_of
from convscope.metrics.classification import (
    Calibration,
    calibration,
    most_confused,
    softmax,
    wilson_interval,
)
from convscope.nets.classifier import BATCH_SIZE, Classifier

PROTOCOL = "centre"
_CONFUSED = 10
_SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class ClassFigures:
    """Metrics of one class. Precision, recall and F1 are None if they are undefined.

    Attributes:
        name: of the class.
        precision: 0..1.
        recall: 0..1.
        f1: 0..1.
        recall_interval: the 95 % interval of the recall.
        n: the number of images with this label.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    recall_interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one evaluation and the predictions from which they were computed.

    `top1`, `top5`, `macro_f1` are 0..1; `top5` is None with five classes or fewer. Intervals have a
    confidence of 95 %: Wilson's for shares, the normal approximation for the mean log-loss.
    `log_loss` is in nats. `confusion` is (classes, classes), rows are labels.
    """

    predictions: Predictions
    split: str
    protocol: str
    n: int
    top1: float
    top1_interval: tuple[float, float]
    top5: float | None
    top5_interval: tuple[float, float] | None
    log_loss: float
    log_loss_interval: tuple[float, float]
    calibration: Calibration
    per_class: tuple[ClassFigures, ...]
    confusion: np.ndarray
    macro_f1: float

    def confused_pairs(self) -> list[dict[str, Any]]:
        """The most frequent mistakes: label, predicted, count."""
        names = self.predictions.class_names
        return [
            {"label": names[target], "predicted": names[predicted], "count": count}
            for target, predicted, count in most_confused(self.confusion, _CONFUSED)
        ]

    def as_json(self) -> dict[str, Any]:
        """The metrics as JSON-ready values: the content of `metrics.json` and `--json`."""
        values: dict[str, Any] = {
            "split": self.split,
            "protocol": self.protocol,
            "n": self.n,
            "classes": list(self.predictions.class_names),
            "top1": self.top1,
            "top1_interval": list(self.top1_interval),
        }
        if self.top5 is not None and self.top5_interval is not None:
            values |= {"top5": self.top5, "top5_interval": list(self.top5_interval)}
        return values | {
            "log_loss": self.log_loss,
            "log_loss_interval": list(self.log_loss_interval),
            "ece": self.calibration.error,
            "macro_f1": self.macro_f1,
            "per_class": [vars(figures) for figures in self.per_class],
            "confused": self.confused_pairs(),
        }

    def mistakes(self, limit: int) -> np.ndarray:
        """Row numbers of wrong predictions, at most `limit`, in decreasing order of confidence."""
        probabilities = softmax(self.predictions.logits)
        wrong = np.flatnonzero(probabilities.argmax(axis=1) != self.predictions.targets)
        order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
        return wrong[order[:limit]]


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    *,
    split: str | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluates a classifier on a split of a data set, or on all images if it has no splits.

    Classes are matched by name.

    Args:
        classifier: with a head.
        dataset: the images.
        split: "train", "val", "test" or "all"; None takes test, or val where there is no test
            split.
        batch_size: images per batch.
        progress: called with the number of images done and their total.

    Raises:
        DataError: the data set has classes that the classifier lacks, it lacks the split, or the
            classifier has no head.
    """
    if classifier.class_names is None:
        raise DataError(f"{classifier.name} is a trunk: without a head it cannot be evaluated")
    dataset = dataset.aligned_to(classifier.class_names)
    indices, name = indices_of(dataset, split)
    predictions = predictions_of(
        classifier, dataset, indices, batch_size=batch_size, progress=progress
    )
    return measure(predictions, split=name)


def indices_of(dataset: Dataset, split: str | None) -> tuple[np.ndarray, str]:
    """The indices of a split's images and its name; of all images and "all" if there are no splits.

    Args:
        dataset: the images.
        split: None takes test, or val where there is no test split.

    Raises:
        DataError: there is no such split. The message lists those that exist.
    """
    if split is None:
        split = "val" if "val" in dataset.splits and "test" not in dataset.splits else "test"
    if split not in (*SPLITS, "all"):
        raise DataError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)} and all")
    existing = [name for name in SPLITS if (dataset.splits == name).any()]
    if split == "all" or not existing:
        return np.arange(len(dataset)), "all"
    if split not in existing:
        raise DataError(
            f"{dataset.name} has no split {split!r}; it has {', '.join(existing)}; "
            "choose with --split"
        )
    return np.flatnonzero(dataset.splits == split), split


def note_on(split: str) -> str | None:
    """What to know of figures of a run's own split; None where there is nothing to say."""
    if split != "val":
        return None
    return (
        "the epoch with the best weights was chosen on the validation images, so their figures are "
        "a little too good"
    )


def measure(predictions: Predictions, *, split: str, protocol: str = PROTOCOL) -> Evaluation:
    """Computes all metrics from a table of predictions.

    Raises:
        DataError: logits that are not finite.
    """
    from sklearn import metrics

    logits, targets = predictions.logits, predictions.targets
    if not np.isfinite(logits).all():
        raise DataError("the network's logits are not all finite; its weights may be damaged")
    n, classes = logits.shape
    probabilities = softmax(logits)
    predicted = probabilities.argmax(axis=1)
    hits = int(metrics.accuracy_score(targets, predicted, normalize=False))
    losses = -np.log(np.maximum(probabilities[np.arange(n), targets], _SMALLEST))
    log_loss = float(metrics.log_loss(targets, probabilities, labels=np.arange(classes)))
    margin = 1.96 * float(losses.std(ddof=1)) / n**0.5 if n > 1 else 0.0
    five = None
    if classes > 5:
        among: Any = metrics.top_k_accuracy_score(
            targets, logits, k=5, labels=np.arange(classes), normalize=False
        )
        five = int(among)
    per_class = _per_class(predictions.class_names, targets, predicted)
    defined = [figures.f1 for figures in per_class if figures.f1 is not None]
    return Evaluation(
        predictions=predictions,
        split=split,
        protocol=protocol,
        n=n,
        top1=hits / n,
        top1_interval=wilson_interval(hits, n),
        top5=None if five is None else five / n,
        top5_interval=None if five is None else wilson_interval(five, n),
        log_loss=log_loss,
        log_loss_interval=(log_loss - margin, log_loss + margin),
        calibration=calibration(probabilities, targets),
        per_class=per_class,
        confusion=metrics.confusion_matrix(targets, predicted, labels=np.arange(classes)),
        macro_f1=float(np.mean(defined)) if defined else 0.0,
    )


def _per_class(
    names: tuple[str, ...], targets: np.ndarray, predicted: np.ndarray
) -> tuple[ClassFigures, ...]:
    undefined: Any = np.nan
    from sklearn import metrics

    columns: Any = metrics.precision_recall_fscore_support(
        targets, predicted, labels=np.arange(len(names)), zero_division=undefined
    )
    precision, recall, f1, counts = columns
    hits = np.bincount(targets[targets == predicted], minlength=len(names))
    return tuple(
        ClassFigures(
            name,
            _defined(precision[i]),
            _defined(recall[i]),
            _defined(f1[i]),
            wilson_interval(int(hits[i]), int(counts[i])) if counts[i] else None,
            int(counts[i]),
        )
        for i, name in enumerate(names)
    )


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
