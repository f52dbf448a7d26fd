"""Pretrained weights for a run: from another run, a file, or torchvision's official weights."""

from dataclasses import dataclass, replace
from pathlib import Path

from convscope.base.download import Progress, no_progress, sha256_of_file
from convscope.base.errors import ConvscopeError, WeightsError
from convscope.base.storage import read_json
from convscope.nets.classifier import Classifier
from convscope.runs.checkpoint import load_checkpoint
from convscope.runs.folder import best_path
from convscope.runs.imported import Imported, import_weights
from convscope.training.recipe import ModelSpec, Recipe, WeightsSpec
from convscope.training.transfer import ALL_BUT_LAST
from convscope.weights.official import official

OFFICIAL = "imagenet"


def with_pretrained_weights(
    recipe: Recipe, source: str, model: str | None, progress: Progress = no_progress
) -> tuple[Recipe, Classifier]:
    """Adds pretrained weights to a recipe; returns it with the classifier that has the weights.

    The recipe gets the network, input size, mean and std of `source`.

    Args:
        recipe: its options of the model take precedence.
        source: a run folder, a weights file, or "imagenet".
        model: the network's name; None takes that of the run, or the recipe's for a file.
        progress: of the download of official weights.

    Raises:
        ConvscopeError: `source` does not exist.
        WeightsError: it cannot be read as weights of the network.
    """
    initial = _read(source, model or recipe.model.name, progress)
    preprocess = initial.classifier.preprocess
    same = model in (None, initial.model.name)
    options = {**(initial.model.options if same else {}), **recipe.model.options}
    if ALL_BUT_LAST in recipe.freeze and (model or initial.model.name).startswith("vgg"):
        options["head"] = []  # train one dense layer, instead of the last of three
    spec = recipe.model.model_copy(update={"name": model or initial.model.name, "options": options})
    data = {
        "mean": preprocess.mean,
        "std": preprocess.std,
        "fit": preprocess.fit,
        "size": preprocess.size[0],
    }
    update = {
        "model": spec,
        "weights": initial.weights,
        "data": recipe.data.model_copy(update=data),
    }
    return recipe.model_copy(update=update), initial.classifier


def initial_classifier(recipe: Recipe) -> Classifier:
    """The classifier with the weights that `recipe.weights` names.

    Raises:
        ConvscopeError: the weights do not exist or have changed since the recipe was made.
    """
    if recipe.weights is None:
        raise ValueError("the recipe starts from random weights")
    initial = _read(recipe.weights.source, recipe.model.name)
    if initial.weights.sha256 != recipe.weights.sha256:
        raise ConvscopeError(
            f"{recipe.weights.source} has changed since the run started: its weights have SHA-256 "
            f"{initial.weights.sha256}, expected {recipe.weights.sha256}; restore the old ones"
        )
    return initial.classifier


@dataclass(frozen=True)
class _InitialWeights:
    classifier: Classifier
    model: ModelSpec
    weights: WeightsSpec


def _read(source: str, model: str, progress: Progress = no_progress) -> _InitialWeights:
    path = Path(source).expanduser()
    if path.is_dir():
        best = best_path(path)
        stored = load_checkpoint(best)
        weights = WeightsSpec(source=str(path.resolve()), sha256=sha256_of_file(best))
        about = path / "import.json"
        named = not about.exists() or read_json(about).get("classes_named", False)
        return _InitialWeights(
            _without_numbers(stored.classifier(str(best)), named=named), stored.model, weights
        )
    if source == OFFICIAL and not path.exists():
        imported = import_weights(official(model, progress), model, preprocessing="imagenet")
        weights = WeightsSpec(source=source, sha256=imported.sha256)
        return _InitialWeights(
            _without_numbers(imported.classifier, named=False), imported.model, weights
        )
    imported = _import_file(path, model)
    weights = WeightsSpec(source=str(path.resolve()), sha256=imported.sha256)
    return _InitialWeights(
        _without_numbers(imported.classifier, named=False), imported.model, weights
    )


def _without_numbers(classifier: Classifier, *, named: bool) -> Classifier:
    """Removes class names that are only numbers, so that they do not match classes "0", "1", ..."""
    return classifier if named else replace(classifier, class_names=None)


def _import_file(path: Path, model: str) -> Imported:
    """Imports a file with its head, or without it if the head is missing or does not match."""
    try:
        return import_weights(path, model)
    except WeightsError as error:
        try:
            return import_weights(path, model, headless=True)
        except WeightsError:
            raise error from None
