"""The kind of a node, a closed enum, and torch's operations of each kind."""

from enum import StrEnum


class Kind(StrEnum):
    """What a node computes. `OTHER` is what convscope can record but not explain."""

    INPUT = "input"
    CONVOLUTION = "convolution"
    LINEAR = "linear"
    MAX_POOL = "max_pool"
    AVERAGE_POOL = "average_pool"
    ADAPTIVE_AVERAGE_POOL = "adaptive_average_pool"
    ADAPTIVE_MAX_POOL = "adaptive_max_pool"
    BATCH_NORM = "batch_norm"
    LOCAL_RESPONSE_NORM = "local_response_norm"
    # Activation functions, by their names.
    RELU = "relu"
    RELU6 = "relu6"
    LEAKY_RELU = "leaky_relu"
    ELU = "elu"
    SELU = "selu"
    CELU = "celu"
    GELU = "gelu"
    SILU = "silu"
    MISH = "mish"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    SOFTPLUS = "softplus"
    HARDTANH = "hardtanh"
    HARDSIGMOID = "hardsigmoid"
    HARDSWISH = "hardswish"
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    CONCATENATE = "concatenate"
    # Rearrangements: every output value is one of the input's values, or a constant of the border.
    FLATTEN = "flatten"
    RESHAPE = "reshape"
    PERMUTE = "permute"
    SLICE = "slice"
    PAD = "pad"
    IDENTITY = "identity"
    DROPOUT = "dropout"
    SOFTMAX = "softmax"
    CROSS_ENTROPY = "cross_entropy"
    OTHER = "other"


ACTIVATIONS = frozenset(
    kind for kind in Kind if list(Kind).index(Kind.RELU) <= list(Kind).index(kind)
    <= list(Kind).index(Kind.HARDSWISH)
)  # fmt: skip
WITH_WEIGHTS = frozenset({Kind.CONVOLUTION, Kind.LINEAR, Kind.BATCH_NORM})
POOLS = frozenset(
    {Kind.MAX_POOL, Kind.AVERAGE_POOL, Kind.ADAPTIVE_AVERAGE_POOL, Kind.ADAPTIVE_MAX_POOL}
)
ARITHMETIC = frozenset({Kind.ADD, Kind.SUBTRACT, Kind.MULTIPLY, Kind.DIVIDE})
REARRANGEMENTS = frozenset(
    {
        Kind.CONCATENATE, Kind.FLATTEN, Kind.RESHAPE, Kind.PERMUTE, Kind.SLICE, Kind.PAD,
        Kind.IDENTITY, Kind.DROPOUT,
    }
)  # fmt: skip
# They show the input's values again, without computing new ones; their outputs are not counted as
# activations. (Concatenation and padding write new arrays, and count.)
VIEWS = REARRANGEMENTS - {Kind.CONCATENATE, Kind.PAD}

# Their outputs are probabilities and a loss: another unit than activations.
PROBABILITIES = frozenset({Kind.SOFTMAX, Kind.CROSS_ENTROPY})

# torch's operations in `torch.ops.aten`, without overload and without the `_` of in-place ones.
_OPERATIONS: dict[Kind, str] = {
    Kind.CONVOLUTION: "conv2d",
    Kind.LINEAR: "linear",
    Kind.MAX_POOL: "max_pool2d max_pool2d_with_indices",
    Kind.AVERAGE_POOL: "avg_pool2d",
    Kind.ADAPTIVE_AVERAGE_POOL: "adaptive_avg_pool2d",
    Kind.ADAPTIVE_MAX_POOL: "adaptive_max_pool2d",
    Kind.BATCH_NORM: "batch_norm _native_batch_norm_legit_no_training",
    Kind.RELU: "relu",
    Kind.RELU6: "relu6",
    Kind.LEAKY_RELU: "leaky_relu",
    Kind.ELU: "elu",
    Kind.SELU: "selu",
    Kind.CELU: "celu",
    Kind.GELU: "gelu",
    Kind.SILU: "silu",
    Kind.MISH: "mish",
    Kind.SIGMOID: "sigmoid",
    Kind.TANH: "tanh",
    Kind.SOFTPLUS: "softplus",
    Kind.HARDTANH: "hardtanh",
    Kind.HARDSIGMOID: "hardsigmoid",
    Kind.HARDSWISH: "hardswish",
    Kind.ADD: "add",
    Kind.SUBTRACT: "sub rsub",
    Kind.MULTIPLY: "mul",
    Kind.DIVIDE: "div",
    Kind.CONCATENATE: "cat concat concatenate stack",
    Kind.FLATTEN: "flatten",
    Kind.RESHAPE: "view reshape _unsafe_view squeeze unsqueeze unflatten expand",
    Kind.PERMUTE: "permute transpose swapaxes movedim channel_shuffle pixel_shuffle "
    "pixel_unshuffle flip",
    Kind.SLICE: "slice select narrow chunk split split_with_sizes unbind slice_scatter "
    "select_scatter",
    Kind.PAD: "pad constant_pad_nd reflection_pad2d replication_pad2d",
    Kind.IDENTITY: "contiguous clone alias detach lift_fresh_copy",
    Kind.DROPOUT: "dropout feature_dropout alpha_dropout feature_alpha_dropout",
    Kind.SOFTMAX: "softmax _softmax",
}
KIND_OF: dict[str, Kind] = {
    name: kind for kind, names in _OPERATIONS.items() for name in names.split()
}
