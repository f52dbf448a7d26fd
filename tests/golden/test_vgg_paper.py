"""The VGG paper's recipe: its dry run as stored, and three real steps at 224 pixels.

To store it anew after a wanted change: `python tests/golden/test_vgg_paper.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.training.catalog import vgg_paper
from convscope.training.events import Checkpoint, Prepared, StageStarted, Stepped
from convscope.training.loop import train
from convscope.training.schedule import learning_rate

STORED = Path(__file__).with_name("vgg_paper.json")


def dry_run():
    """Every stage of the chain as plain values, with the learning rates of its four plateaus."""
    recipe = vgg_paper("IMAGES")
    stages = []
    for index, stage in enumerate(recipe.stages):
        here = recipe.at_stage(index)
        rates = [learning_rate(here.optim, 0.5, drops) for drops in range(4)]
        values = here.model_dump(mode="json", exclude={"stages"})
        stages.append({"stage": stage.model_dump(mode="json"), "rates": rates, "recipe": values})
    return stages


def test_the_chain_is_as_stored():
    assert dry_run() == json.loads(STORED.read_text())


def photos(root):
    generator = np.random.default_rng(0)
    for name in ("dark", "light"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            low = 0 if name == "dark" else 120
            small = generator.integers(low, low + 130, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(small).resize((400, 300)).save(root / name / f"{number}.jpg")
    return root


def test_the_command_shows_the_chain(tmp_path, capsys, monkeypatch):
    from convscope.cli.app import main

    arguments = ["train", photos(tmp_path / "photos"), "--recipe", "vgg-paper", "--dry-run"]
    out = tmp_path / "run"
    monkeypatch.setattr("sys.argv", ["convscope", *map(str, arguments), "--out", str(out)])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    text = capsys.readouterr().out
    network = "134,268,738 parameters"
    assert [line.strip() for line in text.splitlines() if "start" in line] == [
        "A at S=256: vgg11, 128,774,530 parameters, start random, shorter side 256",
        f"S=256: vgg16, {network}, start net-a, shorter side 256",
        f"S=384: vgg16, {network}, start previous, shorter side 384",
        f"S in [256, 512]: vgg16, {network}, start previous, shorter side 256 to 512",
    ]


@pytest.mark.slow
def test_three_real_steps_at_224_pixels_in_every_stage(tmp_path):
    recipe = vgg_paper(str(photos(tmp_path)), "vgg13").with_settings(
        {
            "batch_size": 2, "epochs": 1, "data.workers": 0,
            "model.options": {"widths": [4, 8, 8, 16, 16], "head": [32, 32]},
        }
    )  # fmt: skip
    events = [event for event in train(recipe) if not isinstance(event, Checkpoint)]
    prepared = next(event for event in events if isinstance(event, Prepared))
    assert prepared.preprocess.size == (224, 224)
    # The mean is subtracted and nothing else: values keep the scale of 0..255.
    assert prepared.preprocess.std == pytest.approx((1 / 255,) * 3)
    stages = [event for event in events if isinstance(event, StageStarted)]
    assert [stage.model for stage in stages] == ["vgg11", "vgg13", "vgg13", "vgg13"]
    assert [stage.preprocess.resize for stage in stages] == [256, 256, 384, 384]
    steps = [event for event in events if isinstance(event, Stepped)]
    each = stages[0].steps_per_epoch
    assert each >= 3
    assert [step.learning_rate for step in steps] == [1e-2] * 2 * each + [1e-3] * 2 * each
    assert all(np.isfinite(step.loss) for step in steps)


if __name__ == "__main__":
    STORED.write_text(json.dumps(dry_run(), indent=1) + "\n")
