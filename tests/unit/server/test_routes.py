"""Every route beside plain torch or the core that it asks."""

import io
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import explored
from convscope.explorer.wire import Subject
from convscope.graph.kinds import Kind
from convscope.graph.ledger.arithmetic import arithmetic

NUMBER = 7  # of an image in the data set


def the_pass(client, image=f"data-{NUMBER}", **query):
    response = client.get("/api/pass", params={"image": image, **query})
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert all(line["result"] is None and line["error"] is None for line in lines[:-1])
    return lines[-1]


def floats(response):
    assert response.status_code == 200, response.text
    shape = [int(side) for side in response.headers["x-shape"].split(",")]
    return torch.from_numpy(np.frombuffer(response.content, "<f4").copy()).reshape(shape)


def test_the_subject_lists_the_layers_of_the_graph_and_those_of_a_trace(client, running):
    subject = Subject.model_validate_json(client.get("/api/subject").text)
    record = running.trace(NUMBER, targets=torch.tensor([0]))
    assert [layer.name for layer in subject.layers] == [r.node.name for r in record.layers]
    assert [layer.shape for layer in subject.layers] == [
        list(r.output.shape[1:]) for r in record.layers
    ]
    assert subject.layers[-1].stage == "head"
    assert all(layer.formula == (layer.kind != "other") for layer in subject.layers)
    assert subject.parameters == sum(p.numel() for p in running.classifier.module.parameters())
    assert tuple(subject.classes) == explored.CLASSES
    assert subject.first == "file-0"


def test_stages_follow_one_another_with_the_parameters_of_their_layers(client, running):
    subject = client.get("/api/subject").json()
    layers, module = subject["layers"], running.classifier.module
    for stage in subject["stages"]:
        own = layers[stage["first"] : stage["first"] + stage["count"]]
        assert {layer["stage"] for layer in own} == {stage["name"]}
        modules = [module.get_submodule(n) for n in {x["name"] for x in own if x["parameters"]}]
        assert stage["parameters"] == sum(p.numel() for m in modules for p in m.parameters())
    assert sum(stage["count"] for stage in subject["stages"]) == len(layers)
    families = {layer["kind"]: layer["family"] for layer in layers}
    assert (families["sigmoid"], families["average_pool"]) == ("activation", "pool")
    assert (families["add"], families["flatten"]) == ("arithmetic", "rearrangement")
    assert families["convolution"] == families["softmax"] == ""


def test_a_pass_says_what_the_module_says(client, running):
    found = the_pass(client)["result"]
    with torch.no_grad():
        logits = running.classifier.module(running.images(NUMBER))
    label = int(running.dataset.labels[NUMBER])
    assert found["logits"] == logits[0].tolist()
    assert found["probabilities"] == torch.softmax(logits, 1)[0].tolist()
    assert (found["target"], found["predicted"]) == (label, int(logits.argmax()))
    assert found["cross_entropy"] == float(F.cross_entropy(logits, torch.tensor([label])))
    assert found["picture"]["label"] == label
    record = running.trace(NUMBER)
    for layer in found["layers"][:-1]:
        output = record[layer["layer"]].output[0]
        assert (layer["low"], layer["high"]) == (float(output.min()), float(output.max()))
        assert layer["mean"] == pytest.approx(float(output.double().mean()), rel=1e-5, abs=1e-7)
        maps = output.reshape(len(output), -1)
        assert layer["dead"] == int((maps == 0).all(1).sum())
        best = layer["strongest"][0]
        assert best["channel"] == int(maps.mean(1).argmax())
        assert best["high"] == float(maps[best["channel"]].max())
    acts = [x for x in found["layers"] if x["layer"] not in ("softmax", "cross_entropy")]
    assert found["low"] == min(x["low"] for x in acts)
    assert found["high"] == max(x["high"] for x in acts)


def test_another_target_changes_the_loss_alone(client, running):
    first, second = the_pass(client)["result"], the_pass(client, target=2)["result"]
    logits = torch.tensor([first["logits"]])
    assert second["target"] == 2
    assert second["cross_entropy"] == float(F.cross_entropy(logits, torch.tensor([2])))
    assert first["layers"][:-1] == second["layers"][:-1]


def test_a_unit_that_is_off_is_one_whose_filter_is_zero(client, running):
    names = [layer["name"] for layer in client.get("/api/subject").json()["layers"]]
    relu = names[names.index("fc1") + 1]
    found = the_pass(client, off=json.dumps([["block", 1], [relu, 3], ["block", 1]]))["result"]
    module = explored.classifier().module
    with torch.no_grad():
        module.block.weight[1], module.block.bias[1] = 0, 0
        module.fc1.weight[3], module.fc1.bias[3] = 0, 0
        logits = module(running.images(NUMBER))
    assert found["logits"] == logits[0].tolist()
    assert found["off"] == sorted([["block", 1], [relu, 3]])


