"""The vocabulary of shapes. Checked in the test run (jaxtyping + beartype), not in the product."""

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

# One image as read from a file: rows first, channels last, values 0..255. Underscored axes may
# differ between what a function takes and what it returns.
Pixels = UInt8[np.ndarray, "_height _width _channels"]
# A batch of such images, all of one size.
PixelBatch = UInt8[np.ndarray, "batch height width channels"]
# As the network sees them, after preprocessing.
Images = Float[Tensor, "batch channels height width"]
# Scores before softmax.
Logits = Float[Tensor, "batch classes"]
# Class indices.
Targets = Int[Tensor, " batch"]
