"""What is not finite, not named in UTF-8, or no map."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from convscope.data.dataset import ArraySource, Dataset
from convscope.explorer import encode
from convscope.explorer.answers import array
from convscope.explorer.gallery import Dropped, Images
from convscope.explorer.subject import subject
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.images.preprocess import Preprocess
from convscope.nets.classifier import Classifier
from convscope.server.serve import explore

VIEW = Preprocess(size=(4, 4), channels=1, resize=4, mean=(0.5,), std=(0.5,))


def known(module, classes=("a", "b")):
    return subject(Classifier("known", module, VIEW, classes))


def test_numbers_that_are_not_finite_are_null():
    module = nn.Sequential(nn.Conv2d(1, 2, 4), nn.Flatten())
    with torch.no_grad():
        module[0].weight[0, 0, 0, 0] = torch.nan
        module[0].bias[1] = torch.inf
    found = known(module)
    trace = found.run(torch.ones(1, 1, 4, 4), (), None)
    number = json.loads(encode.number_of(arithmetic(trace, "0", (0, 0, 0)), 9).model_dump_json())
    assert number["value"] is None
    assert number["sources"][0]["weight"][0] is None
    values = json.loads(encode.layer_values(trace, "0").model_dump_json())
    assert values["means"] == [None, None]
    picture = Images(files=["a.png"]).picture("file-0")
    whole = json.loads(encode.pass_of(found, trace, picture, ()).model_dump_json())
    assert whole["logits"] == [None, None]
    assert (whole["low"], whole["high"]) == (1, 1)  # the input's
    detail = json.loads(encode.layer_detail(found, "0").model_dump_json())
    assert detail["parameters"][0]["mean"] is None


def test_a_trunk_has_no_classes_and_no_loss():
    found = known(nn.Conv2d(1, 2, 3), None)
    trace = found.run(torch.ones(1, 1, 4, 4), (), None)
    whole = encode.pass_of(found, trace, Images(files=["a"]).picture("file-0"), ())
    assert (whole.logits, whole.probabilities, whole.target) == ([], [], None)
    assert encode.subject_of(found, Images()).classes == []
    assert encode.subject_of(found, Images()).layers[-1].name == found.graph.output


def test_a_network_that_ends_with_softmax_has_its_own_probabilities():
    found = known(nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.Softmax(1)))
    assert found.probabilities == found.graph.output == "2" or "softmax" in found.probabilities
    trace = found.run(torch.ones(1, 1, 4, 4), (), None)
    whole = encode.pass_of(found, trace, Images(files=["a"]).picture("file-0"), ())
    assert whole.probabilities == trace[found.graph.output].output[0].tolist()
    assert whole.logits == trace[found.graph.logits].output[0].tolist()


def test_what_is_no_map_is_shown_as_one():
    shapes = {(): (1, 1, 1), (5,): (5, 1, 1), (3, 4): (3, 1, 4), (2, 3, 4, 5): (2, 12, 5)}
    for shape, expected in shapes.items():
        assert encode.as_maps(torch.zeros(shape)).shape == expected
    response = array(torch.tensor([[[True, False]]]))
    assert np.frombuffer(response.body, "<f4").tolist() == [1.0, 0.0]
    assert response.headers["X-Shape"] == "1,1,2"


def test_names_that_are_no_text_are_written_out(tmp_path):
    name = b"caf\xe9.png".decode(errors="surrogateescape")
    path = tmp_path / name
    Image.new("L", (4, 4)).save(str(path), "png")
    images = Images(files=[str(path)])
    assert images.picture("file-0").name == "caf\\udce9.png"
    dataset = Dataset(
        name, (name, "b"), (name,), np.zeros(1, np.int64), np.array([""]),
        ArraySource(np.zeros((1, 4, 4, 1), np.uint8)), 1,
    )  # fmt: skip
    found = known(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), (name, "b"))
    whole = encode.subject_of(found, Images(dataset)).model_dump_json()
    assert "udce9" in whole


def test_files_are_named_by_what_tells_them_apart():
    files = ["/data/a/1.png", "/data/b/1.png", "/data/b/c/2.png"]
    images = Images(files=files)
    names = [images.picture(f"file-{number}").name for number in range(3)]
    assert names == ["a/1.png", "b/1.png", "b/c/2.png"]
    assert Images(files=["some/where/x.png"]).picture("file-0").name == "x.png"


def test_the_oldest_dropped_files_are_let_go():
    images = Images(max_dropped=250)
    names = [images.drop(Dropped(str(i), bytes([i]) * 100)) for i in range(5)]
    assert images.dropped_bytes == 200
    assert [p.image for p in images.page("", None, 0, 9).pictures] == names[3:]
    images.drop(Dropped("again", bytes([3]) * 100))
    assert [p.name for p in images.page("", None, 0, 9).pictures] == ["4", "again"]


def test_the_page_begins_with_test_images_unless_another_split_is_asked_for():
    splits = np.array(["train", "val", "test", "test"])
    dataset = Dataset(
        "d", ("a", "b"), ("0", "1", "2", "3"), np.array([0, 1, 0, 1]), splits,
        ArraySource(np.zeros((4, 4, 4, 1), np.uint8)), 1,
    )  # fmt: skip
    assert Images(dataset).first == "data-2"
    assert Images(dataset, begin_with="val").first == "data-1"
    assert [split.name for split in Images(dataset).splits] == ["test", "train", "val"]
    assert Images().first is None


def test_classes_that_the_network_does_not_have_leave_images_without_labels(capsys):
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    dataset = Dataset(
        "d", ("a", "c"), ("0",), np.array([1]), np.array([""]),
        ArraySource(np.zeros((1, 4, 4, 1), np.uint8)), 1,
    )  # fmt: skip
    with explore(Classifier("ab", module, VIEW, ("a", "b")), data=dataset, browser=False) as it:
        assert it._explorer.images.picture("data-0").label is None
    assert "without labels" in capsys.readouterr().err


def test_explored_is_a_link_in_a_notebook():
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with explore(Classifier("ab", module, VIEW, ("a", "b")), browser=False) as explored:
        assert f'href="{explored.url}"' in explored._repr_html_()
        assert Path(str(explored.url)).name.startswith("?token=")
    assert explored.close()
