"""Ledgers of activation functions, sums, products and rearrangements, beside their definitions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.graph.capture import capture
from convscope.graph.kinds import ACTIVATIONS, Kind
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.ledger.place import Place
from convscope.graph.trace import trace
from ledgers import SHAPE, Function, checked, traced

C, H, W = SHAPE
LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def hardsigmoid(x):
    return min(max(x + 3, 0), 6) / 6


def softplus(x):
    return math.log(1 + math.exp(x))


ACTIVATION = {
    Kind.RELU: (nn.ReLU(), lambda x: max(0.0, x)),
    Kind.RELU6: (nn.ReLU6(), lambda x: min(max(0.0, x), 6.0)),
    Kind.LEAKY_RELU: (nn.LeakyReLU(0.2), lambda x: x if x > 0 else 0.2 * x),
    Kind.ELU: (nn.ELU(0.7), lambda x: x if x > 0 else 0.7 * (math.exp(x) - 1)),
    Kind.SELU: (nn.SELU(), lambda x: LAMBDA * (x if x > 0 else ALPHA * (math.exp(x) - 1))),
    Kind.CELU: (nn.CELU(0.7), lambda x: x if x > 0 else 0.7 * (math.exp(x / 0.7) - 1)),
    Kind.GELU: (nn.GELU(), lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2)))),
    Kind.SILU: (nn.SiLU(), lambda x: x * sigmoid(x)),
    Kind.MISH: (nn.Mish(), lambda x: x * math.tanh(softplus(x))),
    Kind.SIGMOID: (nn.Sigmoid(), sigmoid),
    Kind.TANH: (nn.Tanh(), lambda x: 1 - 2 / (math.exp(2 * x) + 1)),
    Kind.SOFTPLUS: (nn.Softplus(), softplus),
    Kind.HARDTANH: (nn.Hardtanh(-0.5, 2), lambda x: min(max(x, -0.5), 2.0)),
    Kind.HARDSIGMOID: (nn.Hardsigmoid(), hardsigmoid),
    Kind.HARDSWISH: (nn.Hardswish(), lambda x: x * hardsigmoid(x)),
}


def test_every_activation_has_a_twin():
    assert set(ACTIVATION) == ACTIVATIONS


@pytest.mark.parametrize("kind", ACTIVATION)
def test_activation(kind):
    layer, formula = ACTIVATION[kind]
    record = traced(nn.Sequential(Function(lambda m, x: 4 * x), layer))  # reaches all branches
    for ledger in checked(record, "1", lambda image, at: formula(4 * image[at[0]][at[1]][at[2]])):
        assert ledger.kind is kind
        assert [(term.node, term.index) for term in ledger.terms] == [("0", ledger.index)]


def test_gelu_by_tanh():
    def formula(image, at):
        x = image[at[0]][at[1]][at[2]]
        return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    checked(traced(nn.GELU(approximate="tanh")), "gelu", formula)


@pytest.mark.parametrize("kind", [*ACTIVATION, "gelu by tanh"])
def test_activations_are_torchs_everywhere(kind):
    layer = nn.GELU(approximate="tanh") if kind not in ACTIVATION else ACTIVATION[kind][0]
    far = [math.inf, 800.0, 88.0, 20.5, 6.0, 3.0, 1e-3, 1e-300]
    values = [0.0, math.nan, *far, *(-value for value in far)]
    images = torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)
    module = nn.Sequential(nn.Identity(), layer).double().eval()
    record = trace(capture(module, images), images)
    for column, right in enumerate(layer(images).flatten().tolist()):
        ledger = arithmetic(record, "1", (0, 0, column))
        # torch's GELU has no digits left where its 1 + erf is next to nothing.
        least = 1e-15 * abs(values[column]) if math.isfinite(values[column]) else 0
        assert ledger.sum == pytest.approx(right, rel=1e-12, abs=least, nan_ok=True)


P = torch.arange(1, C + 1).double().reshape(C, 1, 1) / 3  # a number for each channel
Q = torch.arange(1, W + 1).double() / 5  # a number for each column
R = torch.arange(1, H * W + 1).double().reshape(1, 1, H, W) / 7  # with a batch axis
# The function, what it gives for the values a = x and b = x mirrored at a place, and the weights
# of the terms, None where the formula is no weighted sum.
OPERATIONS = {
    "add": (lambda m, x: x + x.flip(3), lambda a, b, at: a + b, [1, 1]),
    "add, alpha": (
        lambda m, x: torch.add(x, x.flip(3), alpha=0.3), lambda a, b, at: a + 0.3 * b, [1, 0.3],
    ),
    "add a number": (lambda m, x: x + 2.5, lambda a, b, at: a + 2.5, [1]),
    "add a parameter": (lambda m, x: m.p + x, lambda a, b, at: a + (at[0] + 1) / 3, [1]),
    "add to itself": (lambda m, x: x + x, lambda a, b, at: 2 * a, [1, 1]),
    "add in place": (lambda m, x: (x * 1).add_(m.q), lambda a, b, at: a + (at[2] + 1) / 5, [1]),
    "subtract": (lambda m, x: x - x.flip(3), lambda a, b, at: a - b, [1, -1]),
    "subtract, alpha": (
        lambda m, x: torch.sub(x, x.flip(3), alpha=2), lambda a, b, at: a - 2 * b, [1, -2],
    ),
    "subtract from": (lambda m, x: 3 - x, lambda a, b, at: 3 - a, [-1]),
    "rsub": (
        lambda m, x: torch.rsub(x, x.flip(3), alpha=2), lambda a, b, at: b - 2 * a, [-2, 1],
    ),
    "parameter minus": (lambda m, x: m.q - x, lambda a, b, at: (at[2] + 1) / 5 - a, [-1]),
    "multiply": (lambda m, x: x * x.flip(3), lambda a, b, at: a * b, None),
    "square": (lambda m, x: x * x, lambda a, b, at: a * a, None),
    "multiply, number": (lambda m, x: 0.3 * x, lambda a, b, at: 0.3 * a, [0.3]),
    "multiply, parameter": (
        lambda m, x: m.r * x, lambda a, b, at: a * (at[1] * W + at[2] + 1) / 7, None,
    ),
    "divide": (lambda m, x: x / x.flip(3), lambda a, b, at: a / b, None),
    "divide by a number": (lambda m, x: x / 3, lambda a, b, at: a / 3, [1 / 3]),
    "divide by a parameter": (lambda m, x: x / m.q, lambda a, b, at: a / (at[2] + 1) * 5, None),
    "parameter by": (lambda m, x: m.p / x, lambda a, b, at: (at[0] + 1) / 3 / a, None),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_arithmetic_operations(name):
    function, formula, weights = OPERATIONS[name]
    record = traced(Function(function, p=P, q=Q, r=R))

    def twin(image, at):
        row = image[at[0]][at[1]]
        return formula(row[at[2]], row[W - 1 - at[2]], at)

    for ledger in checked(record, record.graph.output, twin):
        if weights is not None:
            assert ledger.weighted
            assert [term.weight for term in ledger.terms] == weights


def test_a_gate_broadcasts():
    record = traced(Function(lambda m, x: x * x.amax((2, 3), keepdim=True)))

    def twin(image, at):
        return image[at[0]][at[1]][at[2]] * max(map(max, image[at[0]]))

    for ledger in checked(record, "multiply", twin):
        assert [t.index for t in ledger.terms] == [ledger.index, (ledger.index[0], 0, 0)]


def at(*source):
    return lambda image: image[source[0]][source[1]][source[2]]


def written(m, x):
    y = x * 1
    y[:, 1:3, ::2].mul_(10)
    return y + 0


def padded(mode):
    return lambda m, x: F.pad(x, (1, 2, 3, 0), mode=mode)


def shuffled(c, i, j):
    """Pixel shuffle by 2: channel c of the result takes 4 channels in turn."""
    return (4 * c + 2 * (i % 2) + j % 2, i // 2, j // 2)


def reflected(i, size):
    i = abs(i)
    return min(i, 2 * (size - 1) - i)


def clamped(i, size):
    return min(max(i, 0), size - 1)


# For an index of the result, the index of the image's value that stands there.
REARRANGED = {
    "slice": (lambda m, x: x[:, :, 1:6:2, -4:-1], lambda c, i, j: (c, 1 + 2 * i, W - 4 + j)),
    "select": (lambda m, x: x[:, -1], lambda i, j: (C - 1, i, j)),
    "narrow": (lambda m, x: x.narrow(2, 2, 3), lambda c, i, j: (c, 2 + i, j)),
    "chunk": (lambda m, x: x.chunk(3, 2)[1], lambda c, i, j: (c, 2 + i, j)),
    "split": (lambda m, x: x.split([1, 3], 1)[1], lambda c, i, j: (1 + c, i, j)),
    "unbind": (lambda m, x: x.unbind(3)[5], lambda c, i: (c, i, 5)),
    "cat": (
        lambda m, x: torch.cat([x[:, 2:], x], 1),
        lambda c, i, j: ((c + 2 if c < 2 else c - 2), i, j),
    ),
    "cat with itself": (lambda m, x: torch.cat([x, x], 3), lambda c, i, j: (c, i, j % W)),
    "stack": (
        lambda m, x: torch.stack([x, x.flip(1)], 2),
        lambda c, k, i, j: ((C - 1 - c if k else c), i, j),
    ),
    "permute": (lambda m, x: x.permute(0, 3, 1, 2), lambda j, c, i: (c, i, j)),
    "transpose": (lambda m, x: x.transpose(-1, 1), lambda j, i, c: (c, i, j)),
    "flip": (lambda m, x: x.flip(1, 3), lambda c, i, j: (C - 1 - c, i, W - 1 - j)),
    "flatten": (lambda m, x: x.flatten(1), lambda n: (n // (H * W), n // W % H, n % W)),
    "flatten the maps": (lambda m, x: x.flatten(2), lambda c, n: (c, n // W, n % W)),
    "reshape": (
        lambda m, x: x.reshape(-1, 2, 2, H, W), lambda a, b, i, j: (2 * a + b, i, j),
    ),
    "unflatten": (lambda m, x: x.unflatten(2, (3, 2)), lambda c, a, b, j: (c, 2 * a + b, j)),
    "unsqueeze": (lambda m, x: x.unsqueeze(2), lambda c, _, i, j: (c, i, j)),
    "expand": (lambda m, x: x[:, :, :, :1].expand(-1, -1, -1, 5), lambda c, i, j: (c, i, 0)),
    "pixel_shuffle": (lambda m, x: F.pixel_shuffle(x, 2), shuffled),
    "channel_shuffle": (
        lambda m, x: F.channel_shuffle(x, 2), lambda c, i, j: (c // 2 + c % 2 * 2, i, j),
    ),
    "clone": (lambda m, x: x.clone(), lambda c, i, j: (c, i, j)),
    "dropout": (lambda m, x: F.dropout(x, 0.5, m.training), lambda c, i, j: (c, i, j)),
    "reflect": (padded("reflect"), lambda c, i, j: (c, reflected(i - 3, H), reflected(j - 1, W))),
    "replicate": (padded("replicate"), lambda c, i, j: (c, clamped(i - 3, H), clamped(j - 1, W))),
    "circular": (padded("circular"), lambda c, i, j: (c, (i - 3) % H, (j - 1) % W)),
    "crop": (lambda m, x: F.pad(x, (-1, -2)), lambda c, i, j: (c, i, j + 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", REARRANGED)
def test_rearrangements(name):
    function, source = REARRANGED[name]
    record = traced(Function(function))
    for ledger in checked(record, record.graph.output, lambda image, i: at(*source(*i))(image)):
        (term,) = ledger.terms
        assert (term.weight, term.padding) == (1.0, False)
        if record.graph[ledger.layer].inputs == ("input",):
            assert term.index == source(*ledger.index)


@pytest.mark.parametrize("channels", [0, 1])
def test_pad_with_a_constant(channels):
    border = (1, 2, 3, 0, channels, 0)
    record = traced(Function(lambda m, x: F.pad(x, border, value=-1.5)))

    def twin(image, index):
        c, i, j = index[0] - channels, index[1] - 3, index[2] - 1
        inside = 0 <= c < C and 0 <= i < H and 0 <= j < W
        return image[c][i][j] if inside else -1.5

    seen = set()
    for ledger in checked(record, "pad", twin):
        (term,) = ledger.terms
        seen.add(term.padding)
        inside = all(0 <= i < side for i, side in zip(term.index, SHAPE, strict=True))
        assert inside != term.padding
    assert seen == {True, False}


def test_a_write_into_a_part():
    record = traced(Function(written))
    kinds = {layer.node.operation for layer in record.layers}
    assert "slice_scatter" in kinds

    def twin(image, index):
        c, i, j = index
        return image[c][i][j] * (10 if c in (1, 2) and i % 2 == 0 else 1)

    checked(record, record.graph.output, twin)
    for layer in record.layers:
        if layer.node.operation == "slice_scatter":
            checked(record, layer.node.name, None)


def test_a_parameter_repeated_for_every_image():
    record = traced(
        Function(lambda m, x: torch.cat([x, m.p.expand(x.shape[0], -1, H, W)], 1), p=P[None])
    )

    def twin(image, index):
        c, i, j = index
        return image[c][i][j] if c < C else (c - C + 1) / 3

    checked(record, "concatenate", twin)
    for ledger in checked(record, "reshape", lambda image, index: (index[0] + 1) / 3):
        assert not len(ledger.terms)
        assert ledger.bias == ledger.sum


def test_whole_numbers_and_truth_values():
    record = traced(Function(lambda m, x: x[:, 1:] * (x > 0)[:, 1:]))
    checked(record, "multiply", lambda image, i: max(0.0, at(i[0] + 1, i[1], i[2])(image)))
    checked(record, "slice#2", lambda image, i: float(at(i[0] + 1, i[1], i[2])(image) > 0))


@pytest.mark.parametrize("dim", [1, 2, -1])
def test_a_value_of_a_concatenation_is_found_without_numbering_all(monkeypatch, dim):
    record = traced(Function(lambda m, x: torch.cat([x.tanh(), x, x.sigmoid()], dim)))
    monkeypatch.setattr(Place, "rerun", None)  # runs the node's steps on as many numbers
    axis = dim - 1 if dim > 0 else 2
    for ledger in checked(record, "concatenate", None):
        source, place = divmod(ledger.index[axis], SHAPE[axis])
        (term,) = ledger.terms
        assert term.node == ("tanh", "input", "sigmoid")[source]
        assert term.index[axis] == place
