"""What a channel looks for: the atlas as it was stored, and single units sent back."""

import io

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

import convscope
import explored
from convscope.data.catalog import open_images
from convscope.graph.backward import backward
from convscope.graph.geometry import receptive_fields
from convscope.lenses.atlas.picture import full_from, projection_pixels

NUMBER = 7


def picture(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


def test_a_card_says_what_the_atlas_has(client, running):
    layer = running.atlas.layer("stem.3")
    ranking = layer.ranking
    selectivity, best = ranking.selectivity()
    for channel in range(6):
        card = client.get("/api/card", params={"layer": "stem.3", "channel": channel}).json()
        ranked = card["ranked"]
        assert ranked["images"] == len(running.atlas.paths)
        assert ranked["dead"] == ranking.dead[channel]
        assert (ranked["active"], ranked["mean"], ranked["high"]) == (
            ranking.share[channel], ranking.mean[channel], ranking.largest[channel],
        )  # fmt: skip
        assert ranked["selectivity"] == (None if best[channel] < 0 else selectivity[channel])
        means = ranking.class_total[:, channel] / ranking.class_count
        assert [one["mean"] for one in ranked["classes"]] == means.tolist()
        there = ranking.images[channel] >= 0
        assert [one["value"] for one in ranked["winners"]] == ranking.strengths[channel][
            there
        ].tolist()
        for one in ranked["winners"]:
            assert one["path"] == running.atlas.paths[ranking.images[channel, one["rank"]]]
            known = running.dataset.paths[int(one["image"].removeprefix("data-"))]
            assert known == one["path"]
            assert one["crop"] == layer.crops[channel, one["rank"]].tolist()


def test_winners_are_shown_as_patches_and_projections(client, running):
    layer = running.atlas.layer("stem.3")
    preprocess = running.classifier.preprocess
    query = {"layer": "stem.3", "channel": 2, "rank": 1}
    image = running.dataset.image(
        running.dataset.paths.index(running.atlas.paths[layer.ranking.images[2, 1]]), 3
    )
    y0, x0, y1, x1 = layer.crops[2, 1]
    seen = preprocess.centre(preprocess.canvas(image))[y0:y1, x0:x1]
    assert (picture(client.get("/api/card/picture", params=query)) == seen).all()
    place = layer.projections.channels.tolist().index(2)
    values = layer.projections.shares[place, 1, :, : y1 - y0, : x1 - x0].astype(np.float32)
    values *= layer.projections.scales[place, 1]
    drawn = picture(client.get("/api/card/picture", params={**query, "kind": "projection"}))
    assert (drawn == projection_pixels(values)).all()
    winner = client.get("/api/card", params=query).json()["ranked"]["winners"][1]
    assert winner["largest"] == np.abs(values).max()
    assert winner["full"] == full_from(values)


@pytest.mark.parametrize("off", [[], [["stem.0", 1], ["block", 3]]])
@pytest.mark.parametrize("at", [None, (2, 5)])
def test_a_unit_of_this_image_is_sent_back(client, running, off, at):
    masks = {}
    for name, unit in off:
        masks[name] = torch.ones(6, 1, 1)
        masks[name][unit] = 0
    record = running.trace(NUMBER, edits=masks)
    values = record["block"].output[0, 4]
    best = divmod(int(values.argmax()), values.shape[1])
    y, x = at or best
    query = {"image": f"data-{NUMBER}", "layer": "block", "channel": 4}
    query |= {"off": str(off).replace("'", '"')} if off else {}
    query |= {"at": f"{y},{x}"} if at else {}
    found = client.get("/api/projected", params=query).json()
    assert (found["at"], found["strongest"]) == ([y, x], list(best))
    assert found["value"] == float(values[y, x])
    field = receptive_fields(record.graph)["block"]
    (y0, y1), (x0, x1) = field.rows[y].tolist(), field.columns[x].tolist()
    assert found["crop"] == [y0, x0, y1, x1]
    seed = torch.zeros(record["block"].output.shape[1:])
    seed[4, y, x] = 1
    signal = (backward(record, "block", seed, "deconvnet")[0] * values[y, x]).numpy()
    inside = signal[:, y0:y1, x0:x1]
    assert np.abs(signal).sum() == pytest.approx(np.abs(inside).sum())
    assert found["largest"] == pytest.approx(np.abs(inside).max(), rel=1e-6)
    drawn = picture(client.get("/api/projected/picture", params=query))
    assert (drawn == projection_pixels(inside)).all()
    patch = picture(client.get("/api/projected/picture", params={**query, "kind": "patch"}))
    assert patch.shape == drawn.shape


def test_layers_without_atlas_say_so_and_name_those_that_have_one(client, running):
    card = client.get("/api/card", params={"layer": "strided", "channel": 0}).json()
    assert card["ranked"] is None
    assert "other layers" in card["reason"]
    assert card["layers"] == running.atlas.about.layers


def test_an_image_that_changed_since_is_not_shown_for_the_one_that_was(client, running):
    layer = running.atlas.layer("block")
    path = running.folder / running.atlas.paths[layer.ranking.images[0, 0]]
    content = path.read_bytes()
    query = {"layer": "block", "channel": 0, "rank": 0}
    try:
        Image.new("RGB", (20, 16)).save(path)
        response = client.get("/api/card/picture", params=query)
        assert response.status_code == 404
        assert "changed" in response.json()["error"]
    finally:
        path.write_bytes(content)
    assert client.get("/api/card/picture", params=query).status_code == 200


@pytest.mark.parametrize(
    ("route", "query", "named"),
    [
        ("card", {"layer": "fc1", "channel": 0}, "fc1"),
        ("card", {"layer": "input", "channel": 0}, "input"),
        ("card", {"layer": "block", "channel": 6}, "channel"),
        ("card", {"layer": "nowhere", "channel": 0}, "nowhere"),
        ("card/picture", {"layer": "block", "channel": 0, "rank": 9}, "rank"),
        ("card/picture", {"layer": "block", "channel": 0, "rank": 0, "kind": "x"}, "kind"),
        ("card/picture", {"layer": "strided", "channel": 0, "rank": 0}, "strided"),
        ("projected", {"layer": "block", "channel": 0, "image": "data-1", "at": "8,0"}, "at"),
        ("projected", {"layer": "block", "channel": 0, "image": "data-1", "at": "1"}, "at"),
        ("projected", {"layer": "block", "channel": 0, "image": "data-999"}, "image"),
        ("projected", {"layer": "softmax", "channel": 0, "image": "data-1"}, "softmax"),
    ],
)
def test_what_cannot_be_shown_is_refused(client, route, query, named):
    response = client.get(f"/api/{route}", params=query)
    assert response.status_code in (404, 422)
    assert named in response.json()["error"]


@pytest.mark.parametrize("way", ["a folder", "files"])
def test_the_strongest_of_photos_without_classes_are_shown(tmp_path, way):
    photos = tmp_path / "photos"
    photos.mkdir()
    explored.write_images(tmp_path / "labelled", per_class=2)
    for number, file in enumerate(sorted((tmp_path / "labelled").glob("*/*.png"))):
        file.rename(photos / f"{number}.png")
    classifier = explored.classifier()
    dataset = open_images(str(photos))
    assert dataset.class_names == ()
    atlas = explored.write_atlas(tmp_path, classifier, dataset)
    paths = sorted(str(file) for file in photos.iterdir())
    given = {"data": photos} if way == "a folder" else {"images": paths}
    with (
        convscope.explore(classifier, **given, run=tmp_path, browser=False) as handle,
        httpx.Client(base_url=handle.url.split("/?")[0], follow_redirects=True) as client,
    ):
        assert client.get(handle.url).status_code == 200
        gallery = client.get("/api/gallery").json()
        assert [one["label"] for one in gallery["pictures"]] == [None] * 10
        query = {"layer": "stem.3", "channel": 2}
        winners = client.get("/api/card", params=query).json()["ranked"]["winners"]
        layer = atlas.layer("stem.3")
        assert len(winners) == 9
        for one in winners:
            place = layer.ranking.images[2, one["rank"]]
            pixels = dataset.image(int(place), 3)
            y0, x0, y1, x1 = one["crop"]
            seen = classifier.preprocess.centre(classifier.preprocess.canvas(pixels))[y0:y1, x0:x1]
            shown = client.get("/api/card/picture", params={**query, "rank": one["rank"]})
            assert (picture(shown) == seen).all()
            opened = client.get("/api/picture", params={"image": one["image"]})
            assert opened.status_code == 200
