"""Train, run and inspect convolutional image classifiers.

>>> import convscope
>>> model = convscope.build_model("vgg16", num_classes=10)
"""

import lazy_loader

__version__ = "0.1.0"

# The public names stand in __init__.pyi alone. Each is imported when it is first used, so that
# `convscope --help` does not wait for torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
