"""Checks of a data set before training: classes, splits, unreadable files, duplicates."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.base.errors import DataError
from convscope.data.dataset import SPLITS, Dataset
from convscope.data.duplicates import NearDuplicates, exact_duplicates, near_duplicates
from convscope.data.image_facts import ImageFacts, Progress, collect_image_facts
from convscope.data.split import assign_splits

TINY, ROUGH_CROP, UNEVEN = 16, 0.25, 10
NO_SPLIT = "none"


@dataclass(frozen=True)
class Check:
    """The result of checking a data set.

    Attributes:
        dataset: the data set.
        splits: (n,) of "train", "val", "test"; "none" if no splits could be assigned.
        drawn: splits that the data lack. They are drawn as `convscope train` does with seed 0.
        problems: the reasons why training would fail.
        facts: size, format and fingerprint of each image.
        duplicates: groups of images with equal content, by index.
        near: pairs of nearly equal images in different splits.
    """

    dataset: Dataset
    splits: np.ndarray
    drawn: tuple[str, ...]
    problems: tuple[str, ...]
    facts: ImageFacts
    duplicates: tuple[tuple[int, ...], ...]
    near: NearDuplicates

    @property
    def bad(self) -> dict[int, str]:
        """The unreadable images: the reason, by image index."""
        return self.facts.bad

    def counts(self) -> np.ndarray:
        """Images per class in train, val, test and none, unreadable ones too: (classes, 4)."""
        counts = np.zeros((len(self.dataset.class_names), 4), dtype=np.int64)
        for column, split in enumerate((*SPLITS, NO_SPLIT)):
            labels = self.dataset.labels[self.splits == split]
            counts[:, column] = np.bincount(labels, minlength=len(counts))
        return counts

    def across(self) -> list[tuple[int, ...]]:
        """The groups of equal images that occur in more than one split."""
        return [g for g in self.duplicates if len(set(self.splits[list(g)].tolist())) > 1]

    def conflicts(self) -> list[tuple[int, ...]]:
        """The groups of equal images that occur in more than one class."""
        return [g for g in self.duplicates if len(set(self.dataset.labels[list(g)].tolist())) > 1]

    def cropped(self) -> np.ndarray:
        """The share of each image's pixels outside its central square, (n,), 0..1."""
        sides = self.facts.sizes
        longer = np.maximum(sides.max(axis=1), 1)
        return np.where(self.facts.readable, 1 - sides.min(axis=1) / longer, 0.0)

    def file(self, index: int) -> dict[str, str]:
        """Path, split and class of image `index`."""
        return {
            "path": self.dataset.paths[index],
            "split": str(self.splits[index]),
            "class": self.dataset.class_names[self.dataset.labels[index]],
        }

    def remarks(self) -> list[str]:
        """Problems and warnings, one sentence each."""
        return [*self.problems, *_about_names(self), *_about_counts(self), *_about_images(self)]

    def as_json(self) -> dict[str, Any]:
        """The result as JSON-ready values."""
        counts, names = self.counts(), self.dataset.class_names
        bad = Counter(int(self.dataset.labels[index]) for index in self.bad)
        return {
            "name": self.dataset.name,
            "images": len(self.dataset),
            "classes": [
                {"index": i, "name": name, "images": int(counts[i].sum()), "bad": bad[i]}
                | dict(zip(SPLITS, counts[i].tolist(), strict=False))
                for i, name in enumerate(names)
            ],
            "splits": dict(zip((*SPLITS, NO_SPLIT), counts.sum(axis=0).tolist(), strict=True)),
            "drawn_splits": list(self.drawn),
            "imbalance": imbalance(self),
            "bad_files": [
                {**self.file(i), "reason": reason} for i, reason in sorted(self.bad.items())
            ],
            "ignored_files": self.dataset.ignored,
            "sizes": _sizes(self),
            "modes": dict(Counter(self.facts.kinds[self.facts.readable].tolist()).most_common()),
            "cropped": _cropped(self),
            "duplicates": [_group(self, group) for group in self.duplicates],
            "near_duplicates": [
                {**_group(self, (p.held_out, p.other)), "distance": round(p.distance, 4)}
                for p in self.near.pairs
            ],
            "near_limit": round(self.near.limit, 4),
            "remarks": self.remarks(),
        }


def check(dataset: Dataset, progress: Progress = lambda done, total: None) -> Check:
    """Checks `dataset`, reading each image once.

    Splits are those of the data. Missing ones are drawn as training does with seed 0.

    Args:
        dataset: the data set.
        progress: called from time to time with the number of images checked and their total.
    """
    problems: list[str] = []
    given = set(dataset.splits.tolist()) - {""}
    try:
        splits = assign_splits(dataset, 0, None, None)
    except DataError as error:
        problems.append(str(error))
        splits = np.where(dataset.splits == "", NO_SPLIT, dataset.splits)
    if len(dataset.class_names) == 1:
        only = "".join(dataset.class_names)
        problems.append(
            f"only one class, {only}, but a classifier needs two or more; "
            "is this the folder above the class folders?"
        )
    drawn = tuple(split for split in SPLITS if split not in given and (splits == split).any())
    facts = collect_image_facts(dataset, progress)
    readable = facts.readable
    return Check(
        dataset=dataset,
        splits=splits,
        drawn=drawn,
        problems=tuple(problems),
        facts=facts,
        duplicates=tuple(exact_duplicates(facts.digests, readable)),
        near=near_duplicates(facts.digests, facts.hashes, facts.thumbnails, splits, readable),
    )


