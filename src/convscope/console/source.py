"""MODEL_OR_RUN on the command line: a run folder, or an untrained network by name."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.nets.classifier import Classifier

SEED = 0


def is_run(text: str) -> bool:
    """Whether `text` names a run folder, rather than a network.

    A folder with the name of a network, such as a Python package, does not hide that network unless
    it is a run.
    """
    from convscope.nets.catalog import NETWORKS

    path = Path(text)
    if (path / "run.json").is_file():
        return True
    if text in NETWORKS or ":" in text:
        return False
    return path.exists() or os.sep in text


def classifier_of(text: str) -> "Classifier":
    """The classifier of a run folder, or an untrained network by its name.

    Args:
        text: a run folder, a name of the catalog, or your own `package.module:function`. Networks
            by name are built with 1,000 classes and seed 0.

    Raises:
        ConvscopeError: it is neither a run nor a network.
    """
    from convscope.nets.catalog import build_model
    from convscope.runs.folder import load

    return load(text) if is_run(text) else build_model(text, seed=SEED)
