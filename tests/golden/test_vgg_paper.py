"""The VGG paper's recipe: its dry run as stored, and three real steps at 224 pixels.

To store it anew after a wanted change: `python tests/golden/test_vgg_paper.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.training.catalog import vgg_paper
from convscope.training.events import Prepared, StageStarted, Stepped
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


@pytest.mark.slow
def test_three_real_steps_at_224_pixels(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        for number in range(6):
            low = 0 if name == "dark" else 120
            small = generator.integers(low, low + 130, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(small).resize((400, 300)).save(tmp_path / name / f"{number}.jpg")
    recipe = vgg_paper(str(tmp_path), "vgg11").with_settings(
        {"batch_size": 2, "data.workers": 0, "model.options.head": [64, 64]}
    )
    events = []
    for event in train(recipe):
        events.append(event)
        if isinstance(event, Stepped) and event.step == 3:
            break
    prepared = next(event for event in events if isinstance(event, Prepared))
    assert prepared.preprocess.size == (224, 224)
    assert prepared.preprocess.resize == 256
    # The mean is subtracted and nothing else: values keep the scale of 0..255.
    assert prepared.preprocess.std == pytest.approx((1 / 255,) * 3)
    assert next(e for e in events if isinstance(e, StageStarted)).stages == 3
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [step.learning_rate for step in steps] == [1e-2] * 3
    assert all(np.isfinite(step.loss) for step in steps)


if __name__ == "__main__":
    STORED.write_text(json.dumps(dry_run(), indent=1) + "\n")
