"""The routes of the lens `kernel`, beside `convolve` itself."""

import pytest

from convscope.images import kernels
from convscope.images.kernels import KERNELS, convolve


def test_the_image_is_filtered_as_convolve_does(client, running, monkeypatch):
    assert client.get("/api/kernel/presets").json() == [
        {"name": name, "kernel": [list(map(float, row)) for row in kernel]}
        for name, kernel in KERNELS.items()
    ]
    kernel = KERNELS["sobel-left"]
    asked = {"kernel": kernel, "stride": 2, "padding": 1, "border": "edge", "image": "data-3"}
    found = client.post("/api/kernel", json={**asked, "at": [0, 3]}).json()
    seen = running.explorer.grey("data-3")
    assert found["input"] == seen.tolist()
    expected = convolve(seen, kernel, 2, 1, border="edge")
    assert found["output"] == expected.tolist()
    assert (found["low"], found["high"]) == (expected.min(), expected.max())
    assert found["lost"] == [1, 1]
    assert found["cell"]["sum"] == expected[0, 3]
    assert found["cell"]["rows"] == [-1, 0, 1]
    assert found["cell"]["outside"][0] == [True, True, True]
    with monkeypatch.context() as patched:
        patched.delattr(kernels, "convolve")  # one number needs none of the others
        short = client.post("/api/kernel", json={**asked, "picture": False, "at": [0, 3]}).json()
    assert (short["input"], short["output"], short["high"]) == ([], [], None)
    assert short["cell"] == found["cell"]
    assert (short["lost"], short["formulas"]) == (found["lost"], found["formulas"])
    example = client.post("/api/kernel", json={"kernel": kernel, "at": [0, 0]}).json()
    assert example["output"][0] == [3, 27, 16, 26]
    assert example["formulas"] == ["floor((6 + 2·0 - 1·(3 - 1) - 1) / 1) + 1 = 4"] * 2
    impossible = client.post("/api/kernel", json={"kernel": [[1.0] * 9]})
    assert impossible.status_code == 422
    assert "padding" in impossible.json()["error"]


def test_an_impossible_output_size_is_an_answer_with_an_error(client):
    query = {"size": 227, "kernel": 11, "stride": 4}
    assert client.get("/api/kernel/output-size", params=query).json() == {
        "size": 55, "lost": 0, "error": None,
        "formula": "floor((227 + 2·0 - 1·(11 - 1) - 1) / 4) + 1 = 55",
    }  # fmt: skip
    for wrong in ({"size": 3, "kernel": 5}, {"size": 3, "kernel": 2, "stride": 0}):
        found = client.get("/api/kernel/output-size", params=wrong)
        assert found.status_code == 200
        assert found.json()["size"] is None
        assert found.json()["error"]


@pytest.mark.parametrize("border", ["zero", "edge", "reflect", "wrap", "circular"])
def test_each_border_is_convolve_s(client, running, border):
    asked = {"kernel": [[1.0, 2.0, 3.0]], "padding": 2, "border": border, "image": "data-3"}
    found = client.post("/api/kernel", json=asked).json()
    seen = running.explorer.grey("data-3")
    name = "wrap" if border == "circular" else border
    assert found["output"] == convolve(seen, asked["kernel"], 1, 2, border=name).tolist()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"border": "moon"}, "border: Input should be 'zero', 'edge', 'reflect' or 'wrap'"),
        ({"kernel": [[1.0], [1.0, 2.0]]}, "kernel: give 1 to 31 rows"),
        ({"kernel": [[1.0] * 32]}, "kernel: give 1 to 31 rows"),
        ({"stride": 0}, "stride=0: give a whole number, 1 or more"),
        ({"padding": 129}, "at most 128"),
        ({"at": [0, 9]}, "at: column 9 must be in 0..3"),
    ],
)
def test_a_wrong_request_is_refused(client, wrong, named):
    response = client.post("/api/kernel", json={"kernel": KERNELS["blur"], **wrong})
    assert response.status_code == 422
    assert named in response.json()["error"]
