"""Files of PyTorch's: read in both directions with the same values, and refused where they are not weights alone."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tenfold as tn
from tenfold.saving import torch_names


def archive(data: bytes, members: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """A file of PyTorch's with the pickle `data`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        written.writestr("archive/data.pkl", data)
        for name, content in (members or {}).items():
            written.writestr(f"archive/{name}", content)
    file.seek(0)
    return file


def tensor_pickle(
    *, kind: str = "FloatStorage", key: str = "0", elements: int = 4, offset: int = 0, shape: str = "K\x04\x85",
    strides: str = "K\x01\x85", flags: bytes = b""
) -> bytes:  # fmt: skip
    """The pickle of one tensor, by hand."""
    return b"".join(
        [
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n" + kind.encode() + b"\n",
            b"X" + len(key).to_bytes(4, "little") + key.encode() + b"X\x03\x00\x00\x00cpu",
            b"J" + elements.to_bytes(4, "little", signed=True) + b"tQ",
            b"J" + offset.to_bytes(4, "little", signed=True) + shape.encode("latin1") + strides.encode("latin1"),
            b"\x89}" + flags + b"tR.",
        ]
    )


FLOATS = {"data/0": np.arange(4, dtype=np.float32).tobytes()}


class Runs:
    """What runs a command when Python unpickles it."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "posix.system"), (eval, "eval"), (getattr, "getattr"), (io.open, "io.open")]
)
def test_no_function_of_pythons_is_called(function: Callable[..., object], name: str, protocol: int) -> None:
    data = pickle.dumps(Runs(function, "raise SystemExit"), protocol)
    with pytest.raises(tn.UnsafeFileError, match=name.split(".")[-1]) as caught:
        tn.load(archive(data))
    assert isinstance(caught.value, (pickle.UnpicklingError, RuntimeError))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x80\x02c__main__\nx\n.", "refers to __main__.x"),
        (b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n.", "torch._utils._rebuild_sparse_tensor"),
        (b"\x80\x02ctorch\nhub\n.", "torch.hub"),
        (b"\x80\x02ccollections\nOrderedDict.__init__.__globals__\n.", "OrderedDict.__init__"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x02ios\nsystem\n(t.", "opcode INST"),
        (b"\x80\x02(ios\nsystem\n.", "opcode INST"),
        (b"\x80\x02(ccollections\nOrderedDict\no.", "opcode OBJ"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
    ],
)
def test_other_names_and_opcodes_are_refused(data: bytes, error: str) -> None:
    with pytest.raises(tn.UnsafeFileError, match=error):
        tn.load(archive(data))


NEVER = {
    "calls a string": b"\x80\x02X\x01\x00\x00\x00x)R.",
    "calls without a tuple": b"\x80\x02ccollections\nOrderedDict\n]R.",
    "changes a function": b"\x80\x02ccollections\nOrderedDict\n}X\x04\x00\x00\x00callNsb.",
    "changes an element type": b"\x80\x02ctorch\nfloat32\nN}X\x07\x00\x00\x00elementNs\x86b.",
    "appends to a dict": b"\x80\x02}NsNa.",
    "sets items of a list": b"\x80\x02]NNs.",
    "has no mark": b"\x80\x02Nt.",
    "pops from nothing": b"\x80\x020.",
    "takes a tuple of nothing": b"\x80\x02N\x87.",
    "recalls nothing": b"\x80\x02h\x05.",
    "leaves two values": b"\x80\x02NN.",
    "has no end": b"\x80\x02N",
    "is empty": b"",
    "is no pickle": b"\xff\xff",
    "is cut short": b"\x80\x02X\xff\xff\xff\x7fx",
    "has an odd number of items": b"\x80\x02}(Nu.",
    "has a list as a key": b"\x80\x02}]Ns.",
    "has a deep key": b"\x80\x02})" + b"\x85" * 300_000 + b"Ns.",
    "counts without end": b"\x80\x02ccollections\nCounter\nX\x01\x00\x00\x00x\x85R.",
    "decodes with a codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R.",
    "has no storage": b"\x80\x02X\x01\x00\x00\x00x\x85Q.",
    "is not a tensor's parameter": b"\x80\x02ctorch._utils\n_rebuild_parameter\nN\x88}\x87R.",
}


@pytest.mark.parametrize("data", NEVER.values(), ids=NEVER.keys())
def test_damaged_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(tn.FileFormatError, match="description of tensors"):
        tn.load(archive(data))


def test_a_tensor_written_by_hand_is_read() -> None:
    np.testing.assert_array_equal(tn.load(archive(tensor_pickle(), FLOATS)).numpy(), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"key": "1"}, "data/1"),
        ({"elements": 2**30}, "storage 0 has 16 bytes"),
        ({"elements": -1}, "storage 0 has 16 bytes"),
        ({"kind": "DoubleStorage"}, "storage 0 has 16 bytes"),
        ({"offset": 1}, "beyond the end of storage 0"),
        ({"offset": -1}, "strides"),
        ({"strides": "K\x02\x85"}, "beyond the end"),
        ({"strides": "J\xff\xff\xff\xff\x85"}, "strides"),
        ({"shape": "J\xff\xff\xff\xff\x85"}, "shape"),
        ({"shape": "N\x85"}, "damaged"),
        ({"shape": "K\x04K\x01\x86"}, "shape"),
        ({"shape": "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01\x85"}, "beyond the end"),
        ({"kind": "UntypedStorage"}, "torch.UntypedStorage"),
        ({"kind": "QInt8Storage"}, "torch.QInt8Storage"),
        ({"flags": b"}X\x04\x00\x00\x00conj\x88s"}, "conjugate"),
    ],
)
def test_tensors_that_do_not_fit_their_memory_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(tn.FileFormatError, match=message):
        tn.load(archive(tensor_pickle(**changed), FLOATS))  # type: ignore[arg-type]


def test_every_prefix_of_a_file_is_refused(tmp_path: Path) -> None:
    tn.save({"x": tn.tensor(np.arange(20.0))}, tmp_path / "x.pt")
    whole = (tmp_path / "x.pt").read_bytes()
    for length in range(0, len(whole), 7):
        with pytest.raises(tn.FileFormatError):
            tn.load(io.BytesIO(whole[:length]))


def test_a_changed_byte_of_the_data_is_noticed() -> None:
    file = io.BytesIO()
    tn.save(tn.tensor(np.full(100, 77, np.uint8)), file)
    damaged = file.getvalue().replace(bytes([77] * 100), bytes([77] * 99 + [78]))
    with pytest.raises(tn.FileFormatError, match="damaged or cut short"):
        tn.load(io.BytesIO(damaged))


@pytest.mark.parametrize("file", ["x.pt", "x.npz"])
def test_what_is_damaged_at_random_is_read_or_refused(file: str, tmp_path: Path, rng: np.random.Generator) -> None:
    tn.save({"x": tn.tensor(np.arange(6.0)), "y": tn.tensor([1, 2])}, tmp_path / file)
    whole = np.frombuffer((tmp_path / file).read_bytes(), np.uint8)
    refused = 0
    for _ in range(300):
        damaged = whole.copy()
        damaged[rng.integers(len(whole), size=3)] = rng.integers(256, size=3)
        damaged = np.delete(damaged, rng.integers(len(whole), size=int(rng.integers(3))))
        try:
            tn.load(io.BytesIO(damaged.tobytes()))
        except tn.FileFormatError:
            refused += 1
    assert refused > 100


def test_zip_bombs_are_refused() -> None:
    with pytest.raises(tn.FileFormatError, match="compressed"):
        tn.load(archive(tensor_pickle(), {"data/0": bytes(10**6)}, zipfile.ZIP_DEFLATED))
    whole = bytearray(archive(tensor_pickle(), FLOATS).getvalue())
    entry = whole.rindex(b"PK\x01\x02")
    whole[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    with pytest.raises(tn.FileFormatError, match="claim more than"):
        tn.load(io.BytesIO(whole))


def npz(member: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("x.npy", member)
    file.seek(0)
    return file


def test_arrays_that_claim_more_than_there_is_are_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(4, np.float32))
    with pytest.raises(tn.FileFormatError, match=r"x.npy is cut short"):
        tn.load(npz(file.getvalue().replace(b"(4,)", b"(9,)")))


def test_pickled_arrays_are_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.array([Runs(os.system, "true")], object), allow_pickle=True)
    with pytest.raises(tn.UnsafeFileError, match="pickled objects"):
        tn.load(npz(file.getvalue()))


@pytest.mark.parametrize("member", [b"", b"\x93NUMPY", b"not an array"])
def test_damaged_arrays_are_refused(member: bytes) -> None:
    with pytest.raises(tn.FileFormatError):
        tn.load(npz(member))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PK\x05\x06" + bytes(18), "one of PyTorch's"),
        (pickle.dumps({}), "bare pickle.*1.6"),
        (b"hello", "begins with b'hello'"),
        ((100).to_bytes(8, "little") + b"{", "safetensors"),
        ((9).to_bytes(8, "little") + b'{"x": 1}}', "safetensors"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(tn.FileFormatError, match=message):
        tn.load(tmp_path / "x.pt")


def test_programs_and_foreign_byte_orders_are_refused() -> None:
    with pytest.raises(tn.FileFormatError, match="TorchScript"):
        tn.load(archive(tensor_pickle(), {"constants.pkl": b""}))
    with pytest.raises(tn.FileFormatError, match="byte order"):
        tn.load(archive(tensor_pickle(), {"byteorder": b"big"}))


def test_every_dtype_goes_to_pytorch_and_back(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for name, dtype in torch_names.DTYPES.items():
        theirs = torch.tensor([[0, 1, 2], [3, 0, 5]]).to(getattr(torch, name))
        torch.save({"x": theirs, "column": theirs[:, 1], "turned": theirs.T}, tmp_path / "theirs.pt")
        ours = tn.load(tmp_path / "theirs.pt")
        assert ours["x"].numpy().dtype == dtype.numpy
        np.testing.assert_array_equal(ours["turned"].numpy(), np.array([[0, 3], [1, 0], [2, 5]], dtype.numpy))
        assert np.shares_memory(ours["column"].numpy(), ours["x"].numpy())
        tn.save(ours, tmp_path / "ours.pt")
        for mapped in (False, True):
            back = torch.load(tmp_path / "ours.pt", weights_only=True, mmap=mapped)
            assert back["x"].dtype == theirs.dtype
            assert torch.equal(back["x"], theirs)
            assert torch.equal(back["turned"], theirs.T)
            assert back["column"].stride() == (3,)
            assert back["column"].data_ptr() - back["x"].data_ptr() == theirs.element_size()


def test_state_dicts_of_pytorch_are_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "kept by PyTorch alone"
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "parameter": parameter, "epoch": 3}
    torch.save(saved, tmp_path / "x.pt")
    got = tn.load(tmp_path / "x.pt")
    assert got["epoch"] == 3
    assert got["model"]._metadata == model.state_dict()._metadata
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(got["model"][name].numpy(), tensor.numpy())
    assert got["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]
    np.testing.assert_array_equal(got["parameter"].detach().numpy(), [1, 1])
    tn.save(got, tmp_path / "ours.pt")
    back = torch.load(tmp_path / "ours.pt", weights_only=True)
    model.load_state_dict(back["model"])
    optimizer.load_state_dict(back["optimizer"])


def test_whole_models_and_old_files_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "x.pt")
    with pytest.raises(tn.UnsafeFileError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        tn.load(tmp_path / "x.pt")
    torch.save({"x": torch.ones(1)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(tn.FileFormatError, match=r"before version 1\.6"):
        tn.load(tmp_path / "x.pt")


def test_safetensors_of_pytorch_are_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    library.save_file({"x": torch.tensor([1.5, -2]).to(torch.bfloat16)}, tmp_path / "x.safetensors")
    got = tn.load(tmp_path / "x.safetensors")
    assert got["x"].dtype == tn.bf16
    tn.save(got, tmp_path / "y.safetensors")
    assert torch.equal(library.load_file(tmp_path / "y.safetensors")["x"], torch.tensor([1.5, -2]).to(torch.bfloat16))
