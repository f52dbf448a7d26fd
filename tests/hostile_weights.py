"""Files of weights that mean harm: none may run anything, reach elsewhere, or take much memory.

`python hostile_weights.py FOLDER` reads every file that `write_corpus` put in a folder, and
prints what became of each and how much memory all of it took.
"""

import io
import json
import pickle
import signal
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
ENDINGS = (".pth", ".pt", ".bin", ".npz", ".h5")


class Call:
    """Pickles to the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickles(canary):
    """Programs that would make the file `canary`, and others that would never end."""
    import os
    import subprocess

    touch = f"touch {canary}"
    text = b"S'" + touch.encode() + b"'\n"
    nest = b"\x80\x02)q\x00" + b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(60))
    return {
        "system": b"cos\nsystem\n(" + text + b"tR.",
        "posix": pickle.dumps(Call(os.system, touch), 2),
        "eval": pickle.dumps(Call(eval, f"open({str(canary)!r}, 'w')"), 4),
        "exec": pickle.dumps({"a": [Call(exec, f"open({str(canary)!r}, 'w')")]}, 2),
        "subprocess": pickle.dumps(Call(subprocess.Popen, ["touch", str(canary)]), 4),
        "getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR("
        + text + b"tR.",
        "build": b"\x80\x02ccopyreg\n_reconstructor\n(cos\n_wrap_close\ncbuiltins\nobject\nNtR}"
        b"U\x0c__setstate__cos\nsystem\nsb" + b"(" + text + b"tb.",
        "inst": b"(" + text + b"ios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + text + b"o.",
        "newobj": b"\x80\x02cos\nsystem\n(" + text + b"t\x81.",
        "newobj-ex": b"\x80\x04cos\nsystem\n(" + text + b"t}\x92.",
        "stack-global": b"\x80\x04\x8c\x02os\x8c\x06system\x93(" + text + b"tR.",
        "persistent": b"Pos.system\n.",
        "persistent-tuple": b"\x80\x02(U\x07storagecos\nsystem\nU\x010U\x03cpuK\x01tQ.",
        "extension": b"\x80\x02\x82\x01.",
        "nested-load": b"\x80\x02ctorch.storage\n_load_from_bytes\nU\x04evil\x85R.",
        "module": b"\x80\x02ctorchvision.models.vgg\nVGG\n)\x81}b.",
        "recursive": b"\x80\x02]q\x00h\x00a.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
        "memo": b"\x80\x02]r\xff\xff\xff\xff.",
        "hash": b"\x80\x02}" + nest[2:] + b"K\x01s.",
        "deep": b"\x80\x02" + b"(" * 20_000 + b"l" * 20_000 + b".",
        "number": b"I" + b"9" * 50_000 + b"\n.",
        "long": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"\x01.",
        "open-ended": b"\x80\x02" + b"N" * 40_000,
        "underflow": b"\x80\x02aR0.",
    }  # fmt: skip


def torch_archive(program, compression=zipfile.ZIP_STORED, more=()):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        for name, content in more:
            squeezed = len(content) > 1 << 20
            archive.writestr(name, content, zipfile.ZIP_DEFLATED if squeezed else None)
    return file.getvalue()


def tensor_program(offset=0, shape=(2,), strides=(1,), length=2, kind="FloatStorage", key="0"):
    """A pickle of one tensor as torch.save writes it, with any numbers."""

    def integers(values):
        return b"(" + b"".join(b"I%d\n" % value for value in values) + b"t"

    storage = b"(U\x07storagectorch\n%s\nU\x01%sU\x03cpuI%d\ntQ" % (
        kind.encode(), key.encode(), length,
    )  # fmt: skip
    return (
        b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"I%d\n" % offset
        + integers(shape) + integers(strides) + b"\x89ccollections\nOrderedDict\n)RtRs."
    )  # fmt: skip


def torch_files():
    numbers = [("archive/data/0", b"\0" * 8)]
    zeros = b"\0" * (300 << 20)
    keys = b"\x80\x02]U\x010a."
    yield "view-larger.pth", torch_archive(tensor_program(shape=(1 << 40,)), more=numbers)
    yield (
        "view-repeated.pth",
        torch_archive(tensor_program(shape=(1 << 30, 1 << 10), strides=(0, 0)), more=numbers),
    )
    yield "view-beyond.pth", torch_archive(tensor_program(offset=1 << 40), more=numbers)
    yield "view-negative.pth", torch_archive(tensor_program(offset=-8), more=numbers)
    yield (
        "storage-larger.pth",
        torch_archive(tensor_program(shape=(1 << 40,), length=1 << 40), more=numbers),
    )
    yield "storage-missing.pth", torch_archive(tensor_program())
    yield "storage-elsewhere.pth", torch_archive(tensor_program(key="/"), more=numbers)
    yield "script.pt", torch_archive(
        tensor_program(), more=[*numbers, ("archive/code/x.py", "import os"),
                                ("archive/constants.pkl", b"\x80\x02).")],
    )  # fmt: skip
    yield "pickle-bomb.pth", torch_archive(zeros, zipfile.ZIP_DEFLATED)
    yield "storage-bomb.pth", torch_archive(
        tensor_program(length=75 << 20, shape=(75 << 20,)), more=[("archive/data/0", zeros)]
    )  # fmt: skip
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        archive.writestr("archive/data.pkl", tensor_program())
        for index in range(100_000):
            archive.writestr(f"{index:06d}" + "x" * 40, b"")
    yield "members.pth", many.getvalue()
    yield "cut.pth", torch_archive(tensor_program(), more=numbers)[:-30]
    large = tensor_program(shape=(1 << 40,), length=1 << 40)
    yield "legacy-larger.pth", MAGIC + large + keys + struct.pack("<Q", 1 << 40)
    yield "legacy-cut.pth", MAGIC + tensor_program() + keys + struct.pack("<Q", 2)
    yield "legacy-other.pth", MAGIC + tensor_program() + keys + struct.pack("<Q", 3) + b"\0" * 12
    yield "legacy-keyless.pth", MAGIC + tensor_program() + b"\x80\x02]."
    yield "legacy-head.pth", MAGIC


def npz_files():
    def npz(header, content=b"", compression=zipfile.ZIP_STORED):
        text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
            archive.writestr("block1_conv1.weight.npy", array)
        return file.getvalue()

    def header(descr="'<f4'", shape="(2,)"):
        return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"

    objects = io.BytesIO()
    np.savez(objects, a=np.array([{"a": 1}], dtype=object))
    yield "objects.npz", objects.getvalue()
    yield "huge.npz", npz(header(shape="(1000000, 1000000)"))
    yield "negative.npz", npz(header(shape="(-1,)"))
    yield "expression.npz", npz(header(shape="__import__('os').system('true')"))
    yield "nested.npz", npz(header(shape="(" * 3000 + ")" * 3000))
    yield "text.npz", npz(header(descr="'<U4'"), b"\0" * 32)
    yield "record.npz", npz(header(descr="[('a', '<f4')]"), b"\0" * 8)
    yield (
        "bomb.npz",
        npz(header(shape="(8, 10000000)"), b"\0" * (320 * 1000 * 1000), zipfile.ZIP_DEFLATED),
    )
    yield "short.npz", npz(header(shape="(64, 3, 3, 3)"), b"\0" * 16)
    yield "empty.npz", b"PK\x05\x06" + bytes(18)


def hdf5_files(folder, outside):
    import h5py

    def new(name):
        return h5py.File(folder / name, "w")

    with h5py.File(outside.with_suffix(".outside.h5"), "w") as file:
        file["secret"] = np.ones((3, 3, 3, 64), np.float32)
    other = str(outside.with_suffix(".outside.h5"))
    with new("external-link.h5") as file:
        file["conv/kernel"] = h5py.ExternalLink(other, "/secret")
    with new("soft-link.h5") as file:
        file["conv/kernel"] = h5py.SoftLink("/elsewhere")
    with new("external-storage.h5") as file:
        file.create_dataset("conv/kernel", (4,), "f4", external=[("/etc/passwd", 0, 16)])
    with new("virtual.h5") as file:
        layout = h5py.VirtualLayout((3, 3, 3, 64), "f4")
        layout[:] = h5py.VirtualSource(other, "secret", (3, 3, 3, 64))
        file.create_virtual_dataset("conv/kernel", layout)
    with new("chunked.h5") as file:
        file.create_dataset("conv/kernel", (10**6, 10**6), "f4", chunks=(1000, 1000))
    with new("never-written.h5") as file:
        file.create_dataset("conv/kernel", (10**6, 10**6), "f4")
    with new("objects.h5") as file:
        file.create_dataset("conv/kernel", data=["text"], dtype=h5py.string_dtype())
    with new("references.h5") as file:
        file.create_dataset("conv/kernel", (1,), h5py.ref_dtype)
    with new("record.h5") as file:
        file["conv/kernel"] = np.zeros(4, [("a", "f4"), ("b", "f4")])
    with new("deflated.h5") as file:
        file.create_dataset("conv/kernel", data=np.zeros((900, 900), "f4"), compression="gzip")
    with new("circle.h5") as file:
        file["a/b/kernel"] = np.zeros(4, "f4")
        file["a/b/again"] = file["a"]
    with new("deep.h5") as file:
        file["/".join("d" * 100) + "/kernel"] = np.zeros(4, "f4")
    with new("many.h5") as file:
        for index in range(10_001):
            file.create_group(f"g{index}")
    with new("type.h5") as file:
        file["conv"] = np.dtype("f4")
    with new("empty.h5") as file:
        file["conv/kernel"] = h5py.Empty("f4")
    whole = (folder / "circle.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "noise.h5").write_bytes(whole[:8] + np.random.default_rng(0).bytes(5000))
    inner = (folder / "external-link.h5").read_bytes()
    for name, content, compression in (
        ("link.keras", inner, zipfile.ZIP_STORED),
        ("bomb.keras", b"\x89HDF\r\n\x1a\n" + bytes(300 << 20), zipfile.ZIP_DEFLATED),
    ):
        with zipfile.ZipFile(folder / name, "w", compression, compresslevel=1) as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", content)


def safetensors_files():
    def file(header, content=b""):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + content

    def entry(start, end, shape=(2,), dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}

    yield "header-2-60.safetensors", struct.pack("<Q", 1 << 60) + b"{}"
    yield "header-long.safetensors", struct.pack("<Q", 6 << 20) + b"{" + b" " * (6 << 20)
    yield "overlap.safetensors", file({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12))
    yield "beyond.safetensors", file({"a": entry(0, 800)}, bytes(8))
    yield "backwards.safetensors", file({"a": entry(8, 0)}, bytes(8))
    yield "shape.safetensors", file({"a": entry(0, 8, (1 << 40, 1 << 40))}, bytes(8))
    yield "hole.safetensors", file({"a": entry(8, 16)}, bytes(16))
    yield "kind.safetensors", file({"a": entry(0, 8, dtype="X9")}, bytes(8))
    yield "nested.safetensors", file(b'{"a":' + b"[" * 500_000)
    yield "objects.safetensors", file(b'{"a":' * 100_000)
    yield "nan.safetensors", file(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}')
    twice = b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    yield "twice.safetensors", file(b"{" + twice + b"," + twice + b"}", bytes(8))
    yield "list.safetensors", file(b"{}"[:1] + b"]")


def write_corpus(folder, canary):
    """Writes every file; gives their paths."""
    folder.mkdir()
    for name, program in pickles(canary).items():
        for ending in ENDINGS:
            (folder / f"bare-{name}{ending}").write_bytes(program)
            (folder / f"zip-{name}{ending}").write_bytes(torch_archive(program))
            (folder / f"legacy-{name}{ending}").write_bytes(MAGIC + program)
    for files in (torch_files(), npz_files(), safetensors_files()):
        for name, content in files:
            (folder / name).write_bytes(content)
    hdf5_files(folder, canary)
    (folder / "nothing.pth").write_bytes(b"")
    (folder / "noise.pth").write_bytes(np.random.default_rng(1).bytes(4000))
    (folder / "text.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    return sorted(folder.iterdir())


def main(folder):
    import resource

    from convscope.base.errors import ConvscopeError
    from convscope.runs.imported import import_weights

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in sorted(Path(folder).iterdir()):
        signal.alarm(10)
        try:
            import_weights(path, "vgg16")
            print(f"{path}: accepted")
        except ConvscopeError as error:
            print(str(error).replace("\n", " "))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory {(after - before) // 1024}")


if __name__ == "__main__":
    main(sys.argv[1])
