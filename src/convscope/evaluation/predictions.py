"""The table of predictions: path, target and logits of each image."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convscope.base.errors import DataError
from convscope.base.prefetch import prefetch_map
from convscope.data.dataset import Dataset
from convscope.metrics.classification import softmax
from convscope.nets.classifier import BATCH_SIZE, Classifier


@dataclass(frozen=True)
class Predictions:
    """A classifier's predictions for n labelled images.

    Attributes:
        class_names: in the order of the logits.
        paths: of the images, as in the data set.
        targets: (n,) int64.
        logits: (n, classes) float32, before softmax.
    """

    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    targets: np.ndarray
    logits: np.ndarray

    def to_parquet(self) -> bytes:
        """The table as a Parquet file: path, label, predicted, probability, correct, logits.

        `logits` is a list per row in the order of the class names, which are in the file's
        metadata under `class_names`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = np.array(self.class_names, dtype=object)
        predicted = self.logits.argmax(axis=1)
        table = pa.table(
            {
                "path": pa.array(self.paths, pa.string()),
                "label": pa.array(names[self.targets], pa.string()),
                "predicted": pa.array(names[predicted], pa.string()),
                "probability": pa.array(softmax(self.logits).max(axis=1), pa.float64()),
                "correct": pa.array(predicted == self.targets, pa.bool_()),
                "logits": pa.FixedSizeListArray.from_arrays(
                    pa.array(self.logits.ravel(), pa.float32()), self.logits.shape[1]
                ),
            }
        ).replace_schema_metadata({"class_names": json.dumps(self.class_names)})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes) -> "Predictions":
        """What `to_parquet` wrote."""
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(content))
        names = tuple(json.loads((table.schema.metadata or {})[b"class_names"]))
        index_of = {name: index for index, name in enumerate(names)}
        labels = table.column("label").to_pylist()
        logits = table.column("logits").combine_chunks()
        return cls(
            names,
            tuple(table.column("path").to_pylist()),
            np.array([index_of[label] for label in labels], dtype=np.int64),
            np.asarray(logits.flatten()).reshape(len(labels), len(names)).astype(np.float32),
        )


def predictions_of(
    classifier: Classifier,
    dataset: Dataset,
    indices: np.ndarray,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Runs the classifier on the images `indices` of a data set. Threads decode images ahead.

    Args:
        classifier: with a head.
        dataset: aligned to the classifier's classes.
        indices: (n,) of the images.
        batch_size: images per batch.
        progress: called with the number of images done and their total.

    Raises:
        DataError: there are no images, or the data set has other classes.
        UnreadableImageError: an image cannot be read. The message names the file.
    """
    if classifier.class_names != dataset.class_names:
        raise DataError(f"{dataset.name} must be aligned to the classes of {classifier.name}")
    if len(indices) == 0:
        raise DataError(f"{dataset.name}: there are no images to evaluate")
    channels = classifier.preprocess.channels
    images = prefetch_map(
        lambda index: dataset.image(index, channels), indices.tolist(), ahead=batch_size
    )
    rows: list[np.ndarray] = []
    done = 0
    for logits in classifier.logits_of(images, batch_size):
        rows.append(logits.numpy())
        done += len(logits)
        progress(done, len(indices))
    return Predictions(
        dataset.class_names,
        tuple(dataset.paths[i] for i in indices.tolist()),
        dataset.labels[indices],
        np.concatenate(rows),
    )
