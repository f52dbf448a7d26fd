"""Names and layouts of other libraries, and mismatches."""

import h5py
import numpy as np
import pytest
import torch

from convscope.base.errors import ConvscopeError, WeightsError
from convscope.nets.catalog import build_module
from convscope.runs.imported import import_weights
from convscope.weights.fitting import _by_number

NAME = "vgg-small"


def module(num_classes=5, shape=(3, 32, 32)):
    return build_module(NAME, num_classes=num_classes, input_shape=shape).eval()


@pytest.fixture
def saved(tmp_path):
    """Saves tensors as a file of torch.save and gives its path."""

    def save(tensors, **options):
        path = tmp_path / "weights.pth"
        torch.save(tensors, path, **options)
        return path

    return save


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": tensors, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda tensors: {"model": {f"module.{name}": value for name, value in tensors.items()}},
        lambda tensors: {name: torch.nn.Parameter(v.float()) for name, v in tensors.items()
                         if not name.endswith("tracked")},
    ],
    ids=["plain", "wrapped", "prefixed", "parameters"],
)  # fmt: skip
def test_files_of_torch_give_the_same_module(saved, wrap, zipped):
    theirs = module()
    path = saved(wrap(theirs.state_dict()), _use_new_zipfile_serialization=zipped)
    imported = import_weights(path, NAME)
    assert same(imported.classifier.module, theirs)
    assert imported.classifier.class_names == ("0", "1", "2", "3", "4")
    assert imported.match.missing == imported.match.unexpected == ()


def test_views_half_precision_and_column_order_are_read_as_they_are(saved):
    tensors = module().state_dict()
    name = "classifier.0.weight"
    expected = tensors[name].half().float()
    tensors[name] = torch.cat([torch.zeros(3), tensors[name].half().t().flatten()])[3:].view(
        tensors[name].shape[::-1]
    ).t()  # fmt: skip
    tensors[name] = tensors[name].half()
    found = import_weights(saved(tensors), NAME).classifier.module.state_dict()[name]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("side", [16, 48])
def test_the_inputs_side_and_the_classes_are_those_of_the_file(saved, side):
    theirs = module(7, (3, side, side))
    classifier = import_weights(saved(theirs.state_dict()), NAME).classifier
    assert classifier.preprocess.size == (side, side)
    assert len(classifier.class_names) == 7
    assert same(classifier.module, theirs)


def test_everything_that_does_not_fit_is_listed(saved):
    tensors = module().state_dict()
    for index in range(15):
        tensors[f"extra.{index}"] = torch.zeros(2)
    del tensors["features.0.weight"]
    tensors["features.3.bias"] = torch.zeros(9)
    tensors["features.7.bias"] = torch.zeros(32, dtype=torch.int64)
    with pytest.raises(WeightsError) as caught:
        import_weights(saved(tensors), NAME)
    told = str(caught.value)
    assert all(f"extra.{index}: not in the network" in told for index in range(15))
    assert "features.0.weight: missing in the file" in told
    assert "features.3.bias: shape (9,), the network has (16,)" in told
    assert "features.7.bias: numbers of type int64" in told


def test_a_trunk_needs_headless_and_says_so(saved):
    tensors = {n: v for n, v in module().state_dict().items() if n.startswith("features.")}
    path = saved(tensors)
    with pytest.raises(WeightsError, match="use --headless to import only the trunk"):
        import_weights(path, NAME)
    classifier = import_weights(path, NAME, headless=True).classifier
    assert classifier.class_names is None


