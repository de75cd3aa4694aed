"""`tn.Tensor` as data: making one, looking inside, exchanging memory, and NumPy's functions on it."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, UnsupportedError


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1.0, 2.0], tn.f32),
        ([1, 2], tn.i64),
        ([True], tn.bool),
        (2.5, tn.f32),
        (np.ones(2), tn.f64),
        (np.float64(1), tn.f64),
        ([np.float64(1), 2.0], tn.f64),
        ([], tn.f32),
        (np.ones(2, ">f4"), tn.f32),
    ],
)
def test_element_type_of_data(data, dtype) -> None:
    assert tn.tensor(data).dtype is dtype


@pytest.mark.parametrize("data", [["a"], [[1], [1, 2]], object()])
def test_what_is_not_numbers_is_refused(data) -> None:
    with pytest.raises((DTypeError, ValueError)):
        tn.tensor(data)


def test_an_array_is_shared() -> None:
    array = np.zeros(3)
    tensor = tn.from_numpy(array)
    array[0] = 1
    assert tensor.tolist() == [1, 0, 0]
    assert np.shares_memory(np.asarray(tensor), array)
    assert np.shares_memory(np.from_dlpack(tensor), array)
    assert not np.shares_memory(np.array(tensor), array)


def test_a_tensor_of_torch_is_shared() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.zeros(3)
    ours = tn.from_dlpack(theirs)
    theirs[1] = 5
    assert ours.tolist() == [0, 5, 0]
    assert torch.from_dlpack(ours)[1] == 5


def test_what_cannot_be_shared_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentError, match="cannot share the memory of a Tensor"):
        tn.from_dlpack(torch.zeros(3, requires_grad=True))


def test_shape_and_type_are_known() -> None:
    tensor = tn.tensor(np.zeros((2, 3), np.int16))
    assert (tensor.shape, tensor.ndim, tensor.numel(), tensor.dtype, len(tensor)) == ((2, 3), 2, 6, tn.i16, 2)


def test_python_numbers_come_out() -> None:
    assert (int(tn.tensor(3)), float(tn.tensor(2.5)), bool(tn.tensor(0)), [4, 5][tn.tensor(1)]) == (3, 2.5, False, 5)
    assert f"{tn.tensor(2.5):.3f}" == "2.500"


def test_a_tensor_is_shown_with_its_values() -> None:
    assert repr(tn.tensor([1.0, 2.0])) == str(tn.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert f"{tn.tensor([1])} {tn.tensor(1)} {tn.tensor(0.5)}" == "tensor([1]) 1 0.5"


def test_a_format_is_for_one_number() -> None:
    with pytest.raises(TypeError, match="unsupported format string"):
        format(tn.tensor([1.0]), ".2f")


def test_a_traced_tensor_is_shown_by_its_type() -> None:
    seen: list[str] = []

    @tn.compile
    def look(x):
        seen.append(f"{x} {x!r}")
        return x

    look(np.ones((), np.float32))
    assert seen == ["Tensor(f32[], traced) Tensor(f32[], traced)"]


def test_a_scalar_has_no_length() -> None:
    with pytest.raises(TypeError, match="0-d tensor"):
        len(tn.tensor(1))
    with pytest.raises(TypeError, match="0-d tensor"):
        iter(tn.tensor(1))


UFUNCS = [
    (np.add, 2),
    (np.matmul, 2),
    (np.exp, 1),
    (np.absolute, 1),
    (np.less, 2),
    (np.power, 2),
    (np.arctan2, 2),
    (np.rint, 1),
    (np.negative, 1),
]


@pytest.mark.parametrize(("ufunc", "operands"), UFUNCS, ids=lambda value: getattr(value, "__name__", None))
def test_ufuncs_of_numpy_take_tensors(run, same, rng, ufunc, operands) -> None:
    arrays = [np.abs(rng.standard_normal((3, 3))) for _ in range(operands)]
    same(run(lambda *tensors: ufunc(*tensors), *arrays), ufunc(*arrays))


FUNCTIONS = [
    lambda x: np.sum(x, 0, keepdims=True),
    lambda x: np.sum(x, axis=1, dtype=np.float32),
    lambda x: np.mean(x, (0, 1)),
    lambda x: np.var(x, axis=0),
    lambda x: np.std(x, axis=0, ddof=1),
    lambda x: np.max(x, axis=0),
    lambda x: np.argmin(x, axis=1),
    lambda x: np.cumsum(x),
    lambda x: np.concatenate([x, x], axis=1),
    lambda x: np.stack([x, x]),
    lambda x: np.transpose(x, (1, 0)),
    lambda x: np.reshape(x, (2, 6)),
    lambda x: np.where(x > 0, x, 0.0),
    lambda x: np.clip(x, -1, 1),
    lambda x: np.einsum("ij->j", x),
    lambda x: np.sort(x),
    lambda x: np.sort(x, axis=None),
    lambda x: np.pad(x, 1),
    lambda x: np.pad(x, (1, 2), constant_values=3),
    lambda x: np.split(x, 2, axis=1),
    lambda x: np.split(x, [1, 2], axis=1),
    lambda x: np.repeat(x, 2, axis=0),
    lambda x: np.zeros_like(x),
    lambda x: np.diagonal(x, 1),
    lambda x: np.take(x, np.array([1, 0]), axis=1),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_numpy_take_tensors(run, same, rng, function) -> None:
    x = rng.standard_normal((3, 4))
    same(run(function, x), function(x))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda t: np.add.reduce(t), "numpy.add.reduce has no counterpart"),
        (lambda t: np.add.at(t, 0, 1), "numpy.add.at has no counterpart"),
        (lambda t: np.add(t, t, out=np.zeros(2)), "numpy.add with out="),
        (lambda t: np.add(t, t, where=False), "numpy.add with where"),
        (lambda t: np.gcd(t, t), "numpy.gcd has no counterpart"),
        (lambda t: np.fft.fft(t), "numpy.fft has no counterpart|fft has no counterpart"),
        (lambda t: np.median(t), "numpy.median has no counterpart"),
        (lambda t: np.sum(t, where=[True, False]), "numpy.sum with these arguments"),
        (lambda t: np.sum(t, out=np.zeros(())), "numpy.sum with out="),
    ],
)
def test_what_has_no_counterpart_is_refused(use, message) -> None:
    with pytest.raises(UnsupportedError, match=message):
        use(tn.tensor([1.0, 2.0]))


BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne"]


@pytest.mark.parametrize("name", BINARY)
def test_operators_take_numbers_on_either_side(run, same, rng, name) -> None:
    x = rng.uniform(0.5, 2, 4)
    op = getattr(operator, name)
    same(run(lambda x: (op(x, 2.5), op(2.5, x)), x), (op(x, 2.5), op(2.5, x)), 1e-12)


@pytest.mark.parametrize("name", ["and_", "or_", "xor", "lshift", "rshift"])
def test_bit_operators_take_numbers_on_either_side(run, same, rng, name) -> None:
    x = rng.integers(0, 8, 4)
    op = getattr(operator, name)
    same(run(lambda x: (op(x, 3), op(3, x)), x), (op(x, 3), op(3, x)))


def test_unary_operators(run, same, rng) -> None:
    x = rng.integers(-8, 8, 4)
    same(run(lambda x: (-x, +x, abs(x), ~x), x), (-x, x, abs(x), ~x))


def test_type_names_the_elements_or_converts_them() -> None:
    assert tn.ones(1).type() == "torch.FloatTensor"
    assert tn.ones(1, dtype=tn.bool).type() == "torch.BoolTensor"
    assert tn.ones(1).type(tn.int64).dtype is tn.int64
    assert tn.ones(1).type("torch.DoubleTensor").dtype is tn.float64


def test_what_is_no_tensor_is_equal_to_none() -> None:
    x = tn.ones(3)
    for other in (None, "a", object(), {}):
        assert (x == other) is False
        assert (x != other) is True
    assert None not in [x]
    assert (x == [1, 2, 1]).tolist() == [True, False, True]
    assert tn.compile(lambda x: -x if x == None else x)(x).tolist() == [1, 1, 1]  # noqa: E711
