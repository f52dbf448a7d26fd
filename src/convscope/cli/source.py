"""What MODEL_OR_RUN means on the command line: a run folder, or a network by name, untrained."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.base.errors import ConvscopeError

if TYPE_CHECKING:
    from convscope.nets.classifier import Classifier

SEED = 0


def is_run(text: str) -> bool:
    """Whether `text` names a run folder, rather than a network.

    A folder that has a network's name and is no run, as a package of one's own may be, does not
    hide the network.
    """
    from convscope.nets.catalog import NETWORKS

    path = Path(text)
    if (path / "run.json").is_file():
        return True
    if text in NETWORKS or ":" in text:
        return False
    return path.exists() or os.sep in text


def classifier_of(text: str, input_shape: tuple[int, int, int] | None = None) -> "Classifier":
    """The classifier of a run folder, or an untrained network by its name.

    Args:
        text: a run folder; else a name of the catalog, or one's own as `package.module:function`,
            built with 1,000 classes and seed 0.
        input_shape: (channels, height, width) of an untrained network; None takes its own. A run
            has the shape that it was trained with.

    Raises:
        ConvscopeError: neither a run nor a network, or a run of another input shape.
    """
    from convscope.nets.catalog import build_model
    from convscope.runs.folder import load

    if not is_run(text):
        return build_model(text, input_shape=input_shape, seed=SEED)
    classifier = load(text)
    shape = (classifier.preprocess.channels, *classifier.preprocess.size)
    if input_shape not in (None, shape):
        raise ConvscopeError(
            f"{text} was trained on input {' x '.join(map(str, shape))}, "
            f"not {' x '.join(map(str, input_shape or ()))}; leave the input shape out for a run"
        )
    return classifier
