"""`convscope atlas`: complete, continued where it stopped, and never stale."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import convscope as api
from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json
from convscope.explorer.subject import subject
from convscope.graph.graph_of import graph_of
from convscope.graph.trace import trace
from convscope.lenses.atlas import make as making
from convscope.lenses.atlas.files import read_atlas
from convscope.lenses.catalog import lens
from convscope.runs.data import images_of


@pytest.fixture(scope="module")
def made(convscope, trained, tmp_path_factory):
    """The atlas of a run on the digits, and what the command printed."""
    folder = tmp_path_factory.mktemp("atlas") / "digits"
    done = convscope("atlas", trained, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_every_channel_of_every_block_with_its_images(trained, made):
    folder, entries = made
    classifier = api.load(trained)
    dataset, split = images_of(trained, None, "test")
    graph = graph_of(classifier)
    layers = list(dict.fromkeys(entry["layer"] for entry in entries))
    assert [(e["layer"], e["channel"]) for e in entries] == [
        (name, channel) for name in layers for channel in range(graph[name].output_shape[0])
    ]
    images = classifier.preprocess.batch([dataset.image(i, 1) for i in range(len(dataset))])
    record = trace(graph, images, keep=layers)
    height, width = classifier.preprocess.size
    for entry in entries:
        maps = record[entry["layer"]].output[:, entry["channel"]].numpy()
        strongest = maps.max(axis=(1, 2))
        assert entry["dead"] == (strongest.max() <= 0)
        assert entry["active"] == pytest.approx((strongest > 0).mean())
        values = [spot["value"] for spot in entry["top"]]
        assert values == sorted(strongest[strongest > 0].tolist(), reverse=True)[:9]
        for spot in entry["top"]:
            row, column = spot["position"]
            assert maps[dataset.paths.index(spot["path"]), row, column] == spot["value"]
            y0, x0, y1, x1 = spot["crop"]
            assert 0 <= y0 < y1 <= height
            assert 0 <= x0 < x1 <= width
    assert read_atlas(folder).about.split == split
    with Image.open(folder / "hierarchy.png") as sheet:
        assert sheet.size[0] > 1000


def test_what_is_there_is_not_made_again(convscope, trained, made, monkeypatch):
    folder, _ = made
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    monkeypatch.setattr(making, "rank", None)
    done = convscope("atlas", trained, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "dead" in done.stdout
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


@pytest.mark.parametrize("moment", ["pass", "first layer", "last layer"])
def test_a_stopped_atlas_goes_on_to_the_same_bits(
    convscope, trained, made, tmp_path, monkeypatch, moment
):
    folder, whole = tmp_path / "atlas", made[0]
    monkeypatch.setattr(making, "_SAVE_SECONDS", 0.0)
    if moment == "pass":
        written = []
        real = making.write_pass

        def stop(*arguments):
            real(*arguments)
            written.append(len(arguments[3]))
            if len(written) == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(making, "write_pass", stop)
    else:
        real, left = making.write_layer, {"first layer": 1, "last layer": 3}[moment]

        def stop(*arguments):
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            real(*arguments)

        monkeypatch.setattr(making, "write_layer", stop)
    assert convscope("atlas", trained, "--out", folder).returncode != 0
    assert not (folder / "atlas.json").exists()
    monkeypatch.undo()
    counted = []
    reader = making._Reader.batches
    monkeypatch.setattr(
        making._Reader, "batches", lambda *a: counted.append(a[1]) or reader(*a)
    )  # fmt: skip
    assert convscope("atlas", trained, "--out", folder).returncode == 0
    assert counted[0] > 0
    for path in sorted(whole.glob("*.safetensors")):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert not (folder / "pass.safetensors").exists()


def test_other_weights_or_images_make_it_anew(convscope, trained, made, tmp_path):
    folder = tmp_path / "atlas"
    shutil.copytree(made[0], folder)
    other = tmp_path / "other"
    quick = ("--set", "model.options.widths=[4,4,4]", "--set", "precision=float32")
    trained_too = convscope("train", "digits", "--epochs", "1", *quick, "--out", other)
    assert trained_too.returncode == 0, trained_too.stderr
    before = read_atlas(folder).about
    assert convscope("atlas", other, "--out", folder).returncode == 0
    after = read_atlas(folder).about
    assert after.weights != before.weights
    assert not read_atlas(folder).is_of(graph_of(api.load(trained)))
    assert len(list(folder.glob("*.safetensors"))) == len(after.layers)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 255, (20, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_folder_of_images_without_classes(convscope, trained, photos, tmp_path):
    folder = tmp_path / "atlas"
    done = convscope("atlas", trained, "--data", photos, "--out", folder, "--project", 2, "--json")
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout)
    assert {spot["path"] for e in entries for spot in e["top"]} <= {f"{n}.png" for n in range(5)}
    assert all(entry["class"] is None and entry["selectivity"] is None for entry in entries)
    atlas = read_atlas(folder)
    assert len(atlas.layer(atlas.about.layers[0]).projections.channels) == 2
    Image.new("L", (20, 24), 99).save(photos / "3.png")
    assert atlas.changed(images_of(trained, str(photos), "test")[0]) == 1
    done = convscope("atlas", trained, "--data", photos, "--out", folder, "--project", 2)
    assert done.returncode == 0, done.stderr
    assert read_atlas(folder).digests != atlas.digests


def test_the_layers_are_given_one_by_one_or_separated_by_commas(convscope, trained, tmp_path):
    given = {
        "blocks": [], "two": ["--layer", "features.0", "--layer", "features.3"],
        "commas": ["--layer", "features.3, features.0"],
        "all": ["--layer", "convolutions", "--layer", "features.0"],
    }  # fmt: skip
    found = {}
    for name, options in given.items():
        folder = tmp_path / name
        done = convscope("atlas", trained, "--out", folder, "--project", 1, "--top", 1, *options)
        assert done.returncode == 0, done.stderr
        found[name] = read_atlas(folder).about.layers
        rows = done.stdout.splitlines()[1:-1]
        assert [row.split()[0] for row in rows] == found[name]
    assert found["two"] == found["commas"] == ["features.0", "features.3"]
    assert "features.0" in found["all"]
    assert len(found["all"]) > len(found["blocks"]) > 1


def test_the_table_is_that_of_the_entries(convscope, trained, made):
    folder, entries = made
    done = convscope("atlas", trained, "--out", folder)
    *rows, last = done.stdout.splitlines()[1:]
    for row, name in zip(rows, dict.fromkeys(entry["layer"] for entry in entries), strict=True):
        layer = [entry for entry in entries if entry["layer"] == name]
        values = [entry["selectivity"] or 0 for entry in layer]
        most = layer[int(np.argmax(values))]
        assert row.split() == [
            name, str(len(layer)), str(sum(entry["dead"] for entry in layer)),
            f"{np.median([entry['active'] for entry in layer]):.1%}",
            f"{most['channel']}:", most["class"], f"{most['selectivity']:.2f}", str(len(layer)),
        ]  # fmt: skip
    count = len(read_atlas(folder).paths)
    assert last == f"{count:,} images; hierarchy.png and the atlas: {folder}"


def test_by_default_it_is_stored_in_the_run_and_found_there(convscope, trained, photos, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    for options in ([], ["--data", photos]):
        done = convscope("atlas", run, "--project", 1, "--top", 1, *options)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (run / "atlas").iterdir()) == ["photos-all", "test"]
    looked_at = subject(api.load(run), title="run", trained=True)
    assert lens("atlas").stored(run, looked_at).folder == run / "atlas" / "photos-all"


def test_a_run_that_is_none(convscope, tmp_path):
    done = convscope("atlas", tmp_path / "nowhere")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "does not exist" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "features.99"], "did you mean"),
        (["--layer", "features.0,"], "layer"),
        (["--seed", "-1"], "seed"),
        (["--top", "101"], "top"),
        (["--split", "nowhere"], "unknown split"),
        (["--data", "nowhere"], "no folder or file"),
        (["--top", "0"], "top"),
        (["--project", "0"], "project"),
    ],
)
def test_wrong_arguments(convscope, trained, tmp_path, arguments, message):
    done = convscope("atlas", trained, *arguments, "--out", tmp_path / "atlas")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "atlas").exists()


def test_an_unreadable_image_is_named_and_nothing_is_half_made(
    convscope, trained, photos, tmp_path
):
    (photos / "2.png").write_bytes(b"no image")
    done = convscope("atlas", trained, "--data", photos, "--out", tmp_path / "atlas")
    assert done.returncode == 2
    assert "2.png" in done.stderr
    assert not (tmp_path / "atlas" / "atlas.json").exists()


def test_a_damaged_atlas_is_refused(made, tmp_path):
    folder = tmp_path / "atlas"
    shutil.copytree(made[0], folder)
    atlas = read_atlas(folder)
    path = next(folder.glob("00-*.safetensors"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConvscopeError, match=r"00-.*make it again"):
        atlas.layer(atlas.about.layers[0])
    (folder / "images.csv").unlink()
    with pytest.raises(ConvscopeError, match="damaged"):
        read_atlas(folder)
    assert read_json(folder / "atlas.json")["format"] == 1
