"""The text of tensors: fixed examples, and PyTorch's own text for many arrays and options."""

from __future__ import annotations

import math
import threading

import ml_dtypes
import numpy as np
import pytest

import tenfold as tn
from tenfold.printing import tensor_text
from tenfold_rt.errors import ArgumentError


@pytest.fixture(autouse=True)
def default_options():
    yield
    tn.set_printoptions(profile="default")


F32 = np.float32
TEXTS = [
    (np.array([1, 2.5, -3], F32), "tensor([ 1.0000,  2.5000, -3.0000])"),
    (np.array([1, 20, -3], F32), "tensor([ 1., 20., -3.])"),
    (np.array([1, 2000], F32), "tensor([1.0000e+00, 2.0000e+03])"),
    (np.array([1e-5], F32), "tensor([1.0000e-05])"),
    (np.array([np.nan, 1, -np.inf, -0.0], F32), "tensor([nan, 1., -inf, -0.])"),
    (np.array([np.nan, 0], F32), "tensor([nan, 0.])"),
    (np.array(2.0, F32), "tensor(2.)"),
    (np.array(True), "tensor(True)"),
    (np.array([True, False]), "tensor([ True, False])"),
    (np.array([[1, -20], [300, 4]]), "tensor([[  1, -20],\n        [300,   4]])"),
    (np.array([1, 2], np.uint8), "tensor([1, 2], dtype=torch.uint8)"),
    (np.array([0.1]), "tensor([0.1000], dtype=torch.float64)"),
    (np.array([0.1], np.float16), "tensor([0.1000], dtype=torch.float16)"),
    (np.array([0.1], ml_dtypes.bfloat16), "tensor([0.1001], dtype=torch.bfloat16)"),
    (np.array([1 - 2.5j], np.complex64), "tensor([1.-2.5000j])"),
    (np.zeros(0, F32), "tensor([])"),
    (np.zeros((0, 3), F32), "tensor([], size=(0, 3))"),
    (np.zeros((2, 0), np.int64), "tensor([], size=(2, 0), dtype=torch.int64)"),
    (np.zeros((2, 1, 2), F32), "tensor([[[0., 0.]],\n\n        [[0., 0.]]])"),
    (np.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        np.arange(30) + 1000,
        "tensor([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011,\n"
        "        1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023,\n"
        "        1024, 1025, 1026, 1027, 1028, 1029])",
    ),
    (
        np.arange(2000).reshape(400, 5),
        "tensor([[   0,    1,    2,    3,    4],\n        [   5,    6,    7,    8,    9],\n"
        "        [  10,   11,   12,   13,   14],\n        ...,\n        [1985, 1986, 1987, 1988, 1989],\n"
        "        [1990, 1991, 1992, 1993, 1994],\n        [1995, 1996, 1997, 1998, 1999]])",
    ),
]


@pytest.mark.parametrize(("values", "text"), TEXTS, ids=[text.replace("\n", " ")[:30] for _, text in TEXTS])
def test_the_text_of_values(values, text) -> None:
    assert tensor_text(values) == text


def test_what_else_is_known_of_a_tensor_is_told() -> None:
    x = np.ones(2, F32)
    assert tensor_text(x, requires_grad=True) == "tensor([1., 1.], requires_grad=True)"
    assert tensor_text(x, requires_grad=True, grad_fn="MulBackward0") == "tensor([1., 1.], grad_fn=<MulBackward0>)"
    assert tensor_text(x, device=tn.device("cuda", 0)) == "tensor([1., 1.], device='cuda:0')"
    parameter = tensor_text(x, requires_grad=True, is_parameter=True)
    assert parameter == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


def test_long_remarks_have_lines_of_their_own() -> None:
    text = tensor_text(np.full(7, 0.5), grad_fn="NativeLayerNormBackward0")
    row = "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000]"
    assert text == f"{row},\n       dtype=torch.float64, grad_fn=<NativeLayerNormBackward0>)"


def test_options_stay_until_a_profile_resets_them() -> None:
    values = np.array([0.12345, 1234.5])
    tn.set_printoptions(precision=2)
    tn.set_printoptions(sci_mode=False)
    assert tensor_text(values) == "tensor([   0.12, 1234.50], dtype=torch.float64)"
    tn.set_printoptions(linewidth=30)
    assert tensor_text(values) == "tensor([1.23e-01, 1.23e+03],\n       dtype=torch.float64)"
    tn.set_printoptions(profile="default")
    assert tensor_text(values) == "tensor([1.2345e-01, 1.2345e+03], dtype=torch.float64)"


