"""Exact and near duplicates are detected; merely similar images are not."""

import io

import numpy as np
import pytest
from PIL import Image

from convscope.data import duplicates
from convscope.data.duplicates import (
    distances,
    exact_duplicates,
    fingerprint,
    near_duplicates,
)
from convscope.data.image_facts import collect_image_facts


def photo(seed, side=32):
    """Noise with a photo's spectrum, (side, side, 3): amplitudes fall with the frequency."""
    generator = np.random.default_rng(seed)
    across = np.fft.fftfreq(side)
    frequency = np.maximum(np.hypot(across[:, None], across[None]), 1 / side)[..., None]
    grey = generator.normal(size=(side, side, 1))
    noise = grey + 0.2 * generator.normal(size=(side, side, 3))
    waves = np.fft.fft2(noise, axes=(0, 1)) / frequency**1.5
    values = np.fft.ifft2(waves, axes=(0, 1)).real
    values = (values - values.mean()) / values.std()
    return np.clip(128 + 50 * values, 0, 255).astype(np.uint8)


def encoded(pixels, kind, quality=75):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, quality=quality)
    return np.asarray(Image.open(content).convert("RGB"))


def scaled(pixels, factor):
    side = round(len(pixels) * factor)
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


LEAKS = (
    lambda pixels: encoded(pixels, "JPEG", 40),
    lambda pixels: encoded(pixels, "JPEG", 90),
    lambda pixels: encoded(pixels, "WEBP", 60),
    lambda pixels: encoded(scaled(pixels, 0.6), "JPEG", 90),
    lambda pixels: scaled(pixels, 2),
)


def found_among(train, test):
    images = [*train, *test]
    prints = [fingerprint(pixels) for pixels in images]
    digests = np.array([str(hash(pixels.tobytes())) for pixels in images])
    splits = np.array(["train"] * len(train) + ["test"] * len(test))
    return near_duplicates(
        digests,
        np.array([code for code, _ in prints], np.uint64),
        np.stack([thumbnail for _, thumbnail in prints]),
        splits,
        np.ones(len(images), bool),
    )


def test_only_re_encoded_and_resized_copies_are_found():
    train = [photo(seed) for seed in range(400)]
    leaks = [LEAKS[i % len(LEAKS)](train[7 * i]) for i in range(50)]
    clean = [photo(1000 + seed) for seed in range(150)]
    near = found_among(train, [*leaks, *clean])
    right = {(400 + i, 7 * i) for i in range(50)}
    got = {(pair.held_out, pair.other) for pair in near.pairs}
    assert len(got & right) >= 48
    assert got <= right


def test_a_copy_is_found_among_images_that_are_all_similar():
    """One picture, each time a little different: as clothes of 28 x 28 pixels are."""
    base = photo(0).astype(float)

    def alike(seed):
        return np.clip(base + 0.35 * (photo(seed).astype(float) - 128), 0, 255).astype(np.uint8)

    train = [alike(seed) for seed in range(1, 151)]
    test = [alike(seed) for seed in range(501, 560)] + [encoded(train[3], "JPEG", 90)]
    near = found_among(train, test)
    assert [(pair.held_out, pair.other) for pair in near.pairs] == [(150 + 59, 3)]
    assert near.limit < 0.2


def test_blank_images_are_not_near_duplicates_of_each_other():
    blank = [np.full((9, 9, 3), level, np.uint8) for level in range(60)]
    assert found_among(blank[:30], blank[30:]).pairs == ()


def test_equal_images_are_no_near_duplicates_and_count_once():
    same = photo(3)
    near = found_among([same, same, encoded(same, "JPEG")], [same])
    assert [(pair.held_out, pair.other) for pair in near.pairs] == [(3, 2)]


def test_a_held_out_image_has_at_most_five_partners():
    copies = [encoded(photo(3), "JPEG", quality) for quality in range(50, 95, 5)]
    others = [photo(seed) for seed in range(10, 40)]
    near = found_among(copies, [photo(3), *others])
    assert len(near.pairs) == duplicates.NEAREST


def test_more_candidates_than_are_looked_at_do_not_hide_the_nearest(monkeypatch):
    monkeypatch.setattr(duplicates, "_CANDIDATES", 3)
    train = [photo(seed) for seed in range(40)]
    near = found_among(train, [encoded(train[5], "PNG")[:, ::-1][:, ::-1] // 2 * 2, photo(77)])
    assert [(pair.held_out, pair.other) for pair in near.pairs] == [(40, 5)]


def test_the_size_of_blocks_does_not_change_the_pairs(monkeypatch):
    train = [photo(seed) for seed in range(60)]
    test = [encoded(train[i], "JPEG") for i in range(20)]
    whole = found_among(train, test)
    monkeypatch.setattr(duplicates, "_BLOCK", 130)
    assert found_among(train, test) == whole
    assert len(whole.pairs) == 20


def test_the_hash_is_that_of_a_slow_cosine_transform():
    pixels = photo(8)
    grey = pixels.astype(float) @ [0.299, 0.587, 0.114]
    place = np.arange(32) + 0.5
    values = []
    for u in range(8):
        for v in range(8):
            wave = np.outer(np.cos(np.pi * u * place / 32), np.cos(np.pi * v * place / 32))
            scale = (0.5**0.5 if u == 0 else 1) * (0.5**0.5 if v == 0 else 1)
            values.append(scale * (grey * wave).sum())
    bits = [value > np.median(values[1:]) for value in values[1:]]
    code = fingerprint(pixels)[0]
    read = np.unpackbits(np.array([code], np.uint64).view(np.uint8))[:63].astype(bool)
    assert read.tolist() == bits


def test_distances_by_hand():
    one = np.zeros((1, 16, 16, 1), np.uint8)
    one[:, :8] = 100
    moved = one + np.uint8(10)
    assert distances(one, moved) == pytest.approx([10 / 50])
    assert distances(one, one).tolist() == [0]


def test_equal_images_are_grouped_and_unreadable_ones_are_not():
    digests = np.array(["b", "a", "b", "", "", "a", "b", "c"])
    readable = digests != ""
    assert exact_duplicates(digests, readable) == [(0, 2, 6), (1, 5)]


def test_a_grey_data_set_is_compared_too(dataset):
    data = dataset([0, 1] * 6, channels=1, splits=["train"] * 6 + ["test"] * 6)
    facts = collect_image_facts(data)
    assert facts.thumbnails.shape == (12, 16, 16, 1)
    near = near_duplicates(
        facts.digests, facts.hashes, facts.thumbnails, data.splits, facts.readable
    )
    assert near.pairs == ()
