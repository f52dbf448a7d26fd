"""Pathways over the wire: the core's own numbers, for the network with all units on."""

import numpy as np
import pytest
import torch

from convscope.lenses.pathways.compute import pathways
from convscope.lenses.pathways.proof import prove

NUMBER = 7


def test_the_graph_is_the_cores(client, running):
    record = running.trace(NUMBER)
    expected = pathways(record, 1, 3)
    found = client.get(
        "/api/pathways", params={"image": f"data-{NUMBER}", "target": 1, "contrast": 3}
    ).json()
    assert (found["target"], found["contrast"]) == (1, 3)
    with torch.no_grad():
        logits = running.classifier.module(running.images(NUMBER))[0].tolist()
    assert found["logits"] == [logits[1], logits[3]]
    assert found["predicted"] == int(np.argmax(logits))
    assert len(found["layers"]) == len(expected.layers)
    for one, layer in zip(found["layers"], expected.layers, strict=True):
        assert [unit["unit"] for unit in one["units"]] == list(layer.shown)
        for unit in one["units"]:
            assert unit["contribution"] == layer.channels[:, unit["unit"]].tolist()
        for which in (0, 1):
            total = one["carried"][which] + one["bias_share"][which] + one["residue"][which]
            assert total == pytest.approx(found["logits"][which], abs=1e-9)
            assert one["drawn"][which] + one["others"][which] == pytest.approx(
                one["carried"][which], abs=1e-9
            )


def test_the_proof_is_the_cores(client, running):
    record = running.trace(NUMBER)
    expected = prove(record, pathways(record, 1, 3))
    found = client.get(
        "/api/pathways/proof", params={"image": f"data-{NUMBER}", "target": 1, "contrast": 3}
    ).json()
    assert len(found) == len(expected) > 0
    for one, proof in zip(found, expected, strict=True):
        assert (one["layer"], one["by"], one["verdict"]) == (proof.layer, proof.by, proof.verdict)
        assert one["switched"] == [list(unit) for unit in proof.switched]
        assert one["drops"][0]["target"] == pytest.approx(proof.drop, abs=1e-6)
        assert one["random_mean"] == pytest.approx(proof.random_mean, abs=1e-6)
        assert one["better"] == (proof.beats_random and proof.beats_activation)


def test_contributions_come_as_maps(client, running):
    expected = pathways(running.trace(NUMBER), 1, 3).layers[0]
    query = {"image": f"data-{NUMBER}", "target": 1, "contrast": 3, "layer": expected.name}
    response = client.get("/api/pathways/maps", params=query)
    shape = tuple(map(int, response.headers["x-shape"].split(",")))
    maps = np.frombuffer(response.content, "<f4").reshape(shape)
    shown = expected.contributions[0][list(expected.shown)].reshape(shape)
    assert np.array_equal(maps, shown.astype(np.float32))


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
