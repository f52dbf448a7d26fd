"""An explorer that runs in this process, and a client that has access."""

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import convscope
import explored
from convscope.graph.graph_of import graph_of
from convscope.graph.trace import trace


@dataclass
class Running:
    """A running explorer beside what it explores, for twins in plain torch."""

    classifier: convscope.Classifier
    dataset: object
    handle: object
    folder: Path
    atlas: object
    study: list

    @property
    def origin(self):
        return self.handle.url.split("/?")[0]

    @property
    def token(self):
        return self.handle.url.split("token=")[1]

    @property
    def cookie(self):
        return f"convscope-{self.origin.rsplit(':', 1)[1]}={self.token}"

    @property
    def explorer(self):
        return self.handle._explorer

    def images(self, number):
        preprocess = self.classifier.preprocess
        return preprocess.batch([self.dataset.image(number, preprocess.channels)])

    def trace(self, number, **more):
        images = self.images(number)
        return trace(graph_of(self.classifier), images, **more)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored") / "images"
    explored.write_images(folder)
    classifier = explored.classifier()
    whole = convscope.open_dataset(str(folder)).aligned_to(explored.CLASSES)
    atlas = explored.write_atlas(folder.parent, classifier, whole)
    both = {"explored": classifier, "dense": explored.dense()}
    study = explored.write_study(folder.parent, both, whole)
    (folder / "zebra" / "9-cut.png").write_bytes((folder / "zebra" / "0.png").read_bytes()[:90])
    files = sorted((folder / "coat").glob("*.png"))[:3]
    more = {"browser": False, "run": folder.parent, "beside": {"dense": both["dense"]}}
    with convscope.explore(classifier, files, str(folder), **more) as handle:
        dataset = convscope.open_dataset(str(folder)).aligned_to(explored.CLASSES)
        yield Running(classifier, dataset, handle, folder, atlas, study)


@pytest.fixture
def client(running):
    with httpx.Client(base_url=running.origin, follow_redirects=True, timeout=60) as client:
        assert client.get(running.handle.url).status_code == 200
        yield client


@pytest.fixture
def stranger(running):
    """A client without the cookie."""
    with httpx.Client(base_url=running.origin, timeout=60) as client:
        yield client
