"""The Recipe: all settings of a training run as one frozen value."""

from typing import Any, Literal

from pydantic import Field, model_validator

from convscope.base.values import Value
from convscope.data.augment import Augment


class ModelSpec(Value):
    """The name of a network, its initialisation and its options (`widths`, `head`, ...)."""

    name: str = "vgg-small"
    init: str = "he"
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check_options(self) -> "ModelSpec":
        reserved = {"name", "num_classes", "input_shape", "init"} & self.options.keys()
        if reserved:
            raise ValueError(
                f"options.{min(reserved)} cannot be set: the data or the recipe determines it"
            )
        return self


class DataSpec(Value):
    """The images, their splits and their preprocessing."""

    source: str
    size: int | None = Field(
        default=None, gt=0, le=4096, description="input side; None: by model and images"
    )
    resize: int | None = Field(
        default=None, gt=0, le=8192, description="shorter side before the crop; None: auto"
    )
    fit: Literal["crop", "pad", "stretch"] = "crop"
    val: float | None = Field(default=None, gt=0, lt=1, description="share held out for validation")
    test: float | None = Field(default=None, ge=0, lt=1, description="share held out for testing")
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
        default=None, ge=0, description="for streamed data; None: one per CPU"
    )

    @model_validator(mode="after")
    def _check_mean_and_std(self) -> "DataSpec":
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
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
        default=0.25, ge=0, lt=1, description="share of the run with rising rate; not for plateau"
    )
    plateau_patience: int = Field(default=3, gt=0, description="epochs without gain before lr / 10")
    plateau_drops: int = Field(
        default=3, ge=0, description="how often lr is divided before the end"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: bool = Field(
        default=False, description="weight classes by 1 / their number of training images"
    )
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient")


class Stage(Value):
    """One stage of training. None takes the recipe's value.

    Attributes:
        name: for messages.
        network: replaces the model's name.
        resize: replaces `data.resize`.
        train_resize: the shorter side of the canvas for training crops; None takes that of
            validation.
        scale: replaces `augment.scale`.
        learning_rate: replaces `optim.learning_rate`.
        start: the source of the weights (`convscope.training.stages`).
    """

    name: str = "train"
    network: str | None = None
    resize: int | None = None
    train_resize: int | None = None
    scale: tuple[float, float] | None = None
    learning_rate: float | None = None
    start: Literal["random", "previous", "net-a"] = "random"


class WeightsSpec(Value):
    """The weights that a run starts from: their source, and the SHA-256 of the file."""

    source: str
    sha256: str


class Recipe(Value):
    """All settings of a training run.

    Either `epochs` or `time_budget` (seconds) limits the training. `model_dump(mode="json")`
    converts a recipe to JSON, `Recipe.parse` converts it back.
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
        description="modules whose weights are not trained, by name; 'all-but-last' freezes "
        "everything except the last dense layer",
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
        description="seconds between checkpoints; at least ten times as long as saving one takes",
    )

    @model_validator(mode="after")
    def _check_limits(self) -> "Recipe":
        if (self.epochs is None) == (self.time_budget is None):
            raise ValueError("a recipe needs either epochs or a time budget")
        if self.time_budget is not None and len(self.stages) > 1:
            raise ValueError(
                f"{self.name} trains in {len(self.stages)} stages; give epochs (for each stage), "
                "not a time budget"
            )
        if self.data.cache == "memory" and len(self.stages) > 1:
            raise ValueError(
                "data.cache=memory needs images of one size, but the stages have different sizes; "
                "use data.cache=stream"
            )
        return self

    def at_stage(self, index: int) -> "Recipe":
        """The recipe with the values of stage `index`."""
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
