"""Predictions for shifted images: beside plain torch and the tables of `convscope shift`."""

import asyncio
import io
import json
from dataclasses import replace

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

import convscope
import explored
from convscope.base.errors import ConvscopeError
from convscope.lenses.shift.compute import shift_tables, shifted
from convscope.server.app import build

NUMBER = 7


@pytest.fixture(scope="module")
def networks(running):
    return [running.classifier, explored.dense()]


def seen(running):
    preprocess = running.classifier.preprocess
    return preprocess.centre(preprocess.canvas(running.dataset.image(NUMBER, 3)))


@pytest.mark.parametrize("border", ["zero", "edge", "reflect", "wrap"])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, -2), (-15, 15)])
def test_each_network_sees_the_shifted_image(client, running, networks, dx, dy, border):
    query = {"image": f"data-{NUMBER}", "dx": dx, "dy": dy, "border": border}
    found = client.get("/api/shift/predictions", params=query).json()
    pixels = seen(running)[None]
    both = np.concatenate([pixels, shifted(pixels, dx, dy, border)])
    label = int(running.dataset.labels[NUMBER])
    assert [one["run"] for one in found["predictions"]] == ["explored", "dense"]
    for one, network in zip(found["predictions"], networks, strict=True):
        with torch.no_grad():
            logits = network.module(network.preprocess.normalise(both))
        shares = torch.softmax(logits, 1).double()
        assert one["probabilities"] == pytest.approx(shares[1].tolist(), rel=1e-6)
        assert [one["predicted_unshifted"], one["predicted"]] == logits.argmax(1).tolist()
        assert one["target"] == label
        assert one["target_probability"] == pytest.approx(float(shares[1, label]), rel=1e-6)
        assert one["target_probability_unshifted"] == pytest.approx(
            float(shares[0, label]), rel=1e-6
        )
    picture = client.get("/api/shift/picture", params=query)
    drawn = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert (drawn == both[1]).all()


def test_without_a_label_the_target_is_the_prediction_for_the_unshifted_image(client):
    found = client.get("/api/shift/predictions", params={"image": "file-0", "dx": 2}).json()
    assert not found["labelled"]
    assert all(one["target"] == one["predicted_unshifted"] for one in found["predictions"])


@pytest.mark.parametrize("run", [0, 1])
def test_a_map_is_the_table_of_that_image(client, running, networks, run):
    query = {"image": f"data-{NUMBER}", "run": run, "border": "reflect"}
    found = client.get("/api/shift/map", params=query).json()
    label = running.dataset.labels[[NUMBER]]
    image = running.dataset.image(NUMBER, 3)
    table = shift_tables([networks[run]], [image], label, max_shift=8, border="reflect")[0]
    assert (found["max_shift"], found["step"]) == (8, 1)
    assert found["predicted"] == table.predicted[0].tolist()
    assert np.allclose(found["target_probability"], table.probability[0], rtol=1e-5)
    assert found["same_class"] == (table.predicted[0] == table.predicted[0, 8, 8]).mean()


def test_switched_off_units_are_those_of_the_explored_network(client, running):
    query = {"image": f"data-{NUMBER}", "dx": 1}
    whole = client.get("/api/shift/predictions", params=query).json()["predictions"]
    off = client.get(
        "/api/shift/predictions", params={**query, "off": '[["fc1", 2], ["block", 1]]'}
    ).json()
    assert whole[1] == off["predictions"][1]
    assert whole[0]["probabilities"] != off["predictions"][0]["probabilities"]


def test_the_overview_has_the_study_of_the_run_as_its_file_has_it(client, running):
    found = client.get("/api/shift").json()
    assert found["runs"] == ["explored", "dense"]
    assert found["study"] == running.study
    file = running.folder.parent / "shift" / "all-zero-2" / "metrics.json"
    assert found["study"] == json.loads(file.read_text())
    assert list(found["borders"]) == ["zero", "edge", "reflect", "wrap"]
    assert found["borders"]["zero"] == "black pixels"
    assert found["largest_shift"] == explored.SIDE - 1
    assert found["command"] == f"convscope shift {running.folder.parent.name}"


def test_without_a_study_there_is_the_command_that_makes_one(running):
    app = build(replace(running.explorer, stored={}))

    async def asked():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/api/shift")).json()

    found = asyncio.run(asked())
    assert found["study"] == []
    assert found["command"].startswith("convscope shift ")


def test_circular_is_the_old_spelling_of_wrap(client):
    for route in ("predictions", "map"):
        query = {"image": f"data-{NUMBER}", **({"dx": 5} if route == "predictions" else {})}
        found = [
            client.get(f"/api/shift/{route}", params={**query, "border": border}).json()
            for border in ("wrap", "circular", "zero")
        ]
        assert found[0] == found[1] != found[2]
        assert found[0]["border"] == "wrap"


@pytest.mark.parametrize(
    ("route", "query", "named"),
    [
        ("predictions", {"dx": 16}, "dx"),
        ("predictions", {"dy": -16}, "dy"),
        ("predictions", {"border": "moon"}, "border"),
        ("map", {"run": 2}, "run"),
        ("map", {"border": "moon"}, "border"),
        ("picture", {"dx": "x"}, "dx"),
        ("picture", {"image": "data-999"}, "image"),
    ],
)
def test_what_cannot_be_shifted_is_refused(client, route, query, named):
    response = client.get(f"/api/shift/{route}", params={"image": "data-1", **query})
    assert response.status_code == (404 if "image" in query else 422)
    assert named in response.json()["error"]


def test_networks_that_see_other_pixels_cannot_stand_beside_each_other(running):
    other = convscope.build_model("vgg-small", num_classes=5, seed=0)
    with pytest.raises(ConvscopeError, match=r"other cannot stand beside explored: .*size"):
        convscope.explore(running.classifier, browser=False, beside={"other": other})