def test_values_and_maps_are_the_tensors_own(client, running):
    record = running.trace(NUMBER, targets=torch.tensor([int(running.dataset.labels[NUMBER])]))
    for one in record.layers:
        query = {"image": f"data-{NUMBER}", "layer": one.node.name}
        output = one.output[0]
        maps = output.reshape(-1, *(output.shape[1:] if output.ndim == 3 else (1, 1)))
        found = client.get("/api/values", params=query).json()
        assert found["lows"] == maps.amin((1, 2)).tolist()
        assert found["highs"] == maps.amax((1, 2)).tolist()
        assert found["means"] == pytest.approx(maps.mean((1, 2)).tolist(), rel=1e-5, abs=1e-7)
        assert found["dead"] == (maps == 0).all(2).all(1).nonzero().flatten().tolist()
        last = len(maps) - 1
        response = client.get("/api/maps", params={**query, "channels": f"0-{last}"})
        assert torch.equal(floats(response), maps)
        response = client.get(
            "/api/maps", params={**query, "channels": f"{last},0" if last else "0"}
        )
        assert torch.equal(floats(response)[0], maps[last])


def test_kernels_are_the_modules_weights_and_parts_add_up(client, running):
    module, record = running.classifier.module, running.trace(NUMBER)
    for name, channel in (("stem.0", 2), ("strided", 5), ("narrow", 0)):
        layer = module.get_submodule(name)
        depth = layer.weight.shape[1]
        query = {"layer": name, "channel": channel, "inputs": f"0-{depth - 1}"}
        assert torch.equal(floats(client.get("/api/kernels", params=query)), layer.weight[channel])
        found = floats(client.get("/api/parts", params={**query, "image": f"data-{NUMBER}"}))
        expected = record[name].output[0, channel]
        assert torch.allclose(found.sum(0) + layer.bias[channel], expected, atol=1e-5)


def test_a_convolutions_number_is_its_patch_times_its_filter(client, running):
    layer = running.classifier.module.strided
    query = {"image": f"data-{NUMBER}", "layer": "strided", "index": "5,1,2", "limit": 1}
    found = client.get("/api/number", params=query).json()
    record = running.trace(NUMBER)
    source = found["sources"][0]
    before = record[source["node"]].output[0]
    patch = before[3:6, 2:5, 4:7]  # group 2 of 2, stride 2
    assert found["window"] == [3, 3, 3]
    assert found["first_channel"] == 3
    assert source["value"] == patch.flatten().tolist()
    assert source["weight"] == layer.weight[5].flatten().tolist()
    assert source["index"][0] == [3, 2, 4]
    products = (patch.double() * layer.weight[5].double()).flatten()
    assert source["product"] == pytest.approx(products.tolist())
    assert found["channel_sums"] == pytest.approx(products.reshape(3, 9).sum(1).tolist())
    assert found["value"] == float(record["strided"].output[0, 5, 1, 2])
    assert found["sum"] == pytest.approx(products.sum().item() + layer.bias[5].item())
    assert found["agrees"]
    assert found["rest"] == {"count": 0, "sum": 0.0}
    assert found["count"] == 27
    order = products.reshape(3, 9).sum(1).abs().argsort(descending=True)
    assert found["strongest"] == (order + 3).tolist()
    assert found["others"] == {"count": 0, "sum": 0.0}


