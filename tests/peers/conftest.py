"""torchvision for the tests beside it."""

import pytest
import torch


@pytest.fixture(scope="session")
def torchvision_models():
    # Its wheel expects two operators that only its CUDA build brings.
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

    yield models
    del library
