"""What a run's folder holds for the explorer: only what is of the run's present weights."""

import torch
from convscope.graph.graph_of import graph_of

import convscope
import explored
from convscope.base.storage import read_json, write_json
from convscope.explorer.learned import learned_of


def written(folder):
    """A run's atlas and shift study, the classifier that they are of, and the study's file."""
    explored.write_images(folder / "images")
    classifier = explored.classifier()
    dataset = convscope.open_dataset(str(folder / "images")).aligned_to(explored.CLASSES)
    explored.write_atlas(folder, classifier, dataset)
    both = {"explored": classifier, "dense": explored.dense()}
    study = explored.write_study(folder, both, dataset)
    return classifier, study, folder / "shift" / "all-zero-2" / "metrics.json"


def test_only_what_is_of_the_present_weights_is_shown(tmp_path, capsys):
    classifier, study, _ = written(tmp_path)
    found = learned_of(tmp_path, graph_of(classifier))
    assert found.atlas is not None
    assert list(found.study) == study
    assert capsys.readouterr().err == ""
    with torch.no_grad():
        next(classifier.module.parameters()).flatten()[0] += 1e-6
    found = learned_of(tmp_path, graph_of(classifier))
    assert found.atlas is None
    assert found.study == ()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, command in zip(lines, ("atlas", "shift"), strict=True):
        assert "of other weights" in line
        assert line.endswith(f"convscope {command} {tmp_path}")


def test_a_study_that_does_not_say_of_which_weights_is_left_out(tmp_path, capsys):
    classifier, _, file = written(tmp_path)
    entries = read_json(file)
    del entries[0]["weights"]
    write_json(file, entries)
    assert learned_of(tmp_path, graph_of(classifier)).study == ()
    assert "of other weights" in capsys.readouterr().err


def test_a_study_that_is_none_is_named(tmp_path, capsys):
    classifier, _, file = written(tmp_path)
    for content in ("{", "[1]", "{}", "[]"):
        file.write_text(content)
        assert learned_of(tmp_path, graph_of(classifier)).study == ()
        told = capsys.readouterr().err
        assert str(file.parent) in told
        assert "of other weights" not in told
