"""Pathways over HTTP: the core's own numbers."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.lenses.pathways.compute import pathways
from convscope.lenses.pathways.proof import prove
from explored import CLASSES

NUMBER = 7


def test_the_answer_is_the_cores(client, running):
    record = running.trace(NUMBER)
    expected = pathways(record, 1, 3)
    found = client.get(
        "/api/pathways", params={"image": f"data-{NUMBER}", "target": 1, "contrast": 3}
    ).json()
    assert found["classes"] == [1, 3]
    assert (found["target"], found["contrast"]) == tuple(CLASSES[1:4:2])
    with torch.no_grad():
        logits = running.classifier.module(running.images(NUMBER))[0].tolist()
    both = [found["logit"], found["contrast_logit"]]
    assert both == [logits[1], logits[3]]
    assert found["predicted_class"] == int(np.argmax(logits))
    assert len(found["layers"]) == len(expected.layers)
    for one, layer in zip(found["layers"], expected.layers, strict=True):
        assert one["drawn"] == list(layer.drawn)
        units = {unit["unit"]: unit for unit in found["units"] if unit["layer"] == layer.name}
        assert set(one["drawn"]) <= set(units)
        for number, unit in units.items():
            pair = [unit["contribution"], unit["contrast_contribution"]]
            assert pair == layer.channels[:, number].tolist()
        for which in (0, 1):
            total = one["sums"][which] + one["bias_shares"][which] + one["residues"][which]
            assert total == pytest.approx(both[which], abs=1e-9)
            parts = one["drawn_sums"][which] + one["other_sums"][which]
            assert parts == pytest.approx(one["sums"][which], abs=1e-9)


def test_the_proof_is_the_cores(client, running):
    record = running.trace(NUMBER)
    expected = prove(record, pathways(record, 1, 3))
    found = client.get(
        "/api/pathways", params={"image": f"data-{NUMBER}", "target": 1, "contrast": 3}
    ).json()["proofs"]
    assert len(found) == len(expected) > 0
    for one, proof in zip(found, expected, strict=True):
        assert (one["layer"], one["by"], one["verdict"]) == (proof.layer, proof.by, proof.verdict)
        assert one["switched"] == [list(unit) for unit in proof.switched]
        assert one["drop"] == pytest.approx(proof.drop, abs=1e-6)
        assert one["random_mean"] == pytest.approx(proof.random_mean, abs=1e-6)
        assert one["better"] == (proof.beats_random and proof.beats_activation)


def test_contributions_come_as_maps(client, running):
    expected = pathways(running.trace(NUMBER), 1, 3).layers[0]
    query = {"image": f"data-{NUMBER}", "target": 1, "contrast": 3, "array": expected.name}
    response = client.get("/api/pathways/array", params=query)
    shape = tuple(map(int, response.headers["x-shape"].split(",")))
    maps = np.frombuffer(response.content, "<f4").reshape(shape)
    shown = expected.contributions[0][list(expected.drawn)].reshape(shape)
    assert np.array_equal(maps, shown.astype(np.float32))


def test_an_array_that_there_is_not_is_named(client):
    query = {"image": f"data-{NUMBER}", "array": "features.99"}
    response = client.get("/api/pathways/array", params=query)
    assert response.status_code == 404
    assert "there are" in response.json()["error"]


def test_the_picture_is_the_commands(client):
    response = client.get("/api/pathways/picture", params={"image": f"data-{NUMBER}"})
    assert response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"target": 5}, "target"),
        ({"target": 1, "contrast": 1}, "contrast"),
        ({"contrast": 9}, "contrast"),
    ],
)
def test_classes_that_there_are_not_are_refused(client, query, named):
    response = client.get("/api/pathways", params={"image": "data-1", **query})
    assert response.status_code == 422
    assert named in response.json()["error"]
