"""A small set of real images (scikit-learn's digits) and recipes that train on it in seconds."""

import pytest

from convscope.training.catalog import scratch


@pytest.fixture
def recipe():
    small = {
        "model.options": {"widths": (4, 8, 8), "head": (16,)},
        "data.fraction": 0.25,
        "batch_size": 32,
        "epochs": 2,
        "precision": "float32",
    }
    return scratch("digits").with_settings(small)


@pytest.fixture
def mlp_recipe(recipe):
    return recipe.with_settings({"model": {"name": "mlp", "options": {"hidden": [16]}}})
