"""`convscope arithmetic`: the numbers are the API's, and every wrong input says what is wrong."""

import json
import shutil

import pytest
import torch

import convscope as api
from convscope.console.source import classifier_of
from convscope.graph.capture import capture
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.ledger.ledger import worked
from convscope.graph.trace import trace
from convscope.images.files import read_image

SOBEL = [[3, 27, 16, 26], [-8, 60, 24, 8], [22, 45, -5, -41], [66, 1, -39, -63]]


@pytest.fixture(scope="module")
def image(images):
    return images / "04.png"


def traced(source, image, target=None):
    classifier = classifier_of(str(source))
    preprocess = classifier.preprocess
    batch = preprocess.batch([read_image(image, preprocess.channels)])
    targets = None if target is None else torch.tensor([target])
    return trace(capture(classifier.module, batch), batch, targets)


@pytest.fixture(scope="module")
def record(trained, image):
    return traced(trained, image)


def first(record, kind):
    return next(node.name for node in record.graph.nodes if node.kind == kind)


def read(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_constant=pytest.fail)


def test_without_options_the_logit_of_the_predicted_class(convscope, trained, image, record):
    done = read(convscope("arithmetic", trained, image, "--json"))
    assert done["layer"] == record.graph.logits
    assert done["index"] == [int(record.logits[0].argmax())]
    assert done["agrees"]


