"""Training that starts from other weights, through the command line."""

import json
import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from convscope import load
from convscope.base.errors import DataError
from convscope.base.storage import read_json
from convscope.nets.catalog import build_module
from convscope.runs.checkpoint import load_checkpoint

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
SMALL = ("--set", "model.options.widths=[4,4,8]", "--set", "model.options.head=[8]")
QUICK = ("--batch", "8", "--set", "precision=float32", "--set", "data.size=32")


def colours(root, names, count=12):
    """A folder of plain images with a little noise: which class one is shows at once."""
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = np.random.default_rng([*name.encode(), number]).integers(-25, 25, (32, 32, 3))
            pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def source(tmp_path_factory, convscope):
    """A run that tells two colours apart."""
    root = tmp_path_factory.mktemp("source")
    data = colours(root / "data", ["blue", "red"])
    done = convscope("train", data, *QUICK, *SMALL, "--epochs", 4, "--out", root / "run")
    assert done.returncode == 0, done.stderr
    return root / "run"


def weights(run, name="best"):
    return load_checkpoint(run / "checkpoints" / f"{name}.safetensors").state().weights()


def test_a_run_goes_on_with_more_classes_matched_by_name(tmp_path, convscope, source):
    data = colours(tmp_path / "data", ["blue", "green", "red"])
    command = ("train", data, "--weights", source, *QUICK, "--epochs", 1, "--seed", 1)
    out = tmp_path / "run"
    done = convscope(*command, "--set", "optim.learning_rate=1e-30", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "44 of 46 tensors from the given weights" in done.stdout
    assert "classes matched by name: blue, red" in done.stdout
    before, after = weights(source), weights(out, "last")
    assert torch.equal(after["features.0.weight"], before["features.0.weight"])
    head = "classifier.3.weight"
    assert torch.equal(after[head][0], before[head][0])
    assert torch.equal(after[head][2], before[head][1])
    assert not after[head][1].abs().gt(1e-20).any()
    assert load(out).preprocess.mean == load(source).preprocess.mean
    recipe = read_json(out / "recipe.json")
    assert recipe["name"] == "finetune"
    assert recipe["weights"]["source"] == str(source)
    assert re.fullmatch("[0-9a-f]{64}", recipe["weights"]["sha256"])


def test_a_linear_probe_changes_the_last_layer_alone(tmp_path, convscope, source):
    data = colours(tmp_path / "data", ["green", "red"])
    out = tmp_path / "run"
    done = convscope(
        "train", data, "--weights", source, "--recipe", "linear-probe", *QUICK, "--epochs", 2,
        "--set", "model.options.head=[8]", "--out", out, "--json-log",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stage = next(json.loads(line) for line in done.stdout.splitlines() if '"stage"' in line)
    assert stage["frozen"] == stage["parameters"] - (8 * 2 + 2)
    assert stage["taken"]["classes"] == ["red"]
    before, after = weights(source), weights(out, "last")
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {"classifier.3.weight", "classifier.3.bias"}
    assert convscope("reproduce", out).returncode == 0


def test_a_file_gives_its_trunk_and_named_modules_stay(tmp_path, convscope):
    torch.manual_seed(3)
    network = build_module("vgg11", num_classes=None, input_shape=(3, 32, 32), init="he")
    path = tmp_path / "trunk.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    data = colours(tmp_path / "data", ["green", "red"], count=6)
    out = tmp_path / "run"
    done = convscope(
        "train", data, "--weights", path, "--model", "vgg11", *QUICK, "--epochs", 1,
        "--set", "model.options.head=[4]", "--freeze", "features", "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "16 of 20 tensors from the given weights" in done.stdout
    after = weights(out, "last")
    assert all(torch.equal(after[key], value) for key, value in network.state_dict().items())
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    done = convscope("reproduce", out)
    assert done.returncode == 2
    assert f"{path} is not what the run started from" in done.stderr


def test_wrong_weights_get_a_message(tmp_path, convscope, source, monkeypatch):
    data = colours(tmp_path / "data", ["green", "red"])
    (tmp_path / "no.pth").write_bytes(b"nothing of the kind")
    run = tmp_path / "run"
    for arguments, message in [
        (("--recipe", "finetune"), "finetune needs weights to start from"),
        (("--recipe", "linear-probe"), "linear-probe needs weights to start from"),
        (("--weights", tmp_path / "gone"), "does not exist"),
        (("--weights", tmp_path), "is no run folder"),
        (("--weights", tmp_path / "no.pth"), "no.pth"),
        (("--weights", source, "--model", "vgg11"), "features.1.weight"),
        (("--weights", source, "--freeze", "nothing"), "freeze: no module 'nothing'"),
        (
            ("--weights", source, "--freeze", "features", "--freeze", "classifier"),
            "nothing is left",
        ),
        (("--weights", source, "--recipe", "nope"), "unknown recipe 'nope'"),
        (("--freeze", "features.99"), "freeze: no module 'features.99'"),
    ]:
        done = convscope("train", data, *arguments, *QUICK, "--epochs", 1, "--out", run)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert not run.exists()


def test_the_official_weights_offline_say_where_to_put_them(tmp_path, convscope, monkeypatch):
    data = colours(tmp_path / "data", ["green", "red"])
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    done = convscope("train", data, "--weights", "imagenet", "--out", tmp_path / "run")
    assert done.returncode == 2
    place = tmp_path / "cache" / "weights" / "vgg16-397923af.pth"
    assert f"save it as {place}" in done.stderr
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in done.stderr


def test_numbers_for_names_meet_no_classes_called_by_numbers(tmp_path, convscope):
    """An import without class names numbers its classes; 0 and 1 of the data are others."""
    network = build_module("vgg11", num_classes=3, input_shape=(3, 32, 32), head=[4], init="he")
    path = tmp_path / "w.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    done = convscope(
        "import", path, "--model", "vgg11", "--set", "head=[4]", "--out", tmp_path / "imported"
    )
    assert done.returncode == 0, done.stderr
    data = colours(tmp_path / "data", ["green", "red"], count=6)
    (data / "green").rename(data / "0")
    (data / "red").rename(data / "1")
    done = convscope(
        "train", data, "--weights", tmp_path / "imported", *QUICK, "--epochs", 1,
        "--set", "optim.learning_rate=1e-30", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "classes matched by name" not in done.stdout
    assert not weights(tmp_path / "run", "last")["classifier.3.weight"].abs().gt(1e-20).any()


def test_a_linear_probe_of_another_family(tmp_path, convscope):
    data = colours(tmp_path / "data", ["green", "red"])
    small = ("--set", "model.options.hidden=[4]")
    done = convscope(
        "train", data, "--model", "mlp", *small, *QUICK, "--epochs", 1, "--out", tmp_path / "mlp"
    )
    assert done.returncode == 0, done.stderr
    done = convscope(
        "train", data, "--weights", tmp_path / "mlp", "--recipe", "linear-probe", *QUICK,
        "--epochs", 1, "--out", tmp_path / "probe",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "parameters are frozen" in done.stdout


def test_weights_that_do_not_fit_are_refused_before_images_are_read(tmp_path, convscope, source):
    data = colours(tmp_path / "data", ["green", "red"])
    (data / "red" / "0.png").write_bytes(b"would be told after reading")
    for more in ((), ("--dry-run",)):
        done = convscope(
            "train", data, "--weights", source, "--model", "vgg11", *more, "--json-log", *QUICK,
            "--out", tmp_path / "run",
        )  # fmt: skip
        assert done.returncode == 2
        assert "do not fit the network" in done.stderr
        assert "features.1.weight" in done.stderr
        assert done.stdout == ""
        assert not (tmp_path / "run").exists()


def test_a_download_of_official_weights_is_shown(tmp_path, convscope, monkeypatch):
    from convscope.cli import train
    from convscope.weights import official

    told = []

    @contextmanager
    def bar():
        yield lambda *progress: told.append(progress)

    def download(url, target, sha256, progress):
        progress(target.name, 1, 2)
        raise DataError("cut off")

    monkeypatch.setattr(train, "download_bar", bar)
    monkeypatch.setattr(official, "download", download)
    data = colours(tmp_path / "data", ["green", "red"])
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    out = ("--out", tmp_path / "run")
    assert convscope("train", data, "--weights", "imagenet", *out).returncode == 2
    assert told == [("vgg16-397923af.pth", 1, 2)]
    assert convscope("import", "imagenet", "--model", "vgg11", *out).returncode == 2
    assert told[1:] == [("vgg11-8a719046.pth", 1, 2)]
