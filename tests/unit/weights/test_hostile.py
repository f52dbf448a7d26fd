"""Malicious files are rejected with file, reason and remedy; nothing in them is executed."""

import subprocess
import sys
from pathlib import Path

import pytest

import hostile_weights
from convscope.base.errors import WeightsError
from convscope.runs.imported import import_weights
from convscope.weights.reading import open_weights

MEBIBYTES = 256


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    canary = folder / "canary"
    paths = hostile_weights.write_corpus(folder / "files", canary)
    yield paths
    assert not canary.exists()


@pytest.mark.parametrize("ending", hostile_weights.ENDINGS)
@pytest.mark.parametrize("around", ["bare", "zip", "legacy"])
@pytest.mark.parametrize("name", hostile_weights.pickles("x"))
def test_pickles_run_nothing(corpus, name, around, ending):
    path = corpus[0].with_name(f"{around}-{name}{ending}")
    with pytest.raises(WeightsError) as caught, open_weights(path):
        pass
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "; " in told.removeprefix(f"{path}: ")
    assert not (corpus[0].parents[1] / "canary").exists()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("bare-system.pth", "its pickle refers to os.system; none of it was executed"),
        ("zip-eval.h5", "its pickle refers to builtins.eval"),
        ("legacy-subprocess.bin", "its pickle refers to subprocess.Popen"),
        ("bare-inst.npz", "its pickle refers to os.system"),
        ("zip-persistent.pt", "its pickle uses PERSID"),
        ("zip-hash.pth", "neither text nor a number"),
        ("zip-module.pth", r"refers to torchvision.models.vgg.VGG; .* torch.save\(module.state_di"),
        ("script.pt", "TorchScript"),
        ("view-larger.pth", "larger than its storage"),
        ("view-repeated.pth", "larger than its storage"),
        ("storage-larger.pth", "larger than its storage"),
        ("storage-bomb.pth", "is compressed: 314,572,800 bytes in [0-9,]+"),
        ("members.pth", "list of members is too long|100,002 members"),
        ("legacy-larger.pth", "ends in the middle of a tensor"),
        ("objects.npz", "Python objects, which are pickles"),
        ("huge.npz", "not as large as its shape says"),
        ("external-link.h5", r"a link to another file \(.*outside.h5\)"),
        ("link.keras", "a link to another file"),
        ("soft-link.h5", "a soft link"),
        ("external-storage.h5", "has its numbers in another file"),
        ("virtual.h5", "a view of data in other files"),
        ("chunked.h5", "needs 4,000,000,000,000 bytes and has only 0"),
        ("never-written.h5", "needs 4,000,000,000,000 bytes and has only 0"),
        ("objects.h5", "not an array of numbers"),
        ("deflated.h5", "compressed or filtered; decompress it: h5repack -f NONE"),
        ("circle.h5", "has two names"),
        ("bomb.keras", "compressed.*; extract model.weights.h5"),
        ("header-2-60.safetensors", "1,152,921,504,606,846,976 bytes, more than the file has"),
        ("overlap.safetensors", "safetensors refuses it"),
        ("beyond.safetensors", "safetensors refuses it"),
        ("nested.safetensors", "nested too deep"),
        ("nan.safetensors", "NaN is not valid in JSON"),
        ("twice.safetensors", "a key occurs twice"),
        ("text.pth", "not a weights file in a supported format"),
    ],
)  # fmt: skip
def test_the_message_says_why(corpus, file, reason):
    path = corpus[0].with_name(file)
    with pytest.raises(WeightsError, match=reason) as caught, open_weights(path):
        pass
    assert str(path) in str(caught.value)


def test_every_file_is_refused_with_file_and_remedy(corpus):
    for path in corpus:
        if path.suffix != ".pth" and path.name.startswith(("bare-", "zip-", "legacy-")):
            continue  # the same content under another name
        with pytest.raises(WeightsError) as caught:
            import_weights(path, "vgg16")
        told = str(caught.value)
        assert told.startswith(str(path))
        assert "; " in told or "\n" in told


@pytest.mark.slow
def test_no_file_takes_ten_seconds_and_all_of_them_little_memory(corpus):
    script = Path(hostile_weights.__file__)
    done = subprocess.run(
        [sys.executable, script, corpus[0].parent], capture_output=True, text=True, check=True
    )  # a file that takes more than ten seconds ends it by a signal
    *told, memory = done.stdout.splitlines()
    assert len(told) == len(corpus)
    assert not [line for line in told if line.endswith("accepted")]
    assert int(memory.removeprefix("memory ")) < MEBIBYTES
    assert not (corpus[0].parents[1] / "canary").exists()
