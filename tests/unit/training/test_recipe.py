"""Recipes: strict JSON, settings by dotted keys, and the VGG paper's stages."""

import json

import pytest

from convscope.base.errors import ConvscopeError
from convscope.training.catalog import RECIPES, scratch, vgg_paper
from convscope.training.recipe import Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name):
    recipe = RECIPES[name]("digits", None)
    text = json.dumps(recipe.model_dump(mode="json"))
    assert Recipe.parse(json.loads(text), "test") == recipe


def test_unknown_keys_are_refused_by_name():
    data = scratch("digits").model_dump(mode="json") | {"learning_rate": 3}
    with pytest.raises(ConvscopeError, match=r"here\.json: learning_rate: no such setting"):
        Recipe.parse(data, "here.json")


def test_settings_change_values_deep_inside():
    recipe = scratch("digits").with_settings(
        {"optim.learning_rate": 0.5, "model.options.widths": [1, 2, 3]}
    )
    assert recipe.optim.learning_rate == 0.5
    assert recipe.model.options == {"widths": [1, 2, 3]}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optim.lr", 1, "optim.lr: no such setting; choose one of class_weights, clip"),
        ("nothing", 1, "nothing: no such setting; choose one of augment, batch_size"),
        ("seed.deep", 1, "the setting above 'deep' has no parts"),
        ("optim.learning_rate", -1, "optim.learning_rate: Input should be greater than 0, got -1"),
        ("data.fraction", 2, "less than or equal to 1"),
        ("optim.schedule", "steps", "optim.schedule: Input should be 'one-cycle'"),
    ],
)
def test_wrong_settings_say_what_is_allowed(key, value, message):
    with pytest.raises(ConvscopeError, match=message):
        scratch("digits").with_settings({key: value})


def test_the_papers_chain():
    recipe = vgg_paper("somewhere")
    assert [stage.start for stage in recipe.stages] == ["random", "net-a", "previous", "previous"]
    assert [recipe.at_stage(i).model.name for i in range(4)] == ["vgg11", *["vgg16"] * 3]
    shared = recipe.with_settings({"model.options.head": [8]})
    assert all(shared.at_stage(i).model.options == {"head": [8]} for i in range(4))
    assert [recipe.at_stage(i).data.resize for i in range(4)] == [256, 256, 384, 384]
    assert [recipe.at_stage(i).optim.learning_rate for i in range(4)] == [1e-2, 1e-2, 1e-3, 1e-3]
    assert recipe.at_stage(3).augment.scale == (0.5, 1.0)
    assert recipe.stages[3].train_resize == 512


def test_net_a_itself_has_no_stage_before():
    recipe = vgg_paper("somewhere", "vgg11")
    assert [stage.start for stage in recipe.stages] == ["random", "previous", "previous"]
