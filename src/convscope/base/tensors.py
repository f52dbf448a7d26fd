"""Array and tensor types with named axes. Tests check them (jaxtyping and beartype)."""

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

# One image as read from a file: rows first, channels last, values 0..255. An axis that begins with
# an underscore may have another size in a function's result than in its arguments.
Pixels = UInt8[np.ndarray, "_height _width _channels"]
# A batch of such images, all of the same size.
PixelBatch = UInt8[np.ndarray, "batch height width channels"]
# The network's input: images after preprocessing.
Images = Float[Tensor, "batch channels height width"]
# Scores before softmax.
Logits = Float[Tensor, "batch classes"]
# Class indices.
Targets = Int[Tensor, " batch"]
