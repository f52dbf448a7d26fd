"""Files of weights by what is in them, whatever they are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from convscope.base.errors import WeightsError
from convscope.weights.archive import Span, members, stored
from convscope.weights.foreign import Foreign, UnacceptableError, file_size, refusal
from convscope.weights.pickling import LONGEST
from convscope.weights.tables import open_safetensors, read_npz
from convscope.weights.torch_files import LEGACY, read_archive, read_legacy, what_a_pickle_wants

_HDF5 = b"\x89HDF\r\n\x1a\n"
FORMATS = (
    "torch.save (.pth, .pt, .bin), safetensors, Keras (.h5, .weights.h5, .keras) and NumPy (.npz)"
)


@contextmanager
def open_weights(path: Path) -> Iterator[Foreign]:
    """The tensors of a file; the format is told by content. Nothing in the file is ever run.

    Names, shapes and types are known at once; values are read one tensor at a time, on demand.

    Raises:
        WeightsError: naming `path`, the reason and the remedy: it is missing, of no known format,
            damaged, or asks for more than weights need.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise WeightsError(f"{path} {what}; give a file of weights: {FORMATS}")
    try:
        with open(path, "rb") as file, _opened(path, file) as found:
            yield found
    except UnacceptableError as error:
        raise refusal(path, error.reason, error.remedy) from None
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError:
        raise refusal(path, "there is not enough memory for it", "close other programs") from None


@contextmanager
def _opened(path: Path, file: BinaryIO) -> Iterator[Foreign]:
    head = file.read(64)
    whole = Span(0, file_size(file))
    if head.startswith(_HDF5):
        from convscope.weights.hdf5 import open_hdf5

        with open_hdf5(file, whole) as contents:
            yield Foreign(path, "Keras HDF5", *contents)
    elif head.startswith(b"PK\3\4"):
        with _opened_archive(path, file) as found:
            yield found
    elif head[8:9] == b"{" and (head[:1] != b"\x80" or not any(head[4:8])):
        with open_safetensors(path, file) as contents:
            yield Foreign(path, "safetensors", *contents)
    else:
        if head.startswith(LEGACY):
            yield Foreign(path, "torch.save (before 1.6)", *read_legacy(file))
            return
        file.seek(0)
        wanted = what_a_pickle_wants(file.read(LONGEST))
        raise wanted or UnacceptableError("it is no file of weights known here", f"give {FORMATS}")


@contextmanager
def _opened_archive(path: Path, file: BinaryIO) -> Iterator[Foreign]:
    archive, named = members(file)
    with archive:
        if any(name.endswith("/data.pkl") for name in named):
            yield Foreign(path, "torch.save", *read_archive(file, archive, named))
        elif "model.weights.h5" in named:
            remedy = f"unpack it first, and give that: unzip {path} model.weights.h5"
            span = stored(file, named["model.weights.h5"], remedy)
            from convscope.weights.hdf5 import open_hdf5

            with open_hdf5(file, span) as contents:
                yield Foreign(path, "Keras archive", *contents)
        elif named and all(name.endswith(".npy") for name in named):
            yield Foreign(path, "NumPy npz", *read_npz(archive, named))
        else:
            raise UnacceptableError(
                "it is a ZIP archive without weights known here", f"give {FORMATS}"
            )