@pytest.mark.parametrize("kind", ["input", "convolution", "batch_norm", "relu", "max_pool"])
def test_json_is_the_apis(convscope, trained, image, record, kind):
    layer = first(record, kind)
    index = tuple(side // 2 for side in record.graph[layer].output_shape)
    place = ("--layer", layer, "--channel", index[0], "--at", f"{index[1]},{index[2]}")
    done = read(convscope("arithmetic", trained, image, *place, "--json"))
    assert done == arithmetic(record, layer, index).as_json()
    text = convscope("arithmetic", trained, image, *place).stdout
    assert text == f"digits · {image.name}\n{worked(arithmetic(record, layer, index))}\n"


@pytest.mark.parametrize(
    "asked", [{}, {"channel": 2}, {"at": (1, 3)}, {"channel": 1, "at": (0, 0)}]
)
def test_what_is_left_open_is_the_strongest(convscope, trained, image, record, asked):
    layer = first(record, "max_pool")
    options = [] if "channel" not in asked else ["--channel", asked["channel"]]
    if "at" in asked:
        options += ["--at", "{}, {}".format(*asked["at"])]
    done = read(convscope("arithmetic", trained, image, "--layer", layer, *options, "--json"))
    channel, *spot = done["index"]
    output = record[layer].output[0]
    candidates = output[asked["channel"]][None] if "channel" in asked else output
    if "at" in asked:
        candidates = candidates[:, asked["at"][0], asked["at"][1]]
        assert tuple(spot) == asked["at"]
    assert channel == asked.get("channel", channel)
    assert done["value"] == float(output[tuple(done["index"])]) == float(candidates.max())


def test_softmax_and_cross_entropy(convscope, trained, image, record):
    predicted = int(record.logits[0].argmax())
    done = read(convscope("arithmetic", trained, image, "--layer", "softmax", "--json"))
    assert done == arithmetic(record, "softmax", predicted).as_json()
    done = read(
        convscope("arithmetic", trained, image, "--layer", "softmax", "--channel", 3, "--json")
    )
    assert done == arithmetic(record, "softmax", 3).as_json()
    loss = ("arithmetic", trained, image, "--layer", "cross_entropy", "--json")
    done = read(convscope(*loss))
    assert done == arithmetic(traced(trained, image, predicted), "cross_entropy", ()).as_json()
    name = api.load(trained).class_names[7]
    for target in (name, "7"):
        done = read(convscope(*loss, "--target", target))
        assert done == arithmetic(traced(trained, image, 7), "cross_entropy", ()).as_json()


def test_every_term(convscope, trained, image, record):
    logits = record.graph.logits
    few = convscope("arithmetic", trained, image).stdout
    every = convscope("arithmetic", trained, image, "--all").stdout
    count = record.graph[logits].input_shapes[0][0]
    assert "more terms" in few
    assert "more terms" not in every
    assert every.count(f"  {record.graph[logits].inputs[0]} [") == count


def test_a_model_by_name_is_untrained_and_says_so(convscope, image):
    done = convscope("arithmetic", "vgg-small", image)
    assert "vgg-small is untrained" in done.stderr
    assert done.stdout.startswith("vgg-small (untrained, seed 0) · ")
    assert "✓" in done.stdout
    record = traced("vgg-small", image)
    numbers = read(convscope("arithmetic", "vgg-small", image, "--json"))
    best = int(record.logits[0].argmax())
    assert numbers == arithmetic(record, record.graph.logits, best).as_json()


def test_the_guides_example(convscope):
    done = convscope("arithmetic", "--example", "sobel", "--json")
    assert done.returncode == 0
    assert done.stdout == json.dumps({"output": SOBEL}) + "\n"
    text = convscope("arithmetic", "--example", "sobel").stdout
    for row in SOBEL:
        assert "  " + " ".join(f"{value:>4}" for value in row) + "\n" in text
    (cell,) = (line for line in text.split("\n") if line.endswith(" = 3"))
    products = [part.strip("() ") for part in cell.removesuffix(" = 3").split(" + ")]
    factors = [tuple(map(int, product.split("·"))) for product in products]
    assert len(factors) == 9
    assert sum(a * b for a, b in factors) == 3
    assert [b for _, b in factors] == [1, 0, -1, 2, 0, -2, 1, 0, -1]
    assert "floor((6 + 2·0 - 1·(3-1) - 1)/1) + 1 = 4" in text


LAST = ("--layer", "LOGITS")
FIRST = ("--layer", "CONVOLUTION")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layer", "features.99"), "no layer 'features.99'; did you mean features"),
        ((*FIRST, "--channel", "99"), "--channel must be in 0..15, got 99"),
        ((*FIRST, "--channel", "-1"), "--channel must be in 0..15, got -1"),
        ((*FIRST, "--at", "99,0"), "the row of --at must be in 0.."),
        ((*FIRST, "--at", "0,-1"), "the column of --at must be in 0.."),
        ((*FIRST, "--at", "3"), "--at '3': give a row and a column, as in 10,12"),
        ((*FIRST, "--at", "a,b"), "--at 'a,b': give a row and a column"),
        ((*FIRST, "--at", "1,2,3"), "--at '1,2,3': give a row and a column"),
        ((*LAST, "--at", "0,0"), "without rows and columns; omit --at"),
        ((*LAST, "--channel", "10"), "--channel must be in 0..9, got 10"),
        (("--layer", "cross_entropy", "--channel", "0"), "is one number; omit --channel"),
        (("--layer", "cross_entropy", "--target", "cat"), "'cat' is not a class; there are 0, 1"),
        (("--layer", "cross_entropy", "--target", "10"), "'10' is not a class; there are 0, 1"),
        (("--layer", "cross_entropy", "--target", "-1"), "'-1' is not a class"),
        (("--target", "3"), "--target is for --layer cross_entropy"),
    ],
)
def test_places_that_do_not_exist(convscope, trained, image, record, options, message):
    names = {"LOGITS": record.graph.logits, "CONVOLUTION": first(record, "convolution")}
    done = convscope("arithmetic", trained, image, *(names.get(o, o) for o in options))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give MODEL_OR_RUN and an image file, or --example sobel"),
        (("vgg-small",), "give MODEL_OR_RUN and an image file"),
        (("--example", "prewitt"), "--example 'prewitt': there is one example, sobel"),
        (("vgg99", "IMAGE"), "unknown model 'vgg99'"),
        (("runs/gone", "IMAGE"), "runs/gone does not exist"),
        (("mlp", "gone.png"), "gone.png"),
        (("mlp", "TEXT"), "text.png"),
        (("mlp", "FOLDER"), "folder"),
        (("BROKEN", "IMAGE"), "broken"),
    ],
)
def test_wrong_input(convscope, trained, image, tmp_path, arguments, message):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder").mkdir()
    shutil.copytree(trained, tmp_path / "broken")
    for file in (tmp_path / "broken").rglob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[-5] ^= 1
        file.write_bytes(content)
    names = {
        "IMAGE": image,
        "TEXT": tmp_path / "text.png",
        "FOLDER": tmp_path / "folder",
        "BROKEN": tmp_path / "broken",
    }
    done = convscope("arithmetic", *(names.get(a, a) for a in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
