"""`tn.save` and `tn.load`: what is saved is loaded again, whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest

import tenfold as tn

DTYPES = [tn.bool, tn.i8, tn.i16, tn.i32, tn.i64, tn.u8, tn.u16, tn.u32, tn.u64, tn.f16, tn.bf16, tn.f32, tn.f64]


def array(dtype: tn.dtype) -> np.ndarray:
    return np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype.dtype)


@pytest.fixture
def tensors() -> dict[str, tn.Tensor]:
    """One tensor of each element type, one without elements, one without axes."""
    made = {dtype.name: tn.tensor(array(dtype)) for dtype in DTYPES}
    return made | {"empty": tn.tensor(np.zeros((0, 3), np.float32)), "scalar": tn.tensor(np.float64(2.5))}


def assert_equal(got: dict[str, tn.Tensor], wanted: dict[str, tn.Tensor]) -> None:
    assert list(got) == list(wanted)
    for name, tensor in wanted.items():
        assert (got[name].dtype, tuple(got[name].shape)) == (tensor.dtype, tuple(tensor.shape)), name
        np.testing.assert_array_equal(got[name].numpy(), tensor.numpy())


def test_every_dtype_comes_back_from_pytorchs_format(tensors: dict[str, tn.Tensor], tmp_path: Path) -> None:
    tn.save(tensors, tmp_path / "all.pt")
    assert_equal(tn.load(tmp_path / "all.pt"), tensors)


def test_every_dtype_comes_back_from_safetensors(tensors: dict[str, tn.Tensor], tmp_path: Path) -> None:
    tn.save(tensors, tmp_path / "all.safetensors")
    got = tn.load(tmp_path / "all.safetensors")
    assert_equal({name: got[name] for name in tensors}, tensors)


def test_numpys_dtypes_come_back_from_npz(tensors: dict[str, tn.Tensor], tmp_path: Path) -> None:
    del tensors["bf16"]
    tn.save(tensors, tmp_path / "all.npz")
    assert_equal(tn.load(tmp_path / "all.npz"), tensors)
    with np.load(tmp_path / "all.npz") as read:
        np.testing.assert_array_equal(read["f32"], tensors["f32"].numpy())


def test_npz_has_no_bfloat16(tensors: dict[str, tn.Tensor], tmp_path: Path) -> None:
    with pytest.raises(tn.DTypeError, match=r"'bf16' is bfloat16, .*safetensors"):
        tn.save(tensors, tmp_path / "all.npz")
    assert not list(tmp_path.iterdir())


def test_what_numpy_compressed_is_read(tmp_path: Path) -> None:
    zeros = np.zeros(100_000, ">f4")
    np.savez_compressed(tmp_path / "zeros.npz", zeros=zeros)
    np.testing.assert_array_equal(tn.load(tmp_path / "zeros.npz")["zeros"].numpy(), zeros)


def test_plain_data_comes_back() -> None:
    state = OrderedDict(a=1, b=[2.5, None, True, False, 2**40, -3, -(2**70)])
    state._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]
    value = {
        "state": state,
        3: (1j, "naïve \ud800", b"\x00\xff", (), [], {}),
        "set": {1, 2},
        "counter": Counter("aab"),
        "dtype": tn.f32,
        "size": tn.Size([2, 3]),
        "device": tn.device("cuda:1"),
        "tuple": ("x", ("y",)),
    }
    file = io.BytesIO()
    tn.save(value, file)
    file.seek(0)
    got = tn.load(file)
    assert got == value
    assert type(got["state"]) is OrderedDict
    assert got["state"]._metadata == {"": {"version": 2}}
    assert type(got["counter"]) is Counter
    assert type(got["size"]) is tn.Size


def test_tensors_that_share_memory_share_it_again(tmp_path: Path) -> None:
    memory = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = [memory, memory.T, memory[1:3, ::2], memory[::-1], np.ones(3, np.float32)]
    tn.save(
        [tn.from_numpy(view) if min(view.strides) > 0 else tn.tensor(view) for view in views], tmp_path / "views.pt"
    )
    got = [tensor.numpy() for tensor in tn.load(tmp_path / "views.pt")]
    for view, wanted in zip(got, views, strict=True):
        np.testing.assert_array_equal(view, wanted)
    assert [np.shares_memory(view, got[0]) for view in got] == [True, True, True, False, False]


def test_a_change_of_a_loaded_tensor_is_seen_in_those_that_share_its_memory(tmp_path: Path) -> None:
    whole = tn.arange(24.0).reshape(4, 6)
    rows = tn.zeros(10)
    saved = [whole, whole.T, whole[1:3, ::2], whole[2], rows[2:4], rows[6:9], whole]
    tn.save(saved, tmp_path / "views.pt")
    for place in range(len(saved)):
        got, expected = tn.load(tmp_path / "views.pt"), [each.clone() for each in saved]
        array = whole.numpy().copy()
        views = [array, array.T, array[1:3, ::2], array[2], np.zeros(2), np.zeros(3), array]
        views[place] += 1
        got[place].add_(1)
        for ours, wanted, before in zip(got, views, expected, strict=True):
            assert ours.shape == before.shape
            np.testing.assert_array_equal(ours, wanted)


def test_gradients_and_parameters_are_kept(tmp_path: Path) -> None:
    parameter = tn.nn.Parameter(tn.ones(2, 3))
    saved = [tn.ones(2, requires_grad=True), parameter, tn.nn.Parameter(tn.arange(2), requires_grad=False), tn.ones(1)]
    tn.save(saved, tmp_path / "x.pt")
    got = tn.load(tmp_path / "x.pt")
    assert [(type(each), each.requires_grad, each.is_leaf) for each in got] == [
        (tn.Tensor, True, True),
        (tn.nn.Parameter, True, True),
        (tn.nn.Parameter, False, True),
        (tn.Tensor, False, True),
    ]
    (got[1] * 3).sum().backward()
    assert got[1].grad.tolist() == [[3.0] * 3] * 2
    torch = pytest.importorskip("torch")
    theirs = torch.load(tmp_path / "x.pt", weights_only=True)
    assert [(type(each), each.requires_grad) for each in theirs] == [
        (torch.Tensor, True),
        (torch.nn.Parameter, True),
        (torch.nn.Parameter, False),
        (torch.Tensor, False),
    ]
    torch.save(theirs, tmp_path / "theirs.pt")
    back = tn.load(tmp_path / "theirs.pt")
    assert [(type(each), each.requires_grad) for each in back] == [(type(each), each.requires_grad) for each in got]


def test_memory_that_no_saved_tensor_covers_is_not_written() -> None:
    file = io.BytesIO()
    tn.save(tn.tensor(np.zeros((1000, 1000))[:2]), file)
    assert file.tell() < 20_000


def test_loaded_tensors_can_be_written_to(tmp_path: Path) -> None:
    for name in ("x.pt", "x.npz", "x.safetensors"):
        tn.save({"x": tn.tensor([1.0, 2.0])}, tmp_path / name)
        tn.load(tmp_path / name)["x"].numpy()[:] = 7
        np.testing.assert_array_equal(tn.load(tmp_path / name)["x"].numpy(), [1, 2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": len}]}, r"the object\['a'\]\[1\]\['b'\] is a builtin_function_or_method"),
        ({"loss": np.float32(1)}, r"the object\['loss'\] is a float32"),
        (object(), "the object is a object"),
        (2**3000, "an int of 3001 bits"),
    ],
)
def test_what_would_need_code_is_not_saved(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(tn.ArgumentError, match=message):
        tn.save(value, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())


def test_what_contains_itself_is_not_saved() -> None:
    value: list[object] = [1]
    value.append({"again": value})
    with pytest.raises(tn.ArgumentError, match=r"the object\[1\]\['again'\] contains itself"):
        tn.save(value, io.BytesIO())


def test_nesting_without_end_is_not_saved() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(tn.ArgumentError, match="nested too deeply"):
        tn.save(value, io.BytesIO())


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_flat_formats_hold_flat_dicts(suffix: str, tmp_path: Path) -> None:
    for value, message in (
        ([1], "holds a dict, not a list"),
        ({"a": {"b": tn.tensor([1])}}, "'a' is a dict"),
        ({1: tn.tensor([1])}, "a string, not 1"),
    ):
        with pytest.raises(tn.ArgumentError, match=message):
            tn.save(value, tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.pt", "x.npz", "x.safetensors"])
def test_a_failed_write_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    tn.save({"x": tn.tensor([1.0])}, path)
    path.chmod(0o640)
    code = f"""