def imbalance(result: Check) -> dict[str, Any] | None:
    """The largest and the smallest class of the readable training images; None if there are none.

    `ratio` is None if the smallest class is empty. `share` is the accuracy of always predicting the
    largest class.
    """
    labels = result.dataset.labels[(result.splits == "train") & result.facts.readable]
    train = np.bincount(labels, minlength=len(result.dataset.class_names))
    if not train.sum():
        return None
    most, least = int(train.argmax()), int(train.argmin())
    names = result.dataset.class_names
    return {
        "largest": {"class": names[most], "images": int(train[most])},
        "smallest": {"class": names[least], "images": int(train[least])},
        "ratio": round(float(train[most] / train[least]), 3) if train[least] else None,
        "share": round(float(train[most] / train.sum()), 4),
    }


def _sizes(result: Check) -> dict[str, Any] | None:
    sizes = result.facts.sizes[result.facts.readable]
    if not len(sizes):
        return None
    common = Counter(map(tuple, sizes.tolist())).most_common(5)

    def spread(values: np.ndarray) -> dict[str, int]:
        low, middle, high = np.quantile(values, [0, 0.5, 1], method="lower").tolist()
        return {"min": int(low), "median": int(middle), "max": int(high)}

    return {
        "height": spread(sizes[:, 0]),
        "width": spread(sizes[:, 1]),
        "different": len(np.unique(sizes, axis=0)),
        "common": [{"height": h, "width": w, "images": n} for (h, w), n in common],
    }


def _cropped(result: Check) -> dict[str, Any] | None:
    if not result.facts.readable.any():
        return None
    shares = result.cropped()
    worst = int(shares.argmax())
    return {
        "mean": round(float(shares[result.facts.readable].mean()), 4),
        "worst": round(float(shares[worst]), 4),
        "worst_file": result.dataset.paths[worst],
    }


def _group(result: Check, group: tuple[int, ...]) -> dict[str, Any]:
    members = list(group)
    return {
        "files": [result.file(index) for index in members],
        "across_splits": len(set(result.splits[members].tolist())) > 1,
        "same_class": len(set(result.dataset.labels[members].tolist())) == 1,
    }


def _about_names(result: Check) -> list[str]:
    names, remarks = result.dataset.class_names, []
    if any(name.isdecimal() for name in names) and list(names) != sorted(
        names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    ):
        order = ", ".join(f"{i} is {name}" for i, name in enumerate(names[:4]))
        remarks.append(
            f"class names that are numbers are sorted as text, so index {order}; "
            "classes are matched by name everywhere"
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold().strip()
        alike.setdefault(plain, []).append(name)
    return remarks + [
        f"{' and '.join(map(repr, same))} are separate classes; if they are meant to be one, "
        "put their images into one folder"
        for same in alike.values()
        if len(same) > 1
    ]


def _about_counts(result: Check) -> list[str]:
    remarks, names = [], result.dataset.class_names
    ratio = imbalance(result)
    if ratio and (ratio["ratio"] is None or ratio["ratio"] >= UNEVEN):
        most, least = ratio["largest"], ratio["smallest"]
        remarks.append(
            f"uneven: {most['images']:,} training images of {most['class']}, {least['images']:,} "
            f"of {least['class']}; `--class-weights` gives rare classes more weight"
        )
    single = [names[i] for i in np.flatnonzero(result.counts().sum(axis=1) == 1)]
    if single:
        first = ", ".join(single[:5]) + (", ..." if len(single) > 5 else "")
        remarks.append(
            f"classes with one image, which cannot be used for both training and test: {first}"
        )
    if result.dataset.ignored:
        remarks.append(f"{result.dataset.ignored:,} files with other endings were left out")
    return remarks


def _about_images(result: Check) -> list[str]:
    remarks, readable = [], result.facts.readable
    modes = {kind.split()[1] for kind in result.facts.kinds[readable].tolist()}
    if len(modes) > 1:
        remarks.append(
            f"mixed modes ({', '.join(sorted(modes))}): all become "
            f"{'grey' if result.dataset.channels == 1 else 'RGB'}; do classes differ in mode?"
        )
    tiny = int((result.facts.sizes[readable].min(axis=1, initial=TINY) < TINY).sum())
    if tiny:
        remarks.append(f"{tiny:,} images have a side of less than {TINY} pixels")
    cropped = _cropped(result)
    if cropped and cropped["mean"] >= ROUGH_CROP:
        remarks.append(
            f"a square crop loses {cropped['mean']:.0%} of the pixels on average; "
            "`--set data.fit=pad` keeps them all"
        )
    if conflicts := result.conflicts():
        remarks.append(f"equal images occur in different classes: {len(conflicts):,} groups")
    return remarks
