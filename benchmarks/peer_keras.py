"""The small VGG in Keras 3 on TensorFlow, trained piece by piece on command.

Runs in an environment of its own (.peers/keras), without convscope. Arguments: the .npz file with
the data, and JSON settings. It writes one JSON line when it is ready, then trains so many steps for
each number on its standard input and answers {"seconds": ..., "loss": ...}.
"""

import json
import os
import sys
from time import perf_counter

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class Segments(keras.callbacks.Callback):
    """Holds `fit` between steps until the next number arrives, and times the steps after it."""

    def __init__(self) -> None:
        super().__init__()
        self._left, self._began = 0, 0.0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Waits for a number where none is being worked off."""
        del batch, logs
        if self._left == 0:
            line = sys.stdin.readline()
            if not line:
                os._exit(0)
            self._left, self._began = int(line), perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Answers after the last step of a piece."""
        del batch
        self._left -= 1
        if self._left == 0:
            loss = float((logs or {})["loss"])  # waits for the step
            say({"seconds": perf_counter() - self._began, "loss": loss})


def say(values: dict) -> None:
    print(json.dumps(values), flush=True)


def network(settings: dict) -> keras.Model:
    """The same blocks, batch norm, head and initialisation as convscope's `vgg-small`."""
    stack = [keras.Input(settings["input_shape"])]
    for width in settings["widths"]:
        for _ in range(2):
            stack += [
                layers.Conv2D(width, 3, padding="same"),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
                layers.ReLU(),
            ]
        stack.append(layers.MaxPooling2D(2))
    stack.append(layers.Flatten())
    for width in settings["head"]:
        stack += [layers.Dense(width), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(settings["num_classes"])])


def batches(images: np.ndarray, labels: np.ndarray, settings: dict) -> tf.data.Dataset:
    """Shuffled, flipped, standardised batches without end, made ahead of the training."""
    mean, std = (
        tf.constant(np.array(settings[name], np.float32) * 255) for name in ("mean", "std")
    )

    def prepared(pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = (tf.cast(pixels, tf.float32) - mean) / std
        if settings["flip"]:
            mirrored = tf.random.uniform([tf.shape(values)[0], 1, 1, 1]) < 0.5
            values = tf.where(mirrored, tf.reverse(values, [2]), values)
        return values, tf.one_hot(targets, settings["num_classes"])

    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(10_000, seed=0).repeat()
    data = data.batch(settings["batch_size"], drop_remainder=True)
    return data.map(prepared, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def main() -> None:
    arrays, settings = np.load(sys.argv[1]), json.loads(sys.argv[2])
    keras.utils.set_random_seed(0)
    model = network(settings)
    rate, steps = settings["learning_rate"], settings["total_steps"]
    warm_up = int(steps * settings["warmup"])
    model.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(
                rate / 25, steps - warm_up, warmup_target=rate, warmup_steps=warm_up
            ),
            momentum=settings["momentum"],
            nesterov=True,
            weight_decay=settings["weight_decay"],
        ),
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings["label_smoothing"]
        ),
    )
    data = batches(arrays["images"], arrays["labels"], settings)
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
    parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    say({"parameters": parameters, "dtype": model.dtype_policy.name, **versions})
    model.fit(data, steps_per_epoch=10**9, epochs=1, verbose=0, callbacks=[Segments()])


if __name__ == "__main__":
    main()