def test_every_kind_of_number_is_its_ledger(client, running):
    subject = client.get("/api/subject").json()
    target = int(running.dataset.labels[NUMBER])
    record = running.trace(NUMBER, targets=torch.tensor([target]))
    kinds = set()
    for layer in subject["layers"]:
        index = [side // 2 for side in layer["shape"]]
        query = {"image": f"data-{NUMBER}", "layer": layer["name"], "limit": 1000}
        found = client.get("/api/number", params={**query, "index": ",".join(map(str, index))})
        assert found.status_code == 200, found.text
        found, ledger = found.json(), arithmetic(record, layer["name"], index)
        assert found["agrees"]
        assert found["value"] == float(record[layer["name"]].output[(0, *index)])
        listed = sorted(
            (source["node"], tuple(place), weight)
            for source in found["sources"]
            for place, weight in zip(source["index"], source["weight"], strict=True)
        )
        assert listed == sorted((t.node, t.index, t.weight) for t in ledger.terms)
        assert found["rest"]["count"] == 0
        kinds.add(Kind(layer["kind"]))
    assert len(kinds) >= 14


def test_the_largest_terms_of_a_dense_layer_come_first_and_the_rest_is_summed(client, running):
    query = {"image": f"data-{NUMBER}", "layer": "fc1", "index": "4", "limit": 10}
    found = client.get("/api/number", params=query).json()
    record, weight = running.trace(NUMBER), running.classifier.module.fc1.weight.detach()
    products = record["flatten"].output[0].double() * weight[4].double()
    order = products.abs().argsort(descending=True, stable=True)
    assert found["sources"][0]["index"] == [[int(i)] for i in order[:10]]
    assert found["rest"]["count"] == 38
    assert found["rest"]["sum"] == pytest.approx(float(products[order[10:]].sum()))


def test_softmax_and_loss_always_list_the_class_in_question(client, running):
    logits = running.trace(NUMBER).logits[0].double()
    weights = torch.exp(logits - logits.max())
    worst, best = int(logits.argmin()), int(logits.argmax())
    query = {"image": f"data-{NUMBER}", "limit": 1, "target": worst}
    for more in ({"layer": "softmax", "index": str(worst)}, {"layer": "cross_entropy"}):
        found = client.get("/api/number", params={**query, **more}).json()
        assert found["sources"][0]["index"] == [[best], [worst]]
        others = weights.sum() - weights[best] - weights[worst]
        assert found["rest"]["count"] == 3
        assert found["rest"]["sum"] == pytest.approx(float(others))


def test_the_input_picture_is_what_the_network_sees(client, running):
    response = client.get("/api/picture", params={"image": "data-3", "size": "input"})
    seen = np.asarray(Image.open(io.BytesIO(response.content)))
    preprocess = running.classifier.preprocess
    expected = preprocess.centre(preprocess.canvas(running.dataset.image(3, 3)))
    assert np.array_equal(seen, expected)


def test_pictures_are_no_larger_than_they_must_be(client, running, tmp_path):
    large = np.zeros((300, 4000, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(large).save(content, "png")
    dropped = client.post("/api/images", content=content.getvalue()).json()["image"]
    for size, shape in (("thumb", (96, 7)), ("whole", (1600, 120))):
        response = client.get("/api/picture", params={"image": dropped, "size": size})
        assert Image.open(io.BytesIO(response.content)).size == shape


def test_the_gallery_shows_the_images_of_a_class(client, running):
    found = client.get("/api/gallery", params={"split": "all", "label": 2, "limit": 4}).json()
    places = np.flatnonzero(running.dataset.labels == 2)
    assert (found["split"], found["total"]) == ("all", len(places))
    assert [p["image"] for p in found["pictures"]] == [f"data-{i}" for i in places[:4]]
    assert [p["name"] for p in found["pictures"]] == [running.dataset.paths[i] for i in places[:4]]
    files = client.get("/api/gallery").json()
    assert [p["name"] for p in files["pictures"][:3]] == ["0.png", "1.png", "2.png"]
    assert client.get("/api/gallery", params={"split": "nope"}).status_code == 404


def test_predictions_are_those_of_the_classifier_and_unreadable_images_say_so(client, running):
    cut = next(i for i, path in enumerate(running.dataset.paths) if "cut" in path)
    names = [f"data-{NUMBER}", f"data-{cut}", "file-0", f"data-{NUMBER}"]
    found = client.get("/api/predictions", params={"images": ",".join(names)}).json()
    assert [one["image"] for one in found] == names
    with torch.no_grad():
        row = torch.softmax(running.classifier.module(running.images(NUMBER)), 1)[0]
    assert found[0]["predicted"] == int(row.argmax())
    assert found[0]["probability"] == pytest.approx(float(row.max()), rel=1e-6)
    assert found[0] == found[3]
    assert found[1]["predicted"] is None
    assert "damaged" in found[1]["error"]
    line = the_pass(client, image=f"data-{cut}")
    assert "damaged" in line["error"]
    assert str(running.folder) not in line["error"]


def test_a_dropped_image_can_be_opened_and_keeps_its_name(client, running):
    content = (running.folder / "coat" / "1.png").read_bytes()
    response = client.post(
        "/api/images", content=content, headers={"X-Name": "..%2Fna%C3%AFve%00%0A.png"}
    )
    picture = response.json()
    assert picture["name"] == "naïve  .png"
    assert picture["label"] is None
    dropped = the_pass(client, image=picture["image"])["result"]
    given = the_pass(client, image="file-1")["result"]
    assert dropped["logits"] == given["logits"]
    assert dropped["target"] == dropped["predicted"]
    found = client.get("/api/gallery", params={"limit": 200}).json()
    assert found["split"] == ""
    assert picture in found["pictures"]
    assert found["splits"] == [
        {"name": "", "images": found["total"]}, {"name": "all", "images": 31},
    ]  # fmt: skip


@pytest.mark.parametrize("channels", ["3,3", "0-2,1", "6", "2-1", "", "-1", "1,,2"])
def test_channels_are_those_that_there_are_each_once(client, channels):
    query = {"image": "data-1", "layer": "stem.0", "channels": channels}
    assert client.get("/api/maps", params=query).status_code == 422


def test_a_layers_detail_has_its_parameters_and_what_it_sees(client, running):
    found = client.get("/api/layer", params={"layer": "stem.1"}).json()
    norm = running.classifier.module.stem[1]
    roles = {p["role"]: p for p in found["parameters"]}
    assert set(roles) == {"weight", "bias", "running_mean", "running_var"}
    assert roles["running_var"]["high"] == float(norm.running_var.max())
    assert roles["weight"]["std"] == pytest.approx(norm.weight.std(correction=0).item())
    assert found["settings"]["eps"] == norm.eps
    assert found["rows"][0] == [0, 2]
    assert client.get("/api/layer", params={"layer": "fc2"}).json()["rows"] is None
