"""Image kernels: a second version in plain Python loops, other libraries, the guide's example."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st

from convscope.base.errors import ConvscopeError
from convscope.images.kernels import EXAMPLE, KERNELS, convolve, num_lost, output_size

GENERATOR = np.random.default_rng(3)
PHOTO = GENERATOR.integers(0, 256, (11, 14, 3), dtype=np.uint8)
PEERS = {"zero": "constant", "edge": "nearest", "reflect": "mirror", "wrap": "grid-wrap"}


def pixel(image, row, column, border):
    """The value at any place, inside or outside of a list of rows."""
    place = []
    for at, size in ((row, len(image)), (column, len(image[0]))):
        if border == "zero" and not 0 <= at < size:
            return 0.0
        if border == "edge":
            at = min(max(at, 0), size - 1)
        elif border == "reflect" and not 0 <= at < size:
            at = -at if at < 0 else 2 * (size - 1) - at
        elif border == "wrap":
            at %= size
        place.append(at)
    return float(image[place[0]][place[1]])


def starts(size, kernel, stride, padding, dilation):
    """Where windows begin: every place from which the whole kernel lies on the padded input."""
    last = size + padding - 1
    return [
        at
        for at in range(-padding, size + padding, stride)
        if all(at + step * dilation <= last for step in range(kernel))
    ]


def twin(image, kernel, stride, padding, dilation, border, mode):
    """The definition: one sum for each window."""
    rows, columns = len(kernel), len(kernel[0])
    if mode == "convolution":
        kernel = [[kernel[rows - 1 - r][columns - 1 - c] for c in range(columns)]
                  for r in range(rows)]  # fmt: skip
    tops = starts(len(image), rows, stride[0], padding[0], dilation[0])
    lefts = starts(len(image[0]), columns, stride[1], padding[1], dilation[1])
    result = []
    for top in tops:
        result.append([])
        for left in lefts:
            total = 0.0
            for r in range(rows):
                for c in range(columns):
                    at = top + r * dilation[0], left + c * dilation[1]
                    total += kernel[r][c] * pixel(image, *at, border)
            result[-1].append(total)
    return result


def matrices(least, most, values):
    sizes = st.tuples(st.integers(least, most), st.integers(least, most))
    return sizes.flatmap(
        lambda size: st.lists(
            st.lists(values, min_size=size[1], max_size=size[1]),
            min_size=size[0], max_size=size[0],
        )
    )  # fmt: skip


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


FLOATS = st.floats(-1e6, 1e6)


@given(
    image=matrices(1, 7, FLOATS), kernel=matrices(1, 4, FLOATS), stride=pairs(1, 4),
    padding=pairs(0, 5), dilation=pairs(1, 3), border=st.sampled_from(sorted(PEERS)),
    mode=st.sampled_from(["correlation", "convolution"]),
)  # fmt: skip
def test_as_the_loop_does_to_the_last_bit(image, kernel, stride, padding, dilation, border, mode):
    arguments = (image, kernel, stride, padding, dilation, border, mode)
    axes = list(zip(np.shape(image), np.shape(kernel), stride, padding, dilation, strict=True))
    too_large = any(d * (k - 1) + 1 > n + 2 * p for n, k, _, p, d in axes)
    too_far = border == "reflect" and any(p >= n for n, _, _, p, _ in axes)
    if too_large or too_far:
        with pytest.raises(ConvscopeError):
            convolve(*arguments)
        return
    result = convolve(*arguments)
    assert result.dtype == np.float64
    assert result.tolist() == twin(*arguments)


@given(
    n=st.integers(1, 40), k=st.integers(1, 8), s=st.integers(1, 8), p=st.integers(0, 6),
    d=st.integers(1, 4),
)  # fmt: skip
def test_output_size_and_lost_rows_are_the_loop_s(n, k, s, p, d):
    places = starts(n, k, s, p, d)
    if not places:
        with pytest.raises(ConvscopeError, match="covers"):
            output_size(n, k, s, p, d)
        with pytest.raises(ConvscopeError, match="covers"):
            num_lost(n, k, s, p, d)
        return
    assert output_size(n, k, s, p, d) == len(places)
    reached = places[-1] + d * (k - 1)
    assert num_lost(n, k, s, p, d) == n + p - 1 - reached
    theirs = torch.nn.functional.conv1d(
        torch.zeros(1, 1, n), torch.zeros(1, 1, k), stride=s, padding=p, dilation=d
    )
    assert output_size(n, k, s, p, d) == theirs.shape[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((227, 11, 4), 55), ((5, 3, 2, 1), 3), ((224, 3, 1, 1), 224), ((7, 3, 2, 0, 3), 1)],
)
def test_sizes_worked_out_by_hand(arguments, expected):
    assert output_size(*arguments) == expected


def test_the_guide_s_example():
    expected = [[3, 27, 16, 26], [-8, 60, 24, 8], [22, 45, -5, -41], [66, 1, -39, -63]]
    assert convolve(EXAMPLE, KERNELS["sobel-left"]).tolist() == expected
    flipped = convolve(EXAMPLE, KERNELS["sobel-right"], mode="convolution")
    assert flipped.tolist() == expected


def test_the_presets():
    # As on setosa.io, written row after row; prewitt and laplacian are the textbook's.
    expected = {
        "sobel-left": "1 0 -1 2 0 -2 1 0 -1",
        "sobel-right": "-1 0 1 -2 0 2 -1 0 1",
        "sobel-top": "1 2 1 0 0 0 -1 -2 -1",
        "sobel-bottom": "-1 -2 -1 0 0 0 1 2 1",
        "prewitt": "1 0 -1 1 0 -1 1 0 -1",
        "laplacian": "0 1 0 1 -4 1 0 1 0",
        "outline": "-1 -1 -1 -1 8 -1 -1 -1 -1",
        "sharpen": "0 -1 0 -1 5 -1 0 -1 0",
        "emboss": "-2 -1 0 -1 1 1 0 1 2",
        "blur": "0.0625 0.125 0.0625 0.125 0.25 0.125 0.0625 0.125 0.0625",
        "identity": "0 0 0 0 1 0 0 0 0",
    }
    assert list(KERNELS) == list(expected)
    for name, numbers in expected.items():
        assert np.ravel(KERNELS[name]).tolist() == [float(number) for number in numbers.split()]


def test_each_side_s_sobel_is_positive_where_that_side_is_brighter():
    bright_left = np.zeros((5, 6), np.uint8)
    bright_left[:, :3] = 200
    for turns, side in enumerate(("left", "bottom", "right", "top")):
        image = np.rot90(bright_left, turns)
        assert convolve(image, KERNELS[f"sobel-{side}"]).max() == 800
        assert convolve(image, KERNELS[f"sobel-{side}"]).min() == 0


@pytest.mark.parametrize("border", sorted(PEERS))
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_as_scipy_does(name, border):
    grey, kernel = PHOTO[:, :, 0].astype(float), np.array(KERNELS[name], float)
    ours = convolve(grey, kernel, padding=1, border=border)
    np.testing.assert_array_equal(
        ours, scipy.ndimage.correlate(grey, kernel, mode=PEERS[border], cval=0.0)
    )
    ours = convolve(grey, kernel, padding=1, border=border, mode="convolution")
    np.testing.assert_array_equal(
        ours, scipy.ndimage.convolve(grey, kernel, mode=PEERS[border], cval=0.0)
    )


def test_as_torch_does_for_each_channel():
    kernel = GENERATOR.integers(-9, 10, (4, 3))
    ours = convolve(PHOTO, kernel, stride=(2, 3), padding=(1, 2), dilation=(2, 1))
    theirs = torch.nn.functional.conv2d(
        torch.from_numpy(PHOTO.astype(float)).permute(2, 0, 1)[:, None],
        torch.from_numpy(kernel.astype(float))[None, None],
        stride=(2, 3), padding=(1, 2), dilation=(2, 1),
    )[:, 0].permute(1, 2, 0)  # fmt: skip
    np.testing.assert_array_equal(ours, theirs.numpy())


def test_identity_and_channels():
    result = convolve(PHOTO, KERNELS["identity"], padding=1)
    np.testing.assert_array_equal(result, PHOTO)
    for channel in range(3):
        alone = convolve(PHOTO[:, :, channel], KERNELS["emboss"])
        np.testing.assert_array_equal(convolve(PHOTO, KERNELS["emboss"])[:, :, channel], alone)


def test_the_input_is_left_alone_and_may_be_read_only():
    image = PHOTO.copy()
    image.flags.writeable = False
    convolve(image, KERNELS["identity"], padding=2, border="wrap")[:] = 0
    floats = PHOTO.astype(float)
    convolve(floats, KERNELS["identity"])[:] = 0
    np.testing.assert_array_equal(floats, PHOTO)


ONES = np.ones((4, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": np.ones((3, 3, 3))}, r"kernel: has shape \(3, 3, 3\); give \(rows, columns\)"),
        ({"kernel": [1, 2, 3]}, "kernel: has shape"),
        ({"kernel": [[]]}, "kernel: has shape"),
        ({"kernel": [[1, 2], [3]]}, "kernel: cannot be read"),
        ({"kernel": [[float("nan")]]}, "kernel: holds NaN"),
        ({"kernel": [["1"]]}, "kernel: holds <U1 values"),
        ({"kernel": np.ones((6, 1))}, "a kernel of 6 with dilation 1 covers 6 pixels"),
        ({"kernel": [[1e308, 1e308]]}, "too large for float64"),
        ({"image": np.ones((0, 3))}, "image: has shape"),
        ({"image": np.ones(3)}, "image: has shape"),
        ({"image": np.ones((1, 3, 4, 4))}, "image: has shape"),
        ({"image": np.full((3, 3), np.inf)}, "image: holds NaN or infinity"),
        ({"image": [[2**80, 1]]}, "image: holds object values"),
        ({"image": np.ones((3, 3), complex)}, "image: holds complex128"),
        ({"stride": 0}, "stride=0: give a whole number, 1 or more"),
        ({"stride": (1, 0)}, "stride"),
        ({"stride": (1, 2, 3)}, "stride"),
        ({"padding": -1}, "padding=-1: give a whole number, 0 or more"),
        ({"padding": (10**6, 10**6)}, "over the limit of 268,435,456"),
        ({"dilation": 0}, "dilation=0"),
        ({"dilation": 5}, "covers 6 pixels, but an input of 4 with padding 0 has 4"),
        ({"border": "mirror"}, "border='mirror': give one of zero, edge, reflect, wrap"),
        ({"mode": "same"}, "mode='same': give one of correlation, convolution"),
        ({"border": "reflect", "padding": 4}, "at most 3 rows and 4 columns of a 4 x 5 image"),
    ],
)
def test_wrong_arguments_are_refused_by_name(change, message):
    arguments = {"image": ONES, "kernel": np.ones((2, 2))} | change
    with pytest.raises(ConvscopeError, match=message):
        convolve(**arguments)


@pytest.mark.parametrize("name", ["size", "kernel", "stride", "dilation"])
@pytest.mark.parametrize("function", [output_size, num_lost])
def test_sizes_below_one_are_refused_by_name(function, name):
    with pytest.raises(ConvscopeError, match=f"{name}=0: give a whole number, 1 or more"):
        function(**({"size": 5, "kernel": 3} | {name: 0}))
    with pytest.raises(ConvscopeError, match="padding=-1: give a whole number, 0 or more"):
        function(5, 3, padding=-1)


def test_wrong_types_are_refused_by_name():
    """Outside of this test run, where nothing checks types before the function does."""
    code = """
        import numpy as np, torch
        from convscope.base.errors import ConvscopeError
        from convscope.images.kernels import convolve, output_size
        image, kernel = np.ones((4, 4)), np.ones((2, 2))
        for name, call in {
            "stride": lambda: convolve(image, kernel, stride=1.5),
            "padding": lambda: convolve(image, kernel, padding="11"),
            "dilation": lambda: convolve(image, kernel, dilation=None),
            "image": lambda: convolve(None, kernel),
            "image:": lambda: convolve("photo.jpg", kernel),
            "kernel": lambda: convolve(image, torch.ones(2, 2, requires_grad=True)),
            "border": lambda: convolve(image, kernel, border=3),
            "size": lambda: output_size(5.0, 3),
        }.items():
            try:
                call()
            except ConvscopeError as error:
                assert name in str(error), error
            else:
                raise AssertionError(name)
        print(convolve(torch.ones(2, 2), kernel, stride=np.int64(1)))
    """
    command = [sys.executable, "-c", inspect.cleandoc(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[[4.]]\n", "")