def test_headless_leaves_the_dense_layers_over_and_nothing_else(saved):
    tensors = module().state_dict()
    dense = tuple(name for name in tensors if name.startswith("classifier."))
    imported = import_weights(saved(tensors), NAME, headless=True)
    assert imported.match.unexpected == dense
    assert not [n for n in imported.classifier.module.state_dict() if n.startswith("classifier")]
    with pytest.raises(WeightsError, match="extra: not in the network"):
        import_weights(saved({**tensors, "extra": torch.zeros(1)}), NAME, headless=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(saved, value):
    tensors = module().state_dict()
    tensors["features.3.weight"][1, 2, 0, 0] = value
    with pytest.raises(WeightsError, match=r"features\.3\.weight contains NaN or infinity"):
        import_weights(saved(tensors), NAME)


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_torch_names(tmp_path, compressed):
    theirs = module()
    arrays = {name: np.array(v.numpy(), order="F") for name, v in theirs.state_dict().items()}
    (np.savez_compressed if compressed else np.savez)(tmp_path / "w.npz", **arrays)
    imported = import_weights(tmp_path / "w.npz", NAME)
    assert same(imported.classifier.module, theirs)
    assert imported.preprocessing == "imagenet"


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    theirs = module()
    save_file(theirs.state_dict(), tmp_path / "w.bin")
    imported = import_weights(tmp_path / "w.bin", NAME)
    assert same(imported.classifier.module, theirs)
    assert imported.format == "safetensors"


def test_keras_arrays_are_turned_and_the_first_dense_layer_is_put_in_order(tmp_path):
    """The twin: one output at a time, by index."""
    theirs, arrays = module(), {}
    state = theirs.state_dict()
    for index, place in enumerate([0, 3, 7, 10, 14, 17]):
        kernel = state[f"features.{place}.weight"].numpy()
        arrays[f"conv2d_{index}.kernel"] = kernel.transpose(2, 3, 1, 0)
        arrays[f"conv2d_{index}.bias"] = state[f"features.{place}.bias"].numpy()
        norm = f"features.{place + 1}"
        arrays[f"bn_{index}.gamma"] = state[f"{norm}.weight"].numpy()
        arrays[f"bn_{index}.beta"] = state[f"{norm}.bias"].numpy()
        arrays[f"bn_{index}.moving_mean"] = state[f"{norm}.running_mean"].numpy()
        arrays[f"bn_{index}.moving_variance"] = state[f"{norm}.running_var"].numpy() - 0.00099
    for index, place in enumerate([0, 3, 6]):
        kernel = state[f"classifier.{place}.weight"].numpy().T
        if index == 0:
            rows = np.empty_like(kernel)
            for channel in range(64):
                for row in range(4):
                    for column in range(4):
                        rows[(row * 4 + column) * 64 + channel] = kernel[
                            (channel * 4 + row) * 4 + column
                        ]
            kernel = rows
        arrays[f"dense_{index}.kernel"] = kernel
        arrays[f"dense_{index}.bias"] = state[f"classifier.{place}.bias"].numpy()
    np.savez(tmp_path / "k.npz", **arrays)
    found = import_weights(tmp_path / "k.npz", NAME, preprocessing="unit").classifier.module
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=1e-7)
    assert import_weights(tmp_path / "k.npz", NAME).preprocessing == "caffe-bgr"


def test_the_names_of_the_official_keras_file(tmp_path):
    """Keras 1 wrote them: a group a layer, and in it the layer's name again with W and b."""
    theirs = module(shape=(3, 8, 8))
    state = theirs.state_dict()
    layers = ["block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1",
              "block3_conv2"]  # fmt: skip
    names = dict(zip(layers, [0, 3, 7, 10, 14, 17], strict=True))
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file.create_group("block1_pool")
        for layer, place in names.items():
            kernel = state[f"features.{place}.weight"].numpy().transpose(2, 3, 1, 0)
            file[f"{layer}/{layer}_W_1:0"] = kernel
            file[f"{layer}/{layer}_b_1:0"] = state[f"features.{place}.bias"].numpy()
        for layer, place in {"fc1": 0, "fc2": 3, "predictions": 6}.items():
            file[f"{layer}/{layer}_W_1:0"] = state[f"classifier.{place}.weight"].numpy().T
            file[f"{layer}/{layer}_b_1:0"] = state[f"classifier.{place}.bias"].numpy()
    with pytest.raises(WeightsError) as caught:  # the network has batch norm: the file has not
        import_weights(tmp_path / "k.h5", NAME)
    missing = [line for line in str(caught.value).splitlines() if "missing in the file" in line]
    assert len(missing) == 4 * len(names) == len(str(caught.value).splitlines()) - 2
    found = import_weights(tmp_path / "k.h5", NAME, options={"batch_norm": False})
    assert found.preprocessing == "caffe-bgr"
    assert not found.match.missing
    assert not found.match.unexpected


def test_layers_are_ordered_by_number():
    names = ["layers/conv2d_10", "layers/conv2d", "layers/conv2d_2", "layers/conv2d_1"]
    assert sorted(names, key=_by_number) == [names[1], names[3], names[2], names[0]]
    blocks = [f"block{i}_conv{j}" for i in (1, 2, 11) for j in (1, 3)]
    assert sorted([blocks[i] for i in (5, 3, 1, 4, 2, 0)], key=_by_number) == blocks


