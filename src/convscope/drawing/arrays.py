"""Named arrays as one `.npz`, the file that `numpy.load` reads."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np

# Zip files hold a time; a fixed one makes the same arrays the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of an `.npz` file; any name will do, unlike in `numpy.savez`.

    Not compressed: for VGG-16's 114 MB of activations that took 9 s and saved a third.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _TIME), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()
