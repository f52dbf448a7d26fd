"""docs/glossary.md: a format that a program can read, complete and sorted."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/glossary.md"
NEEDED = """activation, feature map, channel, unit, kernel, filter, stride, padding, dilation,
receptive field, effective receptive field, logit, softmax, cross-entropy, log-loss, calibration,
ECE, confidence interval, precision, recall, F1, top-1, top-5, multiply-adds, parameters,
deconvnet projection, class selectivity, dead channel, ablation, contribution, bias share,
residual, contrast class, consistency, border mode, split, epoch, learning rate, checkpoint,
fine-tuning, linear probe, trunk, backbone, batch normalisation, pooling, trace, graph, lens"""


def entries(text):
    """The entries as (term, definition, source); ValueError where one has another form."""
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    found = []
    for part in parts:
        term, *paragraphs = (" ".join(one.split()) for one in part.strip().split("\n\n"))
        if len(paragraphs) != 2 or not re.match(r"Source: \S", paragraphs[1]):
            raise ValueError(f"{term}: one paragraph and one source, not {paragraphs}")
        found.append((term, paragraphs[0], paragraphs[1].removeprefix("Source: ")))
    return found


def test_every_entry_has_a_definition_and_a_source():
    for term, definition, source in entries(PAGE.read_text()):
        assert definition.endswith("."), term
        assert not definition.startswith("Source"), term
        assert source.endswith("."), term


def test_the_terms_are_sorted_and_not_repeated():
    terms = [term.lower() for term, _, _ in entries(PAGE.read_text())]
    assert terms == sorted(set(terms))


def test_the_terms_of_the_page_and_the_commands_are_there():
    terms = {term for term, _, _ in entries(PAGE.read_text())}
    assert {" ".join(term.split()) for term in NEEDED.split(",")} <= terms


@pytest.mark.parametrize(
    "text", ["## logit\n\nA number.\n", "## logit\n\nSource: a paper.\n", "## logit\n\nA.\n\nB.\n"]
)
def test_an_entry_without_definition_or_source_is_noticed(text):
    with pytest.raises(ValueError, match="logit"):
        entries(text)