def test_options_build_another_head(saved):
    theirs = build_module(NAME, num_classes=4, input_shape=(3, 32, 32), head=(9, 8)).eval()
    path = saved(theirs.state_dict())
    with pytest.raises(WeightsError, match=r"classifier\.0\.weight: shape \(9, 1024\)"):
        import_weights(path, NAME)
    found = import_weights(path, NAME, options={"head": [9, 8]})
    assert same(found.classifier.module, theirs)


def test_grey_networks_take_grey_images(saved):
    theirs = module(5, (1, 32, 32))
    path = saved(theirs.state_dict())
    assert import_weights(path, NAME).classifier.preprocess.mean == (0.5,)
    with pytest.raises(ConvscopeError, match="minus-one-to-one or unit"):
        import_weights(path, NAME, preprocessing="imagenet")


def test_torch_names_with_a_strange_prefix_are_not_taken_for_keras(saved):
    path = saved({f"backbone.{key}": value for key, value in module().state_dict().items()})
    with pytest.raises(WeightsError, match=r"features.0.weight: missing in the file"):
        import_weights(path, NAME)


def keras_file(path, theirs, convolutions, dense, attributes=None, top="model_weights"):
    """`theirs` as Keras' older format has it: groups by name, their order in attributes."""
    state = theirs.state_dict()
    layers = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    with h5py.File(path, "w") as file:
        group = file.create_group(top) if top else file
        for name, layer in zip([*convolutions, *dense], layers, strict=True):
            kernel = state[f"{layer}.weight"].numpy()
            turned = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
            group[f"{name}/net/{name}/kernel:0"] = turned
            group[f"{name}/net/{name}/bias:0"] = state[f"{layer}.bias"].numpy()
            weights = [f"net/{name}/kernel:0".encode(), f"net/{name}/bias:0".encode()]
            group[name].attrs["weight_names"] = weights
        group.create_group("pool").attrs["weight_names"] = np.zeros(0)
        order = [*convolutions, "pool", *dense]
        for key, value in (attributes or {"layer_names": [n.encode() for n in order]}).items():
            group.attrs[key] = value


def plain_network():
    """All convolutions have one shape, so that only their order tells them apart."""
    return build_module(
        NAME, num_classes=4, input_shape=(3, 8, 8), widths=[3, 3, 3], head=[3, 3],
        batch_norm=False,
    ).eval()  # fmt: skip


PLAIN = {"widths": [3, 3, 3], "head": [3, 3], "batch_norm": False}
ODD = ["stem", "second", "alpha", "zeta", "middle", "beta"]


@pytest.mark.parametrize("top", ["model_weights", ""])
@pytest.mark.parametrize("parts", [1, 3])
def test_layers_of_odd_names_are_matched_in_the_order_of_the_file(tmp_path, top, parts):
    theirs, dense = plain_network(), ["last_but_two", "last_but_one", "first"]
    names = [n.encode() for n in [*ODD, "pool", *dense]]
    cut = [names[i * len(names) // parts : (i + 1) * len(names) // parts] for i in range(parts)]
    attributes = {f"layer_names{i}": part for i, part in enumerate(cut)}
    if parts == 1:
        attributes = {"layer_names": names}
    keras_file(tmp_path / "k.h5", theirs, ODD, dense, attributes, top)
    found = import_weights(tmp_path / "k.h5", NAME, preprocessing="unit", options=PLAIN)
    assert same(found.classifier.module, theirs)
    assert any("in the order of the file" in note for note in found.notes)


@pytest.mark.parametrize("names", [[b"stem", b"none"], 3.5, np.zeros(20_000, "u1"), b"\xff"])
def test_an_order_that_is_none_is_passed_over(tmp_path, names):
    theirs = plain_network()
    straight, dense = [f"conv_{i}" for i in range(6)], [f"dense_{i}" for i in range(3)]
    keras_file(tmp_path / "k.h5", theirs, straight, dense, {"layer_names": 0})
    with h5py.File(tmp_path / "k.h5", "a") as file:
        file["model_weights"].attrs["layer_names"] = names
    found = import_weights(tmp_path / "k.h5", NAME, preprocessing="unit", options=PLAIN)
    assert same(found.classifier.module, theirs)
    assert any("of their names and numbers" in note for note in found.notes)
