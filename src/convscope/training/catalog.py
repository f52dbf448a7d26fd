"""The catalog of recipes: functions from a data set and a model name to a `Recipe`."""

from collections.abc import Callable

from convscope.base.errors import ConvscopeError
from convscope.data.augment import Augment
from convscope.training.recipe import DataSpec, ModelSpec, Optim, Recipe, Stage
from convscope.training.transfer import ALL_BUT_LAST


def scratch(source: str, model: str | None = None) -> Recipe:
    """Fast training from random weights: SGD with Nesterov momentum, one-cycle schedule, flips.

    Source: Smith & Topin 2018, "Super-Convergence" (one-cycle policy).
    """
    return Recipe(
        name="scratch",
        data=DataSpec(source=source),
        model=ModelSpec(name=model or "vgg-small", init="glorot"),
        optim=Optim(label_smoothing=0.05),
        epochs=30,
    )


def vgg_paper(source: str, model: str | None = None) -> Recipe:
    """The complete training of the VGG paper.

    Batch size 256, momentum 0.9, weight decay 5e-4, learning rate 1e-2 divided by 10 on a plateau
    three times, 74 epochs. Only the mean RGB is subtracted. Augmentation is a random 224 crop, a
    flip and AlexNet's RGB shift. Net A is trained first and initialises the first four convolutions
    and the dense layers of the deeper net. Then follow the scales: S = 256; S = 384 from those
    weights at learning rate 1e-3; S in [256, 512] from S = 384.

    Two details are our interpretation. The convolutions of net A go to the layers of the deeper net
    at the same position in the same block. With scale jitter, crops are taken at S = 512 and scaled
    down.

    Source: Simonyan & Zisserman 2014, section 3.1.

    Raises:
        ConvscopeError: the network is not of the VGG family.
    """
    model = model or "vgg16"
    if not model.startswith("vgg1"):
        raise ConvscopeError(
            f"the recipe vgg-paper trains vgg11 to vgg19, not {model}; choose another --recipe"
        )
    net_a = "vgg11-bn" if model.endswith("-bn") else "vgg11"
    first = Stage(name="A at S=256", network=net_a, resize=256)
    chain = (
        Stage(name="S=256", resize=256, start="net-a"),
        Stage(name="S=384", resize=384, learning_rate=1e-3, start="previous"),
        Stage(
            name="S in [256, 512]", resize=384, train_resize=512, scale=(0.5, 1.0),
            learning_rate=1e-3, start="previous",
        ),
    )  # fmt: skip
    if model in ("vgg11", "vgg11-bn", "vgg11-lrn", "vgg11-lrn-bn"):
        start = chain[0].model_copy(update={"start": "random"})
        stages = (start, *chain[1:])
    else:
        stages = (first, *chain)
    return Recipe(
        name="vgg-paper",
        data=DataSpec(source=source, size=224, resize=256, standardise="mean"),
        model=ModelSpec(name=model, init="paper-caffe"),
        augment=Augment(flip=True, colour=0.1),
        optim=Optim(learning_rate=1e-2, nesterov=False, schedule="plateau", warmup=0.0),
        stages=stages,
        epochs=74,
        batch_size=256,
        precision="float32",
    )


def finetune(source: str, model: str | None = None) -> Recipe:
    """Fine-tuning: trains all weights of a pretrained network with a small learning rate.

    Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization" (AdamW).
    """
    return Recipe(
        name="finetune",
        data=DataSpec(source=source),
        model=ModelSpec(name=model or "vgg16", init="glorot"),
        optim=Optim(name="adamw", learning_rate=1e-4, weight_decay=0.01, clip=1.0),
        epochs=10,
        batch_size=64,
    )


def linear_probe(source: str, model: str | None = None) -> Recipe:
    """Linear probe: trains a new last dense layer on a pretrained network whose weights are frozen.

    In the VGG family, this layer replaces all dense layers.

    Source: Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes".
    """
    recipe = finetune(source, model)
    update = {
        "name": "linear-probe",
        "optim": Optim(name="adamw", learning_rate=1e-3, weight_decay=0.01),
        "freeze": (ALL_BUT_LAST,),
    }
    return recipe.model_copy(update=update)


RECIPES: dict[str, Callable[[str, str | None], Recipe]] = {
    "scratch": scratch,
    "vgg-paper": vgg_paper,
    "finetune": finetune,
    "linear-probe": linear_probe,
}
WITH_WEIGHTS = ("finetune", "linear-probe")  # recipes that need pretrained weights
