"""The studies in a run folder: only those of the run's present weights."""

import torch

import convscope
import explored
from convscope.base.storage import read_json, write_json
from convscope.contract.files import as_json
from convscope.explorer.subject import subject
from convscope.lenses.atlas.lens import LENS as ATLAS
from convscope.lenses.shift.lens import LENS as SHIFT


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
    assert ATLAS.stored(tmp_path, subject(classifier)) is not None
    assert as_json(SHIFT.stored(tmp_path, subject(classifier))) == study
    assert capsys.readouterr().err == ""
    with torch.no_grad():
        next(classifier.module.parameters()).flatten()[0] += 1e-6
    assert ATLAS.stored(tmp_path, subject(classifier)) is None
    assert SHIFT.stored(tmp_path, subject(classifier)) is None
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
    assert SHIFT.stored(tmp_path, subject(classifier)) is None
    assert "of other weights" in capsys.readouterr().err


def test_a_study_that_is_none_is_named(tmp_path, capsys):
    classifier, _, file = written(tmp_path)
    for content in ("{", "[1]", "{}", "[]"):
        file.write_text(content)
        assert SHIFT.stored(tmp_path, subject(classifier)) is None
        told = capsys.readouterr().err
        assert str(file.parent) in told
        assert "of other weights" not in told
