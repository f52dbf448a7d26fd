"""The sheet of pathways: every case draws, nothing lies on anything else, numbers add up."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from convscope.contract.files import as_json
from convscope.drawing.colours import Range, coloured
from convscope.graph.capture import capture
from convscope.graph.trace import trace
from convscope.lenses.pathways.compute import pathways
from convscope.lenses.pathways.curves import Edge, draw_edges
from convscope.lenses.pathways.files import short, sum_lines, survey_csv
from convscope.lenses.pathways.picture import Panel, pathways_sheet
from convscope.lenses.pathways.proof import prove
from convscope.lenses.pathways.result import result_of

NAMES = tuple(f"class {number}" for number in range(10))


@functools.cache
def panel(name, *, dead=False):
    module = zoo.network(name)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight.data.mul_(5)
        if dead and isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data.zero_()
    record = trace(capture(module, zoo.images(1)), zoo.images(1))
    found = pathways(record)
    pixels = (np.arange(32 * 32 * 3) % 256).astype(np.uint8).reshape(32, 32, 3)
    return Panel(name, pixels, found, prove(record, found), NAMES)


def assert_apart(sheet):
    width, height = sheet.picture.size
    for index, (left, top, right, bottom) in enumerate(sheet.tiles):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for other in sheet.tiles[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_every_family_has_a_sheet_with_two_tiles_a_map(name):
    sheet = pathways_sheet([panel(name)], title=name)
    assert_apart(sheet)
    maps = [layer for layer in panel(name).pathways.layers if layer.activations.ndim == 3]
    assert len(sheet.tiles) == 1 + 2 * sum(len(layer.drawn) for layer in maps)
    assert sheet.vmax == -sheet.vmin > 0


def test_two_images_stand_side_by_side_on_one_scale():
    one, two = panel("vgg-bn"), panel("resnet")
    alone = [pathways_sheet([p], title="t") for p in (one, two)]
    both = pathways_sheet([one, two], title="t")
    assert_apart(both)
    assert both.vmax == max(sheet.vmax for sheet in alone)
    assert both.picture.width > 2 * 1240
    assert len(both.tiles) == sum(len(sheet.tiles) for sheet in alone)


def test_a_dead_network_has_a_sheet():
    dead = panel("vgg", dead=True)
    assert dead.proofs == ()
    assert len(pathways_sheet([dead], title="dead").tiles) == 1


def test_a_line_has_the_colour_of_its_value_and_zero_is_not_drawn():
    from PIL import Image

    white = Image.new("RGB", (120, 60), "white")
    for value in (2.0, -1.0, 0.0):
        picture = white.copy()
        draw_edges(picture, (0, 0, 120, 60), [Edge((0, 30), (120, 30), value, 2.0)])
        middle = picture.getpixel((60, 30))
        drawn = tuple(coloured(np.array([value]), Range(-2.0, 2.0))[0].tolist())
        assert middle == (drawn if value else (255, 255, 255))


@pytest.mark.parametrize("largest", [1e-9, 3e-4, 0.02, 0.5, 7.0, 80.0, 9e4, 1e7])
def test_numbers_beside_each_other_are_short(largest):
    for share in (1, -1, 0.1, -0.004, 0):
        assert len(short(share * largest, largest)) <= 7


def test_a_sum_that_fails_says_so():
    for name, holds in (("vgg", True), ("activations", False)):
        found = panel(name).pathways
        lines = sum_lines(found.layers[0], found, NAMES)
        assert any("DOES NOT HOLD" in line for line in lines) != holds


@pytest.mark.parametrize("name", ["vgg-bn", "resnet", "mlp", "densenet"])
def test_units_and_bias_share_of_the_json_give_the_logit(name):
    shown = panel(name)
    found = as_json(result_of(shown.pathways, shown.proofs, NAMES, "x"))
    for layer in found["layers"]:
        total = sum(u["contribution"] for u in found["units"] if u["layer"] == layer["layer"])
        assert total + layer["bias_share"] == pytest.approx(found["logit"], abs=1e-4)
    assert found["bias_share"] == found["layers"][0]["bias_share"]
    assert found["ablated_drop"] == found["proofs"][0]["drop"]
    assert found["random_drop_std"] == pytest.approx(
        torch.tensor(found["proofs"][0]["random_drops"], dtype=torch.float64).std().item()
    )


def test_the_json_of_a_dead_network_has_no_drops():
    dead = panel("vgg", dead=True)
    found = as_json(result_of(dead.pathways, dead.proofs, NAMES, "x"))
    assert found["ablated_drop"] is None
    assert found["units"] == []
    assert any("every unit" in note for note in found["notes"])


def test_the_table_has_a_line_a_proof():
    shown = panel("vgg-bn")
    lines = survey_csv([("a,b.png", shown.pathways, shown.proofs)], NAMES).splitlines()
    assert len(lines) == 1 + len(shown.proofs)
    assert lines[1].startswith('"a,b.png",')
