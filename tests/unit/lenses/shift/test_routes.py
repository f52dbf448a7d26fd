"""What networks say of moved images: beside plain torch and the tables of `convscope shift`."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import convscope
import explored
from convscope.base.errors import ConvscopeError
from convscope.lenses.shift.compute import shift_tables, shifted

NUMBER = 7


@pytest.fixture(scope="module")
def networks(running):
    return [running.classifier, explored.dense()]


def seen(running):
    preprocess = running.classifier.preprocess
    return preprocess.centre(preprocess.canvas(running.dataset.image(NUMBER, 3)))


@pytest.mark.parametrize("border", ["zero", "edge", "reflect", "circular"])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, -2), (-15, 15)])
def test_each_network_sees_the_moved_image(client, running, networks, dx, dy, border):
    query = {"image": f"data-{NUMBER}", "dx": dx, "dy": dy, "border": border}
    found = client.get("/api/moved", params=query).json()
    pixels = seen(running)[None]
    both = np.concatenate([pixels, shifted(pixels, dx, dy, border)])
    label = int(running.dataset.labels[NUMBER])
    assert [one["run"] for one in found["said"]] == ["explored", "dense"]
    for one, network in zip(found["said"], networks, strict=True):
        with torch.no_grad():
            logits = network.module(network.preprocess.normalise(both))
        shares = torch.softmax(logits, 1).double()
        assert one["probabilities"] == pytest.approx(shares[1].tolist(), rel=1e-6)
        assert [one["unmoved"], one["predicted"]] == logits.argmax(1).tolist()
        assert one["followed"] == label
        assert one["share"] == pytest.approx(float(shares[1, label]), rel=1e-6)
        assert one["share_unmoved"] == pytest.approx(float(shares[0, label]), rel=1e-6)
    picture = client.get("/api/moved/picture", params=query)
    drawn = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert (drawn == both[1]).all()


def test_without_a_label_what_the_network_says_unmoved_is_followed(client):
    found = client.get("/api/moved", params={"image": "file-0", "dx": 2}).json()
    assert not found["labelled"]
    assert all(one["followed"] == one["unmoved"] for one in found["said"])


@pytest.mark.parametrize("run", [0, 1])
def test_a_map_is_the_table_of_that_image(client, running, networks, run):
    query = {"image": f"data-{NUMBER}", "run": run, "border": "reflect"}
    found = client.get("/api/moved/map", params=query).json()
    label = running.dataset.labels[[NUMBER]]
    image = running.dataset.image(NUMBER, 3)
    table = shift_tables([networks[run]], [image], label, max_shift=8, border="reflect")[0]
    assert (found["reach"], found["step"]) == (8, 1)
    assert found["predicted"] == table.predicted[0].tolist()
    assert np.allclose(found["probability"], table.probability[0], rtol=1e-5)
    assert found["same"] == (table.predicted[0] == table.predicted[0, 8, 8]).mean()


def test_switched_off_units_are_those_of_the_explored_network(client, running):
    query = {"image": f"data-{NUMBER}", "dx": 1}
    whole = client.get("/api/moved", params=query).json()["said"]
    off = client.get("/api/moved", params={**query, "off": '[["fc1", 2], ["block", 1]]'}).json()
    assert whole[1] == off["said"][1]
    assert whole[0]["probabilities"] != off["said"][0]["probabilities"]


def test_the_laboratory_has_the_study_of_the_run(client, running):
    found = client.get("/api/laboratory").json()
    assert found["runs"] == ["explored", "dense"]
    for one, entry in zip(found["study"], running.study, strict=True):
        assert (one["run"], one["images"], one["reach"]) == (entry["run"], entry["n"], 2)
        assert one["accuracy_grid"] == entry["accuracy_grid"]
        low, high = entry["consistency_interval"]
        assert one["consistency"] == {"value": entry["consistency"], "low": low, "high": high}


@pytest.mark.parametrize(
    ("route", "query", "named"),
    [
        ("moved", {"dx": 16}, "dx"),
        ("moved", {"dy": -16}, "dy"),
        ("moved", {"border": "moon"}, "border"),
        ("moved/map", {"run": 2}, "run"),
        ("moved/picture", {"dx": "x"}, "dx"),
    ],
)
def test_what_cannot_be_moved_is_refused(client, route, query, named):
    response = client.get(f"/api/{route}", params={"image": "data-1", **query})
    assert response.status_code == 422
    assert named in response.json()["error"]


def test_networks_that_see_other_pixels_cannot_stand_beside_each_other(running):
    other = convscope.build_model("vgg-small", num_classes=5, seed=0)
    with pytest.raises(ConvscopeError, match=r"other cannot stand beside explored: .*size"):
        convscope.explore(running.classifier, browser=False, beside={"other": other})
