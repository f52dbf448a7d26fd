"""Read a data set from a CSV manifest with the columns path, label and, optionally, split."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.base.errors import DataError, listing
from convscope.data.dataset import Dataset, FileSource
from convscope.data.folder import SPLIT_FOLDERS
from convscope.data.split import SKIPPED
from convscope.images.files import SUFFIXES

ENDINGS = (".csv", ".tsv")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str
    split: str


def read_manifest(file: Path, name: str) -> Dataset:
    """Reads the data set that a table with the columns `path`, `label`, `split` (optional) lists.

    The first line names the columns, in any order; other columns are ignored. The columns are
    separated by commas, semicolons or tabs. Paths are relative to the table's folder. Labels are
    class names, even if they are digits; classes are sorted by code point. Splits have the names of
    split folders (`convscope.data.folder`) or are empty. Rows with the split "skipped", as a run's
    `split.csv` may have, are counted as ignored.

    Raises:
        DataError: rows cannot be used. The message lists them with the reasons.
    """
    header, cells = _read_table(file)
    rows = list(_parse_rows(file, header, cells))
    skipped = [row for row in rows if row.split.lower() == SKIPPED]
    kept = [row for row in rows if row.split.lower() != SKIPPED]
    if not kept:
        raise DataError(f"{file} lists no images below its header")
    errors = _row_errors(kept, file.parent)
    if errors:
        count = f"{len(errors):,} of {len(rows):,} rows" if len(rows) > 1 else "its only row"
        raise DataError(
            f"{file}: {count} cannot be used:\n{listing(errors)}\ncorrect or remove them"
        )
    classes = sorted({row.label for row in kept})
    splits = [SPLIT_FOLDERS.get(row.split.lower(), "") for row in kept]
    untrained = set(classes) - {
        row.label for row, split in zip(kept, splits, strict=True) if split in ("train", "")
    }
    if untrained:
        raise DataError(
            f"{file} has classes without training images: {', '.join(sorted(untrained))}; "
            "give some of their rows the split train, or remove them"
        )
    index_of = {label: index for index, label in enumerate(classes)}
    paths = tuple(row.path for row in kept)
    return Dataset(
        name=name,
        class_names=tuple(classes),
        paths=paths,
        labels=np.array([index_of[row.label] for row in kept], dtype=np.int64),
        splits=np.array(splits, dtype="<U5"),
        source=FileSource(file.parent, paths),
        channels=3,
        ignored=len(skipped),
    )


def _read_table(file: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The column names, and the cells of each row with the number of its first line."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: not UTF-8; save the table as UTF-8") from error
    first = text.split("\n", 1)[0]
    # The header determines the delimiter. csv.Sniffer guesses, and is misled by labels.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )

    def numbered() -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            for cells in reader:
                if any(cells):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{file}, line {line}: {error}; correct the quotation marks") from error

    rows = numbered()
    _, header = next(rows, (1, []))
    return [cell.strip().lower() for cell in header], rows


def _parse_rows(
    file: Path, header: list[str], cells: Iterator[tuple[int, list[str]]]
) -> Iterator[_Row]:
    missing = [column for column in ("path", "label") if column not in header]
    if missing:
        columns = f"it has {', '.join(header)}" if header else "it is empty"
        raise DataError(
            f"{file} has no column {' and no column '.join(missing)}: {columns}; the first line "
            "must name the columns path, label and, optionally, split, separated by commas, "
            "semicolons or tabs"
        )
    for column in ("path", "label", "split"):
        if header.count(column) > 1:
            raise DataError(f"{file} has the column {column} twice; keep one of them")
    path, label = header.index("path"), header.index("label")
    split = header.index("split") if "split" in header else None
    uneven: list[str] = []
    for line, row in cells:
        if len(row) != len(header):
            uneven.append(f"line {line}: {len(row)} fields, the header has {len(header)}")
            continue
        name = unicodedata.normalize("NFC", row[label].strip())
        yield _Row(line, row[path], name, "" if split is None else row[split].strip())
    if uneven:
        raise DataError(
            f"{file}: {len(uneven):,} rows do not match the header:\n{listing(uneven)}\n"
            "put fields that contain the delimiter in quotation marks"
        )


def _row_errors(rows: list[_Row], root: Path) -> list[str]:
    """One message for each row that cannot be used."""
    first: dict[str, int] = {}
    errors: list[str] = []
    for row in rows:
        reason = _row_error(row, root)
        if reason is None:
            earlier = first.setdefault(os.path.normpath(root / row.path), row.line)
            if earlier != row.line:
                reason = f"{row.path} is on line {earlier} already"
        if reason is not None:
            errors.append(f"line {row.line}: {reason}")
    return errors


def _row_error(row: _Row, root: Path) -> str | None:
    """Why a row cannot be used; None if it can."""
    if not row.path.strip():
        return "no path"
    if not row.label:
        return f"no label for {row.path}"
    if _CONTROL.search(row.path) or _CONTROL.search(row.label):
        return f"control characters in {row.path!r} or {row.label!r}"
    if row.split and row.split.lower() not in SPLIT_FOLDERS:
        return f"unknown split {row.split!r} (train, val, test or empty)"
    file = root / row.path
    try:
        exists, is_file = file.exists(), file.is_file()
    except OSError as error:  # no permission, or a name longer than the system allows
        return f"{row.path}: {error.strerror or error}"
    if not exists:
        return f"{row.path} does not exist"
    if not is_file:
        return f"{row.path} is not a file"
    if file.suffix.lower() not in SUFFIXES:
        return f"{row.path} does not have the ending of an image ({', '.join(SUFFIXES)})"
    return None
