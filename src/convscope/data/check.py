"""What is in a data set before anything is trained on it, and what will spoil the result."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.base.errors import DataError
from convscope.data.dataset import SPLITS, Dataset
from convscope.data.duplicates import NearDuplicates, exact_duplicates, near_duplicates
from convscope.data.looks import Looks, Progress, look_at
from convscope.data.split import assign_splits

TINY, ROUGH_CROP, UNEVEN = 16, 0.25, 10
NO_SPLIT = "none"


@dataclass(frozen=True)
class Check:
    """What was found in a data set.

    Attributes:
        dataset: what was looked at.
        splits: "train", "val", "test" for every image, (n,); "none" where none could be given.
        drawn: splits that the data do not bring: `convscope train` would hold them out so (seed 0).
        problems: why training would be refused.
        looks: what one look at each image found.
        duplicates: groups of images with equal content, by index.
        near: pairs of images in different splits that look the same.
    """

    dataset: Dataset
    splits: np.ndarray
    drawn: tuple[str, ...]
    problems: tuple[str, ...]
    looks: Looks
    duplicates: tuple[tuple[int, ...], ...]
    near: NearDuplicates

    @property
    def bad(self) -> dict[int, str]:
        """Why an image cannot be read, by its index."""
        return self.looks.bad

    def counts(self) -> np.ndarray:
        """Images of each class in train, val, test and none, (classes, 4), unreadable ones too."""
        counts = np.zeros((len(self.dataset.class_names), 4), dtype=np.int64)
        for column, split in enumerate((*SPLITS, NO_SPLIT)):
            labels = self.dataset.labels[self.splits == split]
            counts[:, column] = np.bincount(labels, minlength=len(counts))
        return counts

    def across(self) -> list[tuple[int, ...]]:
        """The groups of equal images that reach over more than one split."""
        return [g for g in self.duplicates if len(set(self.splits[list(g)].tolist())) > 1]

    def conflicts(self) -> list[tuple[int, ...]]:
        """The groups of equal images that stand under more than one class."""
        return [g for g in self.duplicates if len(set(self.dataset.labels[list(g)].tolist())) > 1]

    def cropped(self) -> np.ndarray:
        """The share of each image's pixels outside its central square, 0..1, (n,)."""
        sides = self.looks.sizes
        longer = np.maximum(sides.max(axis=1), 1)
        return np.where(self.looks.readable, 1 - sides.min(axis=1) / longer, 0.0)

    def file(self, index: int) -> dict[str, str]:
        """Path, split and class of an image."""
        return {
            "path": self.dataset.paths[index],
            "split": str(self.splits[index]),
            "class": self.dataset.class_names[self.dataset.labels[index]],
        }

    def remarks(self) -> list[str]:
        """What may surprise, a sentence each."""
        return [*self.problems, *_about_names(self), *_about_counts(self), *_about_images(self)]

    def as_json(self) -> dict[str, Any]:
        """Everything that was found, as plain values."""
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
            "modes": dict(Counter(self.looks.kinds[self.looks.readable].tolist()).most_common()),
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
    """Looks at every image of `dataset` once; `progress` is told (done, all) now and then.

    Splits are the data's own; those that they do not bring are drawn as training would (seed 0).
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
            f"only one class, {only}: nothing to tell apart; "
            "is this folder the one above the class folders?"
        )
    drawn = tuple(split for split in SPLITS if split not in given and (splits == split).any())
    looks = look_at(dataset, progress)
    readable = looks.readable
    return Check(
        dataset=dataset,
        splits=splits,
        drawn=drawn,
        problems=tuple(problems),
        looks=looks,
        duplicates=tuple(exact_duplicates(looks.digests, readable)),
        near=near_duplicates(looks.digests, looks.hashes, looks.thumbnails, splits, readable),
    )


def imbalance(found: Check) -> dict[str, Any] | None:
    """The largest and the smallest class of the readable training images; None without any.

    `ratio` is None where the smallest class is empty; `share` is how often "always the largest
    class" would be right.
    """
    labels = found.dataset.labels[(found.splits == "train") & found.looks.readable]
    train = np.bincount(labels, minlength=len(found.dataset.class_names))
    if not train.sum():
        return None
    most, least = int(train.argmax()), int(train.argmin())
    names = found.dataset.class_names
    return {
        "largest": {"class": names[most], "images": int(train[most])},
        "smallest": {"class": names[least], "images": int(train[least])},
        "ratio": round(float(train[most] / train[least]), 3) if train[least] else None,
        "share": round(float(train[most] / train.sum()), 4),
    }


def _sizes(found: Check) -> dict[str, Any] | None:
    sizes = found.looks.sizes[found.looks.readable]
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


def _cropped(found: Check) -> dict[str, Any] | None:
    if not found.looks.readable.any():
        return None
    shares = found.cropped()
    worst = int(shares.argmax())
    return {
        "mean": round(float(shares[found.looks.readable].mean()), 4),
        "worst": round(float(shares[worst]), 4),
        "worst_file": found.dataset.paths[worst],
    }


def _group(found: Check, group: tuple[int, ...]) -> dict[str, Any]:
    members = list(group)
    return {
        "files": [found.file(index) for index in members],
        "across_splits": len(set(found.splits[members].tolist())) > 1,
        "same_class": len(set(found.dataset.labels[members].tolist())) == 1,
    }


def _about_names(found: Check) -> list[str]:
    names, remarks = found.dataset.class_names, []
    if any(name.isdecimal() for name in names) and list(names) != sorted(
        names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    ):
        order = ", ".join(f"{i} is {name}" for i, name in enumerate(names[:4]))
        remarks.append(
            f"class names that are numbers stand in the order of text, so index {order}; "
            "labels go by name everywhere"
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold().strip()
        alike.setdefault(plain, []).append(name)
    return remarks + [
        f"{' and '.join(map(repr, same))} are classes of their own; if they are meant to be one, "
        "put their images into one folder"
        for same in alike.values()
        if len(same) > 1
    ]


def _about_counts(found: Check) -> list[str]:
    remarks, names = [], found.dataset.class_names
    ratio = imbalance(found)
    if ratio and (ratio["ratio"] is None or ratio["ratio"] >= UNEVEN):
        most, least = ratio["largest"], ratio["smallest"]
        remarks.append(
            f"uneven: {most['images']:,} training images of {most['class']}, {least['images']:,} "
            f"of {least['class']}; `--class-weights` weighs rare classes up"
        )
    single = [names[i] for i in np.flatnonzero(found.counts().sum(axis=1) == 1)]
    if single:
        shown = ", ".join(single[:5]) + (", ..." if len(single) > 5 else "")
        remarks.append(f"classes with one image, which cannot be both learned and tested: {shown}")
    if found.dataset.ignored:
        remarks.append(f"{found.dataset.ignored:,} files with other endings were left out")
    return remarks


def _about_images(found: Check) -> list[str]:
    remarks, readable = [], found.looks.readable
    modes = {kind.split()[1] for kind in found.looks.kinds[readable].tolist()}
    if len(modes) > 1:
        remarks.append(
            f"mixed modes ({', '.join(sorted(modes))}): all become "
            f"{'grey' if found.dataset.channels == 1 else 'RGB'}; does the mode go with the class?"
        )
    tiny = int((found.looks.sizes[readable].min(axis=1, initial=TINY) < TINY).sum())
    if tiny:
        remarks.append(f"{tiny:,} images have a side of less than {TINY} pixels")
    cropped = _cropped(found)
    if cropped and cropped["mean"] >= ROUGH_CROP:
        remarks.append(
            f"a square crop loses {cropped['mean']:.0%} of the pixels on average; "
            "`--set data.fit=pad` keeps whole images"
        )
    if conflicts := found.conflicts():
        remarks.append(f"equal images stand under different classes: {len(conflicts):,} groups")
    return remarks
