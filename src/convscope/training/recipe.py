"""A recipe: everything that decides what a training run does, as one frozen value."""

from typing import Any, Literal

from pydantic import Field, model_validator

from convscope.base.values import Value
from convscope.data.augment import Augment


class ModelSpec(Value):
    """A network by name, its initialisation and its own options (`widths`, `head`, ...)."""

    name: str = "vgg-small"
    init: str = "he"
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _free(self) -> "ModelSpec":
        taken = {"name", "num_classes", "input_shape", "init"} & self.options.keys()
        if taken:
            raise ValueError(f"options.{min(taken)} is not free: the data or the recipe sets it")
        return self


class DataSpec(Value):
    """Which images, how they are split, and at which size the network sees them."""

    source: str
    size: int | None = Field(
        default=None, gt=0, le=4096, description="input side; None: by model and images"
    )
    resize: int | None = Field(
        default=None, gt=0, le=8192, description="shorter side before the crop; None: auto"
    )
    fit: Literal["crop", "pad", "stretch"] = "crop"
    val: float | None = Field(default=None, gt=0, lt=1, description="share held out for validation")
    test: float | None = Field(default=None, ge=0, lt=1, description="share held out for the test")
    fraction: float = Field(
        default=1.0, gt=0, le=1, description="share of the training images used"
    )
    standardise: Literal["mean-std", "mean"] = Field(
        default="mean-std",
        description="'mean' subtracts the mean and keeps 0..255, as the VGG paper does",
    )
    mean: tuple[float, ...] | None = Field(
        default=None, description="per channel, of pixels / 255; None: of the training split"
    )
    std: tuple[float, ...] | None = Field(default=None, description="as `mean`")
    skip_bad: bool = Field(
        default=False, description="leave out images that cannot be read, instead of stopping"
    )
    cache: Literal["auto", "memory", "stream"] = "auto"
    workers: int | None = Field(
        default=None, ge=0, description="for streamed data; None: one a processor"
    )

    @model_validator(mode="after")
    def _both(self) -> "DataSpec":
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std, or neither")
        return self


class Optim(Value):
    """Optimiser, learning-rate schedule and loss."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0, description="the peak")
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0)
    schedule: Literal["one-cycle", "cosine", "plateau", "constant"] = "one-cycle"
    warmup: float = Field(
        default=0.25, ge=0, lt=1, description="share of the run spent going up, but on a plateau"
    )
    plateau_patience: int = Field(default=3, gt=0, description="epochs without gain before lr / 10")
    plateau_drops: int = Field(
        default=3, ge=0, description="how often lr is divided before the end"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: bool = Field(
        default=False, description="weigh classes by 1 / their training images"
    )
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient")


class Stage(Value):
    """One training in a chain. What is None is taken from the recipe.

    `network` replaces the model's name; `train_resize` is the shorter side that training crops are
    taken from, where it is not that of validation; `scale` is `Augment.scale`; `start` says where
    the weights come from (`convscope.training.stages`).
    """

    name: str = "train"
    network: str | None = None
    resize: int | None = None
    train_resize: int | None = None
    scale: tuple[float, float] | None = None
    learning_rate: float | None = None
    start: Literal["random", "previous", "net-a"] = "random"


class WeightsSpec(Value):
    """Weights that a run starts from: where they were found, and the SHA-256 of that file."""

    source: str
    sha256: str


class Recipe(Value):
    """Frozen; to JSON with `model_dump(mode="json")`, back with `Recipe.parse`.

    Either `epochs` or `time_budget` (seconds) bounds the training.
    """

    name: str
    data: DataSpec
    model: ModelSpec = ModelSpec()
    augment: Augment = Augment()
    optim: Optim = Optim()
    stages: tuple[Stage, ...] = (Stage(),)
    weights: WeightsSpec | None = Field(
        default=None, description="what the first stage starts from; None: random weights"
    )
    freeze: tuple[str, ...] = Field(
        default=(),
        description="modules that keep their weights, by name; 'all-but-last' for all of them but "
        "the last dense layer",
    )
    epochs: int | None = Field(default=None, gt=0, le=1_000_000)
    time_budget: float | None = Field(default=None, gt=0, description="seconds")
    batch_size: int = Field(default=128, gt=1, le=1_000_000)
    patience: int | None = Field(
        default=None, gt=0, description="epochs without gain before stopping"
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)
    save_seconds: float = Field(
        default=15.0,
        gt=0,
        description="a checkpoint is due after so many seconds; never before "
        "ten times as long as saving one takes have passed",
    )

    @model_validator(mode="after")
    def _bounded(self) -> "Recipe":
        if (self.epochs is None) == (self.time_budget is None):
            raise ValueError("a recipe needs either epochs or a time budget")
        if self.time_budget is not None and len(self.stages) > 1:
            raise ValueError(
                f"{self.name} trains in {len(self.stages)} stages; give epochs (for each stage), "
                "not a time"
            )
        if self.data.cache == "memory" and len(self.stages) > 1:
            raise ValueError("data.cache=memory keeps one size, and the stages differ in theirs")
        return self

    def at_stage(self, index: int) -> "Recipe":
        """The recipe with the values of stage `index` in their places."""
        stage = self.stages[index]
        update: dict[str, Any] = {}
        if stage.network is not None:
            update["model"] = self.model.model_copy(update={"name": stage.network})
        if stage.resize is not None:
            update["data"] = self.data.model_copy(update={"resize": stage.resize})
        if stage.scale is not None:
            update["augment"] = self.augment.model_copy(update={"scale": stage.scale})
        if stage.learning_rate is not None:
            change = {"learning_rate": stage.learning_rate}
            update["optim"] = self.optim.model_copy(update=change)
        return self.model_copy(update=update)
