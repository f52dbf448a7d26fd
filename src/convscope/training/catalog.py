"""Recipes by name: functions from a data set and a model to a frozen `Recipe`."""

from collections.abc import Callable

from convscope.base.errors import ConvscopeError
from convscope.data.augment import Augment
from convscope.training.recipe import DataSpec, ModelSpec, Optim, Recipe, Stage
from convscope.training.transfer import ALL_BUT_LAST


def scratch(source: str, model: str | None = None) -> Recipe:
    """From random weights in little time: SGD with Nesterov momentum, one cycle, flips.

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
    """Simonyan & Zisserman 2014, section 3.1, in full.

    Batch 256, momentum 0.9, L2 5e-4, learning rate 1e-2 divided by 10 on a plateau three times, 74
    epochs; mean RGB subtracted and nothing else; random 224 crop, flip, AlexNet's RGB shift. Net A
    is trained first; the deeper net takes its first four convolutions and its dense layers from it.
    Then the chain of scales: S = 256, S = 384 from those weights at 1e-3, S in [256, 512] from
    S = 384.

    Two readings of ours: net A's convolutions go to the layers of the deeper net with the same
    place in the same block, and jittered crops are cut from S = 512 and brought down.

    Raises:
        ConvscopeError: for a network outside the family.
    """
    model = model or "vgg16"
    if not model.startswith("vgg1"):
        raise ConvscopeError(f"the recipe vgg-paper trains vgg11 to vgg19, not {model}")
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
    """From weights of another training, all of them changed a little.

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
    """From weights of another training, of which only a new last dense layer is trained.

    Of the VGG family, the dense layers are replaced by one.

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
WITH_WEIGHTS = ("finetune", "linear-probe")  # recipes that start from another training