import resource, numpy as np, tenfold as tn
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    tn.save({{"x": tn.tensor(np.zeros(10_000))}}, {str(path)!r})
except tn.SaveError as error:
    assert isinstance(error, (OSError, RuntimeError))
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"save: {path} was not written: " in done.stdout
    assert "too large" in done.stdout
    assert [file.name for file in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(tn.load(path)["x"].numpy(), [1])
    tn.save({"x": tn.tensor([2.0])}, path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_told() -> None:
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(tn.SaveError, match="No space left") as caught:
        tn.save({"x": tn.tensor(np.zeros(100_000))}, file)
    assert caught.value.errno == errno.ENOSPC


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(tn.SaveError, match="No such file or directory") as caught:
        tn.save({}, tmp_path / "absent" / "x.pt")
    assert __file__ in str(caught.value)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.pt").symlink_to(tmp_path / "real.pt")
    tn.save([1], tmp_path / "link.pt")
    assert (tmp_path / "link.pt").is_symlink()
    assert tn.load(tmp_path / "real.pt") == [1]


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    for path in (tmp_path / "pipe.pt", tmp_path):
        with pytest.raises(tn.SaveError, match="is not a regular file"):
            tn.save([1], path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tn.load(tmp_path / "absent.pt")


def test_running_code_is_not_offered(tmp_path: Path) -> None:
    with pytest.raises(tn.ArgumentError, match="weights_only=False would run code"):
        tn.load(tmp_path / "x.pt", weights_only=False)


def test_tensors_are_loaded_to_the_cpu(tmp_path: Path) -> None:
    tn.save([1], tmp_path / "x.pt")
    for cpu in ("cpu", tn.device("cpu")):
        assert tn.load(tmp_path / "x.pt", map_location=cpu) == [1]
    with pytest.raises(tn.UnsupportedError, match="no back end for mps"):
        tn.load(tmp_path / "x.pt", map_location="mps")


def test_a_library_is_known_by_its_content(tmp_path: Path) -> None:
    @tn.compile
    def double(x: tn.f32[3]) -> tn.Tensor:
        return x * 2

    renamed = double.export(tmp_path / "libdouble.so").rename(tmp_path / "double.model")
    assert isinstance(tn.load(renamed), tn.LoadedLibrary)
