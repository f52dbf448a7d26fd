"""What a run starts from: the weights of another run, of a file, or torchvision's official ones."""

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


def starting_from(
    recipe: Recipe, source: str, model: str | None, progress: Progress = no_progress
) -> tuple[Recipe, Classifier]:
    """`recipe` with the weights, network, mean and std of `source`, and the classifier itself.

    The network's input has the classifier's size, unless it is changed afterwards.

    Args:
        recipe: its own options of the model stay.
        source: a run folder, a file of weights, or "imagenet".
        model: the network's name; None takes the run's, or the recipe's for a file.
        progress: of the download of official weights.

    Raises:
        ConvscopeError: there is nothing at `source`.
        WeightsError: it cannot be read as weights of the network.
    """
    found = _read(source, model or recipe.model.name, progress)
    preprocess = found.classifier.preprocess
    same = model in (None, found.model.name)
    options = {**(found.model.options if same else {}), **recipe.model.options}
    if ALL_BUT_LAST in recipe.freeze and (model or found.model.name).startswith("vgg"):
        options["head"] = []  # one dense layer to train, instead of the last of three
    spec = recipe.model.model_copy(update={"name": model or found.model.name, "options": options})
    data = {
        "mean": preprocess.mean,
        "std": preprocess.std,
        "fit": preprocess.fit,
        "size": preprocess.size[0],
    }
    update = {
        "model": spec,
        "weights": found.weights,
        "data": recipe.data.model_copy(update=data),
    }
    return recipe.model_copy(update=update), found.classifier


def initial_classifier(recipe: Recipe) -> Classifier:
    """The classifier whose weights `recipe.weights` names.

    Raises:
        ConvscopeError: it is gone, or not the one that the recipe was made with.
    """
    if recipe.weights is None:
        raise ValueError("the recipe starts from random weights")
    found = _read(recipe.weights.source, recipe.model.name)
    if found.weights.sha256 != recipe.weights.sha256:
        raise ConvscopeError(
            f"{recipe.weights.source} is not what the run started from: its weights have SHA-256 "
            f"{found.weights.sha256}, then {recipe.weights.sha256}; put them back"
        )
    return found.classifier


@dataclass(frozen=True)
class _Found:
    classifier: Classifier
    model: ModelSpec
    weights: WeightsSpec


def _read(source: str, model: str, progress: Progress = no_progress) -> _Found:
    path = Path(source).expanduser()
    if path.is_dir():
        best = best_path(path)
        stored = load_checkpoint(best)
        weights = WeightsSpec(source=str(path.resolve()), sha256=sha256_of_file(best))
        about = path / "import.json"
        named = not about.exists() or read_json(about).get("classes_named", False)
        return _Found(_known(stored.classifier(str(best)), named=named), stored.model, weights)
    if source == OFFICIAL and not path.exists():
        imported = import_weights(official(model, progress), model, preprocessing="imagenet")
        weights = WeightsSpec(source=source, sha256=imported.sha256)
        return _Found(_known(imported.classifier, named=False), imported.model, weights)
    imported = _of_file(path, model)
    weights = WeightsSpec(source=str(path.resolve()), sha256=imported.sha256)
    return _Found(_known(imported.classifier, named=False), imported.model, weights)


def _known(classifier: Classifier, *, named: bool) -> Classifier:
    """Class names that only number the rows of a head must not meet classes called 0, 1, 2."""
    return classifier if named else replace(classifier, class_names=None)


def _of_file(path: Path, model: str) -> Imported:
    """The whole network, or its trunk where the file has no head, or one of another shape."""
    try:
        return import_weights(path, model)
    except WeightsError as error:
        try:
            return import_weights(path, model, headless=True)
        except WeightsError:
            raise error from None
