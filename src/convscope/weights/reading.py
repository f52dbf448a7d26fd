"""Open a weights file in any supported format. The format is detected from the content."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from convscope.base.errors import WeightsError
from convscope.weights.archive import Span, read_members, stored_span
from convscope.weights.array_files import open_safetensors, read_npz
from convscope.weights.pickling import MAX_PICKLE_BYTES
from convscope.weights.torch_files import LEGACY, read_archive, read_legacy, refusal_of_pickle
from convscope.weights.weights_file import UnacceptableError, WeightsFile, file_size, refusal

_HDF5 = b"\x89HDF\r\n\x1a\n"
FORMATS = (
    "torch.save (.pth, .pt, .bin), safetensors, Keras (.h5, .weights.h5, .keras) and NumPy (.npz)"
)


@contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Opens a weights file. Its format is detected from its content, and nothing in it is executed.

    Names, shapes and types are read at once; values are read on demand, one tensor at a time.

    Raises:
        WeightsError: the file is missing, damaged, of an unknown format, or contains more than
            weights. The message names `path`, the reason and a remedy.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise WeightsError(f"{path} {what}; give a weights file: {FORMATS}")
    try:
        with open(path, "rb") as file, _open_format(path, file) as weights_file:
            yield weights_file
    except UnacceptableError as error:
        raise refusal(path, error.reason, error.remedy) from None
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError:
        raise refusal(path, "there is not enough memory for it", "close other programs") from None


@contextmanager
def _open_format(path: Path, file: BinaryIO) -> Iterator[WeightsFile]:
    head = file.read(64)
    if head.startswith(_HDF5):
        from convscope.weights.hdf5 import open_hdf5

        with open_hdf5(file, Span(0, file_size(file))) as contents:
            yield WeightsFile(path, "Keras HDF5", *contents)
    elif head.startswith(b"PK\3\4"):
        with _open_archive(path, file) as weights_file:
            yield weights_file
    elif head[8:9] == b"{" and (head[:1] != b"\x80" or not any(head[4:8])):
        with open_safetensors(path, file) as contents:
            yield WeightsFile(path, "safetensors", *contents)
    else:
        if head.startswith(LEGACY):
            yield WeightsFile(path, "torch.save (before 1.6)", *read_legacy(file))
            return
        file.seek(0)
        error = refusal_of_pickle(file.read(MAX_PICKLE_BYTES))
        raise error or UnacceptableError(
            "it is not a weights file in a supported format", f"give {FORMATS}"
        )


@contextmanager
def _open_archive(path: Path, file: BinaryIO) -> Iterator[WeightsFile]:
    archive, named = read_members(file)
    with archive:
        if any(name.endswith("/data.pkl") for name in named):
            yield WeightsFile(path, "torch.save", *read_archive(file, archive, named))
        elif "model.weights.h5" in named:
            from convscope.weights.hdf5 import open_hdf5

            remedy = f"extract model.weights.h5 and give that: unzip {path} model.weights.h5"
            span = stored_span(file, named["model.weights.h5"], remedy)
            with open_hdf5(file, span) as contents:
                yield WeightsFile(path, "Keras archive", *contents)
        elif named and all(name.endswith(".npy") for name in named):
            yield WeightsFile(path, "NumPy npz", *read_npz(archive, named))
        else:
            raise UnacceptableError(
                "it is a ZIP archive without weights in a supported format", f"give {FORMATS}"
            )
