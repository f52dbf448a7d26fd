"""IDX files of any shape are read; damaged ones raise DataError."""

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.base.errors import DataError
from convscope.data.arrays import read_idx

CHECKED = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def read(content, name="some-idx3-ubyte"):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return read_idx(path)


@CHECKED
@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=3), zipped=st.booleans())
def test_written_arrays_are_read(shape, zipped):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    content = gzip.compress(idx(array)) if zipped else idx(array)
    np.testing.assert_array_equal(read(content, "a.gz" if zipped else "a"), array)


@CHECKED
@given(dimensions=st.integers(0, 255), rest=st.binary(max_size=40), kind=st.integers(7, 14))
def test_any_header(dimensions, rest, kind):
    content = bytes([0, 0, kind, dimensions]) + rest
    try:
        array = read(content)
    except DataError as error:
        assert "some-idx3-ubyte" in str(error)  # noqa: PT017
        return
    assert idx(array) == content


@CHECKED
@given(sizes=st.lists(st.sampled_from([0, 1, 2**16, 2**31, 2**32 - 1]), min_size=1, max_size=3))
def test_sizes_whose_product_does_not_fit(sizes):
    header = b"\0\0\x08" + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
    try:
        array = read(header + b"\7")
    except DataError as error:
        assert "damaged" in str(error)  # noqa: PT017
        return
    assert array.tolist() in (7, [7], [[7]], [[[7]]])


@CHECKED
@given(data=st.data())
def test_damaged_gzip(data):
    content = bytearray(gzip.compress(idx(np.arange(60, dtype=np.uint8).reshape(3, 4, 5)), mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content[: data.draw(st.integers(0, len(content)))]), "images.gz")
    except DataError as error:
        assert "images.gz" in str(error)  # noqa: PT017
