"""Functions with a counterpart in NumPy: the same values, element types and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

Case = tuple[str, Callable[..., Any], Callable[..., Any], tuple[Any, ...]]

S = {"matrix": (3, 4), "vector": (4,), "column": (3, 1), "cube": (2, 3, 4), "empty": (0, 4), "scalar": ()}


def f(name: str, dtype: str = "f4") -> tuple[str, str]:
    """A normal random array of a named shape."""
    return (name, dtype)


X, Y, V, C, Q = f("matrix"), f("matrix"), f("vector"), f("column"), f("cube")
I, J = f("matrix", "i4"), f("matrix", "i4")  # noqa: E741

UNARY = [
    *(
        (name, getattr(tn, name), getattr(np, name))
        for name in ["exp", "exp2", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh"]
    ),
    *(
        (name, getattr(tn, name), getattr(np, name))
        for name in ["abs", "sign", "floor", "ceil", "trunc", "cbrt", "square"]
    ),
    *((name, getattr(tn, name), getattr(np, name)) for name in ["isfinite", "isnan", "isinf", "negative", "round"]),
    ("atan", tn.atan, np.arctan),
    ("round to 2 places", lambda x: tn.round(x, 2), lambda x: np.round(x, 2)),
    ("square root", lambda x: tn.sqrt(abs(x)), lambda x: np.sqrt(abs(x))),
    ("rsqrt", lambda x: tn.rsqrt(abs(x)), lambda x: 1 / np.sqrt(abs(x))),
    ("log", lambda x: tn.log(abs(x)), lambda x: np.log(abs(x))),
    ("log2", lambda x: tn.log2(abs(x)), lambda x: np.log2(abs(x))),
    ("log10", lambda x: tn.log10(abs(x)), lambda x: np.log10(abs(x))),
    ("log1p", lambda x: tn.log1p(abs(x)), lambda x: np.log1p(abs(x))),
    ("nan_to_num", lambda x: tn.nan_to_num(x / 0), lambda x: np.nan_to_num(np.sign(x) * np.float32(np.inf))),
]

BINARY = [
    *(
        (name, getattr(tn, name), getattr(np, name))
        for name in ["add", "subtract", "multiply", "divide", "maximum", "minimum"]
    ),
    *((name, getattr(tn, name), getattr(np, name)) for name in ["floor_divide", "remainder", "fmod"]),
    *((name, getattr(tn, name), getattr(np, name)) for name in ["not_equal", "less", "less_equal"]),
    ("equal", tn.eq, np.equal),
    *((name, getattr(tn, name), getattr(np, name)) for name in ["greater", "greater_equal"]),
    *((name, getattr(tn, name), getattr(np, name)) for name in ["logical_and", "logical_or", "logical_xor", "isclose"]),
    ("atan2", tn.atan2, np.arctan2),
]

REDUCTIONS = [
    (
        f"{name}{options}",
        lambda x, n=name, o=options: getattr(tn, n)(x, **o),
        lambda x, n=name, o=options: getattr(np, n)(x, **o),
    )
    for name in ("sum", "prod", "mean", "max", "min", "any", "all")
    for options in ({}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 1)})
]

SHAPES: list[tuple[str, Callable[[Any, Any], Any], tuple[Any, ...]]] = [
    ("reshape", lambda m, x: m.reshape(x, (2, -1)), (X,)),
    ("ravel", lambda m, x: m.ravel(x), (Q,)),
    ("transpose", lambda m, x: m.transpose(x), (Q,)),
    ("transpose by order", lambda m, x: m.transpose(x, (1, 2, 0)), (Q,)),
    ("swapaxes", lambda m, x: m.swapaxes(x, 0, -1), (Q,)),
    ("moveaxis", lambda m, x: m.moveaxis(x, 0, 2), (Q,)),
    ("moveaxis of two", lambda m, x: m.moveaxis(x, (0, 1), (2, 0)), (Q,)),
    ("squeeze", lambda m, x: m.squeeze(x), (C,)),
    ("squeeze one", lambda m, x: m.squeeze(x, 1), (C,)),
    ("expand_dims", lambda m, x: m.expand_dims(x, (0, 2)), (X,)),
    ("broadcast_to", lambda m, x: m.broadcast_to(x, (2, 3, 4)), (C,)),
    ("concatenate", lambda m, x, y: m.concatenate([x, y], axis=1), (X, Y)),
    ("stack", lambda m, x, y: m.stack([x, y], axis=-1), (X, Y)),
    ("flip", lambda m, x: m.flip(x), (Q,)),
    ("flip one", lambda m, x: m.flip(x, 1), (Q,)),
    ("roll", lambda m, x: m.roll(x, 2), (Q,)),
    ("roll one", lambda m, x: m.roll(x, -5, 1), (X,)),
    ("roll two", lambda m, x: m.roll(x, (1, 2), (0, 1)), (X,)),
    ("roll one axis twice", lambda m, x: m.roll(x, (1, 2), (0, 0)), (X,)),
    ("tile", lambda m, x: m.tile(x, (2, 1, 3)), (X,)),
    ("pad", lambda m, x: m.pad(x, [(1, 2), (0, 3)]), (X,)),
    ("pad by edges", lambda m, x: m.pad(x, [(2, 2), (1, 3)], "edge"), (X,)),
    ("pad by reflection", lambda m, x: m.pad(x, [(2, 1), (3, 2)], "reflect"), (X,)),
    ("pad by wrapping", lambda m, x: m.pad(x, [(2, 1), (3, 2)], "wrap"), (X,)),
    ("diagonal", lambda m, x: m.diagonal(x), (X,)),
    ("diagonal above", lambda m, x: m.diagonal(x, 2), (X,)),
    ("diagonal below", lambda m, x: m.diagonal(x, -1), (X,)),
    ("diagonal of a cube", lambda m, x: m.diagonal(x, 1, 2, 0), (Q,)),
    ("tril", lambda m, x: m.tril(x, 1), (Q,)),
    ("triu", lambda m, x: m.triu(x), (X,)),
    ("where", lambda m, x, y: m.where(x > 0, x, y), (X, Y)),
    ("clip", lambda m, x: m.clip(x, -0.5, 0.5), (X,)),
    ("clip by arrays", lambda m, x, y: m.clip(x, y, y + 1), (X, Y)),
    ("matmul", lambda m, x, y: m.matmul(x, m.transpose(y)), (X, Y)),
    ("vector times matrix", lambda m, x, v: m.matmul(x, v), (X, V)),
    ("matrix times vector", lambda m, v, x: m.matmul(v, m.transpose(x)), (V, X)),
    ("vectors", lambda m, v, w: m.matmul(v, w), (V, V)),
    ("batched", lambda m, q, x: m.matmul(q, m.swapaxes(q, 1, 2)), (Q, X)),
    ("batch times matrix", lambda m, q, x: m.matmul(q, m.transpose(x)), (Q, X)),
    ("matrix times batch", lambda m, q, x: m.matmul(x, m.swapaxes(q, 1, 2)), (Q, X)),
    ("of integers", lambda m, i, j: m.matmul(i, m.transpose(j)), (I, J)),
    ("dot", lambda m, q, v: m.dot(q, v), (Q, V)),
    ("outer", lambda m, v, x: m.outer(v, x), (V, X)),
    ("vdot", lambda m, x, y: m.vdot(x, y), (X, Y)),
    ("tensordot", lambda m, q, x: m.tensordot(q, x, 2), (Q, X)),
    ("tensordot of axes", lambda m, q, x: m.tensordot(q, x, ((2, 1), (1, 0))), (Q, X)),
    ("cumsum", lambda m, x: m.cumsum(x, axis=1), (X,)),
    ("cumprod", lambda m, x: m.cumprod(x, axis=0), (X,)),
    ("sort", lambda m, x: m.sort(x, axis=0), (X,)),
    ("argsort", lambda m, x: m.argsort(x, axis=-1), (X,)),
    ("argmax", lambda m, x: m.argmax(x), (X,)),
    ("argmax of an axis", lambda m, x: m.argmax(x, axis=0, keepdims=True), (X,)),
    ("argmin", lambda m, x: m.argmin(x, axis=1), (X,)),
    ("variance", lambda m, x: m.var(x, axis=0, ddof=0), (X,)),
    ("standard deviation", lambda m, x: m.std(x, ddof=1), (X,)),
    ("count_nonzero", lambda m, i: m.count_nonzero(i, axis=0), (I,)),
    ("take", lambda m, x: m.take(x, np.array([2, 0, -1]), axis=1), (X,)),
    ("take of all", lambda m, x: m.take(x, np.array([[11, 0]])), (X,)),
    ("take_along_axis", lambda m, x: m.take_along_axis(x, np.array([[1], [-1], [0]]), axis=1), (X,)),
    ("bit operations", lambda m, i, j: m.bitwise_or(m.bitwise_and(i, j), m.bitwise_xor(i, ~j)), (I, J)),
    ("shifts", lambda m, i: m.left_shift(i, 2) - m.right_shift(i, 1), (I,)),
]

CASES: list[Case] = [
    *((name, ours, theirs, (X,)) for name, ours, theirs in UNARY),
    *((f"{name} broadcast", ours, theirs, (X, V)) for name, ours, theirs in BINARY),
    *((f"{name} columns", ours, theirs, (C, Q)) for name, ours, theirs in BINARY),
    *((f"{name} of doubles", ours, theirs, (f("matrix", "f8"), f("vector", "f8"))) for name, ours, theirs in BINARY),
    *((name, ours, theirs, (X,)) for name, ours, theirs in REDUCTIONS),
    *((name, lambda *a, g=g: g(tn, *a), lambda *a, g=g: g(np, *a), shapes) for name, g, shapes in SHAPES),
]

EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ij,kj->ki", (3, 4), (5, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (6, 4, 5)),
    ("...i,i", (2, 3), (3,)),
    ("i...->...", (2, 3, 4)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("iji->j", (3, 4, 3)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ba", (3, 4)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->i", (3,), (3,)),
    ("ij,ij,ij->i", (3, 4), (3, 4), (3, 4)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ijk,ik->j", (2, 3, 4), (2, 4)),
    ("ij,j->", (3, 4), (4,)),
    ("a,b,c->cab", (2,), (3,), (4,)),
    ("i,->i", (3,), ()),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
]

INDICES = [
    0,
    -1,
    (1, 2),
    slice(1, None),
    slice(None, None, -1),
    slice(None, None, 2),
    slice(5, 0, -2),
    slice(3, 1),
    (slice(None), 1),
    (Ellipsis, 0),
    (0, Ellipsis, slice(1, 3)),
    None,
    (None, 0, None, slice(None), None),
    np.array([1, 0, 1]),
    [0, -1],
    np.array([[0, 1], [1, 0]]),
    (np.array([0, 1]), np.array([2, -1])),
    (np.array([[0], [1]]), np.array([2, 1])),
    (slice(None), np.array([2, 0])),
    (slice(None), np.array([2, 0]), np.array([3, 1])),
    (np.array([1, 0]), slice(None), np.array([3, 1])),
    (0, slice(None), np.array([3, 1])),
    (slice(None), 1, np.array([3, 1])),
    (Ellipsis, np.array([3, 1]), None),
    (np.array([1, 0]), None, np.array([2, 1])),
    (slice(1, None), slice(None, None, 2), np.array([3, 1])),
    (np.array(1), slice(1, 3)),
    np.array([True, False]),
    (slice(None), np.array([True, False, True])),
    np.arange(24).reshape(2, 3, 4) % 5 == 0,
    np.zeros((0,), np.int64),
    (),
    Ellipsis,
]


def data(rng: np.random.Generator, spec: tuple[str, str]) -> np.ndarray:
    name, dtype = spec
    if dtype == "i4":
        return rng.integers(-9, 9, S[name]).astype(dtype)
    return np.asarray(rng.standard_normal(S[name]), dtype)


@pytest.mark.parametrize(("ours", "theirs", "specs"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_function_agrees_with_numpy(run, same, rng, ours, theirs, specs) -> None:
    arrays = [data(rng, spec) for spec in specs]
    same(run(ours, *arrays), theirs(*arrays), tolerance=2e-5)


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum_agrees_with_numpy(run, same, rng, case) -> None:
    subscripts, *shapes = case
    arrays = [np.asarray(rng.standard_normal(shape), np.float32) for shape in shapes]
    same(run(lambda *a: tn.einsum(subscripts, *a), *arrays), np.einsum(subscripts, *arrays))


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_agrees_with_numpy(run, same, rng, index) -> None:
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    same(run(lambda x: x[index], x), x[index])


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("how", ["set", "add", "multiply", "max", "min"])
def test_update_agrees_with_numpy(run, same, rng, index, how) -> None:
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    values = np.asarray(0.25 if how == "set" else rng.standard_normal(np.shape(x[index])), np.float32)
    expected = x.copy()
    if how == "set":
        expected[index] = values
    else:
        ufunc = {"add": np.add, "multiply": np.multiply, "max": np.maximum, "min": np.minimum}[how]
        ufunc.at(expected, index, values)
    same(run(lambda x, v: getattr(x.at[index], how)(v), x, values), expected)


@pytest.mark.parametrize("position", [0, 2, -1])
def test_integer_known_at_run_time_reads_and_writes(run, same, rng, position) -> None:
    x = rng.standard_normal((3, 4)).astype(np.float32)
    i = np.int64(position)
    expected = x.copy()
    expected[position, 1:3] = 7
    same(run(lambda x, i: (x[i], x[:, i], x.at[i, 1:3].set(7)), x, i), (x[position], x[:, position], expected))


def test_index_array_known_at_run_time_counts_from_the_end(run, same, rng) -> None:
    x = rng.standard_normal((3, 4)).astype(np.float32)
    i = np.array([0, -1, -3])
    same(run(lambda x, i: x[i], x, i), x[i])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: tn.zeros(2, 3), lambda: np.zeros((2, 3), np.float32)),
        (lambda: tn.ones((2, 3), dtype=tn.i8), lambda: np.ones((2, 3), np.int8)),
        (lambda: tn.full((2,), 3), lambda: np.full((2,), 3)),
        (lambda: tn.arange(5), lambda: np.arange(5)),
        (lambda: tn.arange(2, 11, 3), lambda: np.arange(2, 11, 3)),
        (lambda: tn.arange(5, 0, -2), lambda: np.arange(5, 0, -2)),
        (lambda: tn.arange(0, 1, 0.25), lambda: np.arange(0, 1, 0.25, np.float32)),
        (lambda: tn.linspace(0, 1, 7), lambda: np.linspace(0, 1, 7, dtype=np.float32)),
        (lambda: tn.linspace(3, 3, 1), lambda: np.linspace(3, 3, 1, dtype=np.float32)),
        (lambda: tn.eye(3, 4, k=1), lambda: np.eye(3, 4, 1, dtype=np.float32)),
        (lambda: tn.zeros_like(np.ones((2, 3), np.int16)), lambda: np.zeros((2, 3), np.int16)),
        (lambda: tn.full_like(np.ones((2, 3)), 2.5), lambda: np.full((2, 3), 2.5)),
    ],
)
def test_creation_agrees_with_numpy(run, same, ours, theirs) -> None:
    same(run(ours), theirs())


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "u1", "u4"])
def test_integer_division_rounds_down_as_python_does(run, same, dtype) -> None:
    x = np.array([7, 1, 0, 100, 5, 3, 120], dtype)
    y = np.array([2, 3, 5, 7, 1, 4, 11], dtype)
    if np.dtype(dtype).kind == "i":
        x, y = np.concatenate([x, -x, x, -x]), np.concatenate([y, y, -y, -y])
    same(run(lambda x, y: (x // y, x % y), x, y), (x // y, x % y))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 5, 0.5, -0.5, -1, -2, 2.5])
def test_power_of_a_number_agrees_with_numpy(run, same, rng, exponent) -> None:
    x = rng.uniform(0.5, 2, 5).astype(np.float32)
    same(run(lambda x: x**exponent, x), x**exponent)
