"""The result of a shift study: its keys, and files that are not one."""

import json

import pytest

import convscope
import explored
from convscope.base.errors import ConvscopeError
from convscope.contract.files import as_json
from convscope.lenses.shift.result import LayerShift, LayerShifts, ShiftResult, read_result

RUN = {
    "run", "network", "weights", "data", "split", "n", "border", "max_shift", "protocol",
    "consistency", "consistency_interval", "accuracy_unshifted", "accuracy_shifted",
    "accuracy_shifted_interval", "accuracy_grid", "one_pixel", "path", "layers", "fit",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a study, and its JSON."""
    folder = tmp_path_factory.mktemp("run")
    explored.write_images(folder / "images", per_class=2)
    dataset = convscope.open_dataset(str(folder / "images")).aligned_to(explored.CLASSES)
    both = {"explored": explored.classifier(), "dense": explored.dense()}
    return folder / "shift" / "all-zero-2", explored.write_study(folder, both, dataset)


def test_the_keys_are_those_that_are_documented(written):
    folder, entries = written
    assert json.loads((folder / "metrics.json").read_text()) == entries
    assert [set(entry) for entry in entries] == [RUN, RUN]
    assert set(entries[0]["fit"]) == {
        "parameters", "seconds_per_epoch", "test_accuracy", "test_accuracy_interval",
        "first_convolution",
    }  # fmt: skip
    assert set(entries[0]["one_pixel"]) == {
        "changed", "changed_interval", "moved", "moved_interval", "gained", "gained_interval",
    }  # fmt: skip
    assert set(entries[0]["path"][0]) == {"dx", "probability", "probability_interval"}


def test_it_is_read_as_it_was_written_with_all_that_may_be_there(written, tmp_path):
    entries = json.loads(json.dumps(written[1]))
    pair = {"consistency": 0.1, "accuracy_shifted": -0.2, "one_pixel_changed": 0.0}
    entries[1]["difference"] = {
        "than": "explored", **pair, **{f"{name}_interval": [-0.5, 0.5] for name in pair}
    }  # fmt: skip
    entries[0]["fit"] |= {
        "train_accuracy": 0.5, "train_accuracy_interval": [0.25, 0.75], "gap": 0.125,
        "gap_interval": [-0.5, 0.5], "seconds_per_epoch": 2.5,
        "first_convolution": {"layer": "a", "parameters": 1, "dense_parameters": 2},
    }  # fmt: skip
    figures = {"equivariance": None, "inside": 0.5, "inside_share": 1.0, "invariance": 0.25}
    layer = {
        "name": "a",
        "kind": "linear",
        "shape": [3],
        "stride": [1, 2],
        "whole": None,
        **figures,
    }
    entries[0]["layers"] = [{"distance": 1, "images": 9, "layers": [layer]}]
    (tmp_path / "metrics.json").write_text(json.dumps(entries))
    found = read_result(tmp_path)
    assert as_json(found) == entries
    assert found.root[0].layers == [
        LayerShifts(1, 9, (LayerShift("a", "linear", (3,), (1, 2), None, None, 0.5, 1.0, 0.25),))
    ]


def test_a_study_of_an_old_version_has_no_weights_and_another_word_for_wrap(written, tmp_path):
    entries = json.loads(json.dumps(written[1]))
    for entry in entries:
        del entry["weights"]
        entry["border"] = "circular"
    (tmp_path / "metrics.json").write_text(json.dumps(entries))
    found = read_result(tmp_path).root
    assert [(run.weights, run.border) for run in found] == [(None, "wrap")] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON"),
        ("[]", "is not a shift study"),
        ("{}", "is not a shift study"),
        ("[1]", "is not a shift study"),
        ('[{"accuracy_grid": [[1]]}]', "run: Field required"),
    ],
)
def test_what_is_no_study_is_named(tmp_path, content, message):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ConvscopeError) as caught:
        read_result(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "metrics.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_that_is_not_finite_is_refused(written):
    entries = json.loads(json.dumps(written[1]))
    entries[0]["consistency"] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        ShiftResult.model_validate(entries)
