"""Metrics of an evaluation against scikit-learn and a second implementation."""

import math

import numpy as np
import pytest
from sklearn import metrics

from convscope import build_model, evaluate, open_dataset
from convscope.base.errors import DataError
from convscope.evaluation.evaluate import indices_of, measure
from convscope.evaluation.predictions import Predictions


def random_predictions(n=400, classes=7, seed=0):
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, n)
    logits = generator.normal(0, 1, (n, classes)).astype(np.float32)
    logits[np.arange(n), targets] += 1.5
    names = tuple(f"class {i}" for i in range(classes))
    return Predictions(names, tuple(f"{i}.png" for i in range(n)), targets, logits)


def test_figures_equal_scikit_learns():
    predictions = random_predictions()
    figures = measure(predictions, split="test")
    targets, logits = predictions.targets, predictions.logits.astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    assert figures.top1 == metrics.accuracy_score(targets, predicted)
    assert figures.top5 == metrics.top_k_accuracy_score(targets, logits, k=5)
    assert figures.log_loss == pytest.approx(metrics.log_loss(targets, probabilities), rel=1e-12)
    assert figures.macro_f1 == pytest.approx(metrics.f1_score(targets, predicted, average="macro"))
    assert (figures.confusion == metrics.confusion_matrix(targets, predicted)).all()
    report = metrics.classification_report(
        targets, predicted, target_names=list(predictions.class_names), output_dict=True
    )
    for row in figures.per_class:
        expected = report[row.name]
        assert (row.precision, row.recall, row.f1) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"])
        )
        assert row.n == expected["support"]
        assert row.recall_interval[0] < row.recall < row.recall_interval[1]


def test_top5_is_hidden_at_five_classes():
    figures = measure(random_predictions(classes=5), split="test")
    assert figures.top5 is None
    assert "top5" not in figures.as_json()


def test_a_class_without_images_has_no_recall():
    predictions = random_predictions(classes=4)
    keep = predictions.targets != 2
    some = Predictions(
        predictions.class_names, tuple(np.array(predictions.paths)[keep]),
        predictions.targets[keep], predictions.logits[keep],
    )  # fmt: skip
    row = measure(some, split="test").per_class[2]
    assert (row.recall, row.recall_interval, row.n) == (None, None, 0)


def test_mistakes_are_wrong_and_most_confident_first():
    predictions = random_predictions()
    rows = measure(predictions, split="test").mistakes(20)
    confidence = np.exp(predictions.logits).max(1) / np.exp(predictions.logits).sum(1)
    assert (predictions.logits[rows].argmax(1) != predictions.targets[rows]).all()
    assert (np.diff(confidence[rows]) <= 1e-6).all()


def test_the_table_survives_parquet_bit_by_bit():
    predictions = random_predictions()
    again = Predictions.from_parquet(predictions.to_parquet())
    assert again.class_names == predictions.class_names
    assert again.paths == predictions.paths
    assert (again.targets == predictions.targets).all()
    assert again.logits.tobytes() == predictions.logits.tobytes()


def test_damaged_weights_are_noticed():
    predictions = random_predictions()
    predictions.logits[3, 1] = np.nan
    with pytest.raises(DataError, match="not all finite"):
        measure(predictions, split="test")


def test_a_second_implementation_gives_the_same_metrics():
    """From the images themselves: decode, normalise, run, count; nothing of ours but the module."""
    import torch

    data = open_dataset("digits")
    model = build_model(
        "mlp", num_classes=10, input_shape=(1, 8, 8), hidden=(32,), init="glorot", seed=1
    )
    images = torch.stack(
        [torch.from_numpy(data.source.images[i, :, :, 0]) for i in range(len(data))]
    )
    x = (images.float() / 255 - 0.5) / 0.5
    layers = [m for m in model.module.modules() if isinstance(m, torch.nn.Linear)]
    with torch.no_grad():
        hidden = torch.relu(x.flatten(1) @ layers[0].weight.T + layers[0].bias)
        scores = hidden @ layers[1].weight.T + layers[1].bias
    right, five, loss = 0, 0, 0.0
    confusion = [[0] * 10 for _ in range(10)]
    bins = [[0, 0.0, 0] for _ in range(15)]
    for row, label in zip(scores.tolist(), data.labels.tolist(), strict=True):
        order = sorted(range(10), key=lambda c, row=row: -row[c])
        total = sum(math.exp(value - row[order[0]]) for value in row)
        probability = 1 / total
        right += order[0] == label
        five += label in order[:5]
        loss -= row[label] - row[order[0]] - math.log(total)
        confusion[label][order[0]] += 1
        part = bins[min(14, math.ceil(probability * 15) - 1)]
        part[0] += 1
        part[1] += probability
        part[2] += order[0] == label
    n = len(data)
    ece = sum(abs(hits - confidence) for _, confidence, hits in bins) / n
    figures = evaluate(model, data, split="all")
    assert figures.top1 == right / n
    assert figures.top5 == five / n
    assert figures.log_loss == pytest.approx(loss / n, rel=1e-6)
    assert figures.calibration.error == pytest.approx(ece, rel=1e-5)
    assert figures.confusion.tolist() == confusion


def test_without_a_choice_it_is_test_or_else_val():
    from dataclasses import replace

    data = open_dataset("digits")
    assert indices_of(data, None)[1] == "all"
    for names, chosen in ((("train", "val"), "val"), (("train", "val", "test"), "test")):
        splits = np.resize(np.array(names), len(data))
        indices, name = indices_of(replace(data, splits=splits), None)
        assert name == chosen
        assert (splits[indices] == chosen).all()
    with pytest.raises(DataError, match="no split 'test'; it has train"):
        indices_of(replace(data, splits=np.full(len(data), "train")), None)


def test_splits_are_chosen_by_name():
    data = open_dataset("digits")
    assert indices_of(data, "test")[1] == "all"
    with pytest.raises(
        DataError, match="unknown split 'tset'; choose one of train, val, test and all"
    ):
        indices_of(data, "tset")
    given = data.splits.copy()
    given[:] = "train"
    from dataclasses import replace

    with pytest.raises(DataError, match="has no split 'test'; it has train"):
        indices_of(replace(data, splits=given), "test")


def test_unknown_classes_are_listed():
    model = build_model("mlp", num_classes=8, input_shape=(1, 8, 8))
    with pytest.raises(DataError, match="does not know: 8, 9"):
        evaluate(model, open_dataset("digits"))