def test_profiles() -> None:
    values = np.arange(2000)
    tn.set_printoptions(profile="short")
    assert tensor_text(values) == "tensor([   0,    1,  ..., 1998, 1999])"
    tn.set_printoptions(profile="full", edgeitems=1)
    assert "..." not in tensor_text(values)
    tn.set_printoptions(threshold=5)
    assert tensor_text(values) == "tensor([   0,  ..., 1999])"


@pytest.mark.parametrize("wrong", [{"profile": "long"}, {"precision": -1}, {"threshold": math.nan}, {"edgeitems": -2}])
def test_wrong_options_are_refused_and_change_nothing(wrong) -> None:
    with pytest.raises(ArgumentError, match="set_printoptions"):
        tn.set_printoptions(linewidth=3, **wrong)
    assert tensor_text(np.arange(3)) == "tensor([0, 1, 2])"


def test_a_thread_never_sees_options_half_changed() -> None:
    values, ends, texts = np.array([1 / 3, 2 / 3]), threading.Event(), set[str]()

    def look() -> None:
        while not ends.is_set():
            texts.add(tensor_text(values))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(200):
        tn.set_printoptions(precision=1, sci_mode=True)
        tn.set_printoptions(profile="default")
    ends.set()
    reader.join()
    start, end = "tensor([", "], dtype=torch.float64)"
    assert texts <= {f"{start}3.3e-01, 6.7e-01{end}", f"{start}0.3333, 0.6667{end}"}


DTYPES = [
    *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.complex64, np.complex128),
]


def random_floats(rng, size):
    """Floats of one of several characters: wide or narrow in magnitude, whole, or with odd ones among them."""
    values = rng.standard_normal(size)
    character = rng.integers(6)
    if character == 0:
        values *= 10.0 ** rng.integers(-10, 10)
    elif character == 1:
        values = np.round(values * 10.0 ** rng.integers(0, 10))
    elif character == 2:
        values *= 10.0 ** rng.integers(-40, 40, size)
    elif character == 3:
        values *= 2.0 ** rng.integers(-1074, 1023)
    elif character == 4:
        values[:] = 0
    if size and rng.integers(3) == 0:
        values[rng.integers(0, size, 3)] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], 3)
    return values


def random_array(rng):
    """An array of any element type, of rank 0 to 4, sometimes empty, sometimes long enough to be summarised."""
    dtype = np.dtype(DTYPES[rng.integers(len(DTYPES))])
    rank, kind = rng.integers(5), rng.integers(8)
    sizes = rng.choice([1, 7, 30, 1001], min(rank, 2)) if kind == 0 else rng.integers(0 if kind == 1 else 1, 7, rank)
    shape = tuple(map(int, sizes))
    size = math.prod(shape)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = (limits.min, limits.max) if rng.integers(2) else (max(limits.min, -20), 100)
        return rng.integers(low, high, shape, dtype, endpoint=True)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    with np.errstate(over="ignore"):
        values = random_floats(rng, size)
        return np.array(values + 1j * random_floats(rng, size) if dtype.kind == "c" else values, dtype).reshape(shape)


def random_options(rng):
    choices = {
        "precision": range(9),
        "threshold": (0, 5, 50, 1000),
        "edgeitems": range(5),
        "linewidth": (0, 20, 40, 80, 120),
        "profile": ("default", "short", "full"),
        "sci_mode": (True, False),
    }
    return {name: values[rng.integers(len(values))] for name, values in choices.items() if rng.integers(4) == 0}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("seed", range(4))
def test_the_text_is_that_of_torch(seed) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    try:
        for _ in range(75):
            values, options, kind = random_array(rng), random_options(rng), rng.integers(4)
            is_half = values.dtype == ml_dtypes.bfloat16
            theirs = (
                torch.from_numpy(values.view(np.int16)).view(torch.bfloat16) if is_half else torch.from_numpy(values)
            )
            differentiable = theirs.is_floating_point() or theirs.is_complex()
            known = {}
            if differentiable and kind == 1:
                theirs, known = theirs.requires_grad_(), {"requires_grad": True}
            elif differentiable and kind == 2:
                theirs, known = theirs.requires_grad_().view(values.shape), {"grad_fn": "ViewBackward0"}
            elif differentiable and kind == 3:
                theirs, known = torch.nn.Parameter(theirs), {"requires_grad": True, "is_parameter": True}
            for library in (torch, tn):
                library.set_printoptions(profile="default")
                library.set_printoptions(**options)
            assert tensor_text(values, **known) == repr(theirs), (values.dtype, values.shape, options)
    finally:
        torch.set_printoptions(profile="default")
