"""The routes of the atlas: what is stored of a channel, and single units of an image."""

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
from convscope.lenses.atlas.picture import colour_limit, projection_pixels
from convscope.lenses.atlas.result import channels_of

NUMBER = 7


def picture(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


def entry(client, layer, channel):
    return client.get("/api/atlas", params={"layer": layer, "channel": channel}).json()["entry"]


def test_a_channel_has_the_same_entry_as_in_the_json_of_the_command(client, running):
    layer = running.atlas.layer("stem.3")
    for channel, expected in enumerate(channels_of(running.atlas, layer)):
        found = entry(client, "stem.3", channel)["channel"]
        assert found == expected.model_dump(mode="json")
        assert (found["layer"], found["channel"]) == ("stem.3", channel)


def test_beside_it_stands_what_only_the_explorer_knows(client, running):
    layer = running.atlas.layer("stem.3")
    ranking = layer.ranking
    for channel in range(6):
        found = entry(client, "stem.3", channel)
        assert (found["data"], found["split"]) == ("images", "all")
        assert found["images"] == len(running.atlas.paths)
        assert found["exact"] == layer.exact
        means = ranking.class_total[:, channel] / ranking.class_count
        assert [one["mean"] for one in found["classes"]] == means.tolist()
        assert [one["images"] for one in found["classes"]] == ranking.class_count.tolist()
        assert len(found["top"]) == len(found["channel"]["top"]) == 9
        for one, top in zip(found["top"], found["channel"]["top"], strict=True):
            place = int(one["image"].removeprefix("data-"))
            assert running.dataset.paths[place] == top["path"]
            label = running.dataset.labels[place]
            assert one["label"] == running.dataset.class_names[label]


def test_top_images_are_shown_as_patches_and_projections(client, running):
    layer = running.atlas.layer("stem.3")
    preprocess = running.classifier.preprocess
    query = {"layer": "stem.3", "channel": 2, "rank": 1}
    image = running.dataset.image(
        running.dataset.paths.index(running.atlas.paths[layer.ranking.images[2, 1]]), 3
    )
    y0, x0, y1, x1 = layer.crops[2, 1]
    seen = preprocess.centre(preprocess.canvas(image))[y0:y1, x0:x1]
    assert (picture(client.get("/api/atlas/picture", params=query)) == seen).all()
    place = layer.projections.channels.tolist().index(2)
    values = layer.projections.shares[place, 1, :, : y1 - y0, : x1 - x0].astype(np.float32)
    values *= layer.projections.scales[place, 1]
    drawn = picture(client.get("/api/atlas/picture", params={**query, "kind": "projection"}))
    assert (drawn == projection_pixels(values)).all()
    top = entry(client, "stem.3", 2)["top"][1]
    assert top["largest"] == np.abs(values).max()
    assert top["colour_limit"] == colour_limit(values)


@pytest.mark.parametrize("off", [[], [["stem.0", 1], ["block", 3]]])
@pytest.mark.parametrize("at", [None, (2, 5)])
def test_a_unit_of_this_image_is_projected(client, running, off, at):
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
    found = client.get("/api/atlas/unit", params=query).json()
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
    assert found["colour_limit"] == pytest.approx(colour_limit(inside), rel=1e-6)
    drawn = picture(client.get("/api/atlas/unit/picture", params=query))
    assert (drawn == projection_pixels(inside)).all()
    patch = picture(client.get("/api/atlas/unit/picture", params={**query, "kind": "patch"}))
    assert patch.shape == drawn.shape


def test_a_layer_that_the_atlas_does_not_have(client, running):
    found = client.get("/api/atlas", params={"layer": "strided", "channel": 0}).json()
    assert found["entry"] is None
    assert "does not have the layer strided" in found["reason"]
    assert found["command"] is None
    assert found["layers"] == running.atlas.about.layers


def test_without_an_atlas_the_command_that_makes_one_is_shown(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with (
        convscope.explore(explored.classifier(), run=run, browser=False) as handle,
        httpx.Client(base_url=handle.url.split("/?")[0], follow_redirects=True) as client,
    ):
        assert client.get(handle.url).status_code == 200
        query = {"layer": "block", "channel": 0}
        assert client.get("/api/atlas", params=query).json() == {
            "entry": None,
            "reason": "explored has no atlas yet: its top images were not computed.",
            "command": "convscope atlas run",
            "layers": [],
        }
        assert client.get("/api/atlas/picture", params={**query, "rank": 0}).status_code == 404


def test_a_damaged_layer_is_the_reason(tmp_path):
    explored.write_images(tmp_path / "images", per_class=1)
    classifier = explored.classifier()
    dataset = convscope.open_dataset(str(tmp_path / "images")).aligned_to(explored.CLASSES)
    atlas = explored.write_atlas(tmp_path, classifier, dataset)
    next(atlas.folder.glob("*-stem.3.safetensors")).write_bytes(b"cut")
    with (
        convscope.explore(classifier, run=tmp_path, browser=False) as handle,
        httpx.Client(base_url=handle.url.split("/?")[0], follow_redirects=True) as client,
    ):
        assert client.get(handle.url).status_code == 200
        found = client.get("/api/atlas", params={"layer": "stem.3", "channel": 0}).json()
        assert found["entry"] is None
        assert "damaged" in found["reason"]
        assert entry(client, "block", 0)["channel"]["layer"] == "block"


def test_two_explorers_do_not_share_the_layers_that_they_have_read(tmp_path):
    """The layer is kept by the explorer: nothing outlives it, and no other one sees it."""
    found = []
    for number in range(2):
        folder = tmp_path / str(number)
        explored.write_images(folder / "images", per_class=1 + number)
        classifier = explored.classifier()
        dataset = convscope.open_dataset(str(folder / "images")).aligned_to(explored.CLASSES)
        explored.write_atlas(folder, classifier, dataset)
        with (
            convscope.explore(classifier, run=folder, browser=False) as handle,
            httpx.Client(base_url=handle.url.split("/?")[0], follow_redirects=True) as client,
        ):
            assert client.get(handle.url).status_code == 200
            found.append(entry(client, "block", 0)["images"])
            assert list(handle._explorer._last) == ["atlas layer"]
    assert found == [5, 10]


def test_an_image_that_changed_since_is_not_shown_for_the_one_that_was(client, running):
    layer = running.atlas.layer("block")
    path = running.folder / running.atlas.paths[layer.ranking.images[0, 0]]
    content = path.read_bytes()
    query = {"layer": "block", "channel": 0, "rank": 0}
    try:
        Image.new("RGB", (20, 16)).save(path)
        response = client.get("/api/atlas/picture", params=query)
        assert response.status_code == 404
        assert "changed" in response.json()["error"]
    finally:
        path.write_bytes(content)
    assert client.get("/api/atlas/picture", params=query).status_code == 200


@pytest.mark.parametrize(
    ("route", "query", "named"),
    [
        ("atlas", {"layer": "fc1", "channel": 0}, "fc1"),
        ("atlas", {"layer": "input", "channel": 0}, "input"),
        ("atlas", {"layer": "block", "channel": 6}, "channel"),
        ("atlas", {"layer": "nowhere", "channel": 0}, "nowhere"),
        ("atlas/picture", {"layer": "block", "channel": 0, "rank": 9}, "rank"),
        ("atlas/picture", {"layer": "block", "channel": 0, "rank": 0, "kind": "x"}, "kind"),
        ("atlas/picture", {"layer": "strided", "channel": 0, "rank": 0}, "strided"),
        ("atlas/unit", {"layer": "block", "channel": 0, "image": "data-1", "at": "8,0"}, "at"),
        ("atlas/unit", {"layer": "block", "channel": 0, "image": "data-1", "at": "1"}, "at"),
        ("atlas/unit", {"layer": "block", "channel": 0, "image": "data-999"}, "image"),
        ("atlas/unit/picture", {"layer": "block", "channel": 0, "image": "data-1", "kind": "x"},
         "kind"),
        ("atlas/unit", {"layer": "softmax", "channel": 0, "image": "data-1"}, "softmax"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(client, route, query, named):
    response = client.get(f"/api/{route}", params=query)
    assert response.status_code in (404, 422)
    assert named in response.json()["error"]


@pytest.mark.parametrize("way", ["a folder", "files"])
def test_the_top_images_of_photos_without_classes_are_shown(tmp_path, way):
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
        found = client.get("/api/atlas", params=query).json()["entry"]
        layer = atlas.layer("stem.3")
        assert len(found["top"]) == 9
        assert found["channel"]["class"] is None
        assert found["classes"] == []
        for rank, (one, top) in enumerate(zip(found["top"], found["channel"]["top"], strict=True)):
            pixels = dataset.image(int(layer.ranking.images[2, rank]), 3)
            y0, x0, y1, x1 = top["crop"]
            seen = classifier.preprocess.centre(classifier.preprocess.canvas(pixels))[y0:y1, x0:x1]
            shown = client.get("/api/atlas/picture", params={**query, "rank": rank})
            assert (picture(shown) == seen).all()
            opened = client.get("/api/picture", params={"image": one["image"]})
            assert opened.status_code == 200
