"""Frozen values: strict keys, dotted settings, errors that name the key."""

from typing import Any

import pytest
from pydantic import Field, ValidationError

from convscope.base.errors import ConvscopeError
from convscope.base.values import Value


class Inner(Value):
    rate: float = Field(default=0.1, gt=0)
    options: dict[str, Any] = {}


class Outer(Value):
    name: str = "x"
    inner: Inner = Inner()
    pair: tuple[float, float] = (0.5, 1.0)
    parts: tuple[Inner, ...] = (Inner(), Inner(rate=2))


def test_settings_replace_values_and_leave_the_original_alone():
    value = Outer()
    changed = value.with_settings({"name": "y", "inner.rate": 3})
    assert changed == Outer(name="y", inner=Inner(rate=3))
    assert value == Outer()


def test_settings_reach_into_tuples():
    assert Outer().with_settings({"pair.1": 0.75}).pair == (0.5, 0.75)
    assert Outer().with_settings({"parts.1.rate": 5}).parts == (Inner(), Inner(rate=5))
    assert Outer().with_settings({"pair": [1, 2]}).pair == (1, 2)


def test_options_take_new_keys():
    changed = Outer().with_settings({"inner.options.widths": [8, 16]})
    assert changed.inner.options == {"widths": [8, 16]}


def test_no_settings_change_nothing():
    assert Outer().with_settings({}) == Outer()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nam", "--set nam: no such setting; choose one of inner, name, pair, parts"),
        ("inner.rat", "--set inner.rat: no such setting; choose one of options, rate"),
        ("innen.rate", "--set innen.rate: no such setting; choose one of inner, name, pair, parts"),
        ("name.first", "--set name.first: the setting above 'first' has no parts"),
        ("pair.2", "--set pair.2: the setting above '2' has no parts"),
        ("pair.-1", "--set pair.-1: the setting above '-1' has no parts"),
        ("pair.²", "--set pair.²: the setting above '²' has no parts"),
        ("", "--set : no such setting; choose one of inner, name, pair, parts"),
    ],
)
def test_settings_that_do_not_exist(key, message):
    with pytest.raises(ConvscopeError) as caught:
        Outer().with_settings({key: 1})
    assert str(caught.value) == message


def test_settings_out_of_range_are_named_with_what_was_given():
    with pytest.raises(ConvscopeError, match=r"settings: inner\.rate: .*greater than 0, got -1"):
        Outer().with_settings({"inner.rate": -1})


def test_parse_takes_what_was_dumped():
    value = Outer(name="y", pair=(1, 2), inner=Inner(options={"a": [1]}))
    assert Outer.parse(value.model_dump(mode="json"), "recipe.json") == value


def test_parse_names_every_wrong_key_and_the_file():
    data = {"nam": 1, "inner": {"rate": "fast"}, "pair": [1]}
    with pytest.raises(ConvscopeError) as caught:
        Outer.parse(data, "recipe.json")
    message = str(caught.value)
    assert message.startswith("recipe.json: ")
    assert "nam: no such setting" in message
    assert "inner.rate: " in message
    assert "got 'fast'" in message
    assert "pair.1: Field required" in message


@pytest.mark.parametrize("data", [None, 3, [], "text"])
def test_parse_of_json_that_is_not_an_object(data):
    with pytest.raises(ConvscopeError, match=r"recipe\.json: not a JSON object of settings"):
        Outer.parse(data, "recipe.json")


def test_values_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Outer().name = "y"
