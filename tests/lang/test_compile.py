"""`tn.compile` and eager calls: what is compiled when, what goes in, what comes out."""

from __future__ import annotations

import copy
import ctypes
import pickle
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, RequestError, SpecError, UnsupportedError

F4 = np.float32


def counted(function):
    """`function`, and a list that grows by one for each time it is traced."""
    traces: list[Any] = []

    def wrapper(*args, **kwargs):
        traces.append(1)
        return function(*args, **kwargs)

    return wrapper, traces


def test_a_function_computes() -> None:
    @tn.compile
    def function(x, y):
        """Documented."""
        return x * y + 1

    np.testing.assert_array_equal(function(np.arange(3.0), np.full(3, 2.0)), [1, 3, 5])
    assert (function.__name__, function.__doc__) == ("function", "Documented.")


def test_a_signature_is_traced_once() -> None:
    function, traces = counted(lambda x: x + 1)
    compiled = tn.compile(function)
    for x in (np.ones(3), np.zeros(3), np.ones(3, F4), np.ones(4), np.ones(3)):
        np.testing.assert_array_equal(compiled(x), x + 1)
    assert len(traces) == 3


def test_each_function_has_its_own_programs() -> None:
    first, second = tn.compile(lambda x: x + 1), tn.compile(lambda x: x + 2)
    x = np.zeros(2)
    assert (first(x)[0], second(x)[0], first(x)[0]) == (1, 2, 1)


def test_static_arguments_are_part_of_the_program() -> None:
    function, traces = counted(lambda x, power: x**power)
    function.__name__ = "power"
    compiled = tn.compile(lambda x, power: function(x, power), static_argnames="power")
    x = np.arange(4.0)
    np.testing.assert_array_equal(compiled(x, 2), x**2)
    np.testing.assert_array_equal(compiled(x, power=3), x**3)
    np.testing.assert_array_equal(compiled(x, power=2), x**2)
    assert len(traces) == 2


def test_static_values_that_are_equal_but_of_other_types_differ() -> None:
    compiled = tn.compile(lambda x, n: x + n, static_argnames=("n",))
    x = np.zeros(1, np.int32)
    assert [compiled(x, n).dtype for n in (1, 1.0, True)] == [np.int32, np.float32, np.int32]


def test_a_default_is_a_constant_and_an_argument_a_scalar() -> None:
    compiled = tn.compile(lambda x, scale=3: x * scale)
    x = np.ones(2, F4)
    assert compiled(x).dtype == np.float32
    np.testing.assert_array_equal(compiled(x), [3, 3])
    np.testing.assert_array_equal(compiled(x, scale=2.5), [2.5, 2.5])


def test_numbers_are_scalars_of_the_default_types() -> None:
    compiled = tn.compile(lambda x: x)
    assert [compiled(value).dtype for value in (2.5, 2, True, 2.5)] == [F4, np.int64, np.bool_, F4]
    assert compiled(np.float64(2.5)).dtype == np.float64
    assert compiled(2.5).dtype == np.float32


def test_a_spec_gives_the_type_of_a_number() -> None:
    @tn.compile
    def function(x: tn.f64[()]):
        return x

    assert [function(value).dtype for value in (1, 2.5, np.float64(1), 3)] == [np.float64] * 4
    with pytest.raises(SpecError, match=r"`x` is f32\[\], but its spec is f64\[\]"):
        function(F4(1))


@dataclass(frozen=True)
class State:
    position: Any
    velocity: Any


class Pair(NamedTuple):
    total: Any
    parts: Any


def test_arguments_and_results_are_trees() -> None:
    @tn.compile
    def function(state, pair):
        moved = State(state.position + state.velocity, state.velocity)
        return {"state": moved, "pair": Pair(pair[0] + pair[1], [pair[1], None])}

    result = function(State(np.zeros(2), np.ones(2)), (np.array(1.0), np.array(2.0)))
    assert list(result) == ["state", "pair"]
    assert isinstance(result["state"], State)
    np.testing.assert_array_equal(result["state"].position, [1, 1])
    assert isinstance(result["pair"], Pair)
    assert result["pair"].total == 3
    assert result["pair"].parts[1] is None


def test_dicts_with_equal_keys_are_one_signature() -> None:
    function, traces = counted(lambda d: d["a"] - d["b"])
    compiled = tn.compile(function)
    assert compiled({"a": np.array(3.0), "b": np.array(1.0)}) == 2
    assert compiled({"b": np.array(1.0), "a": np.array(3.0)}) == 2
    assert len(traces) == 1


def test_nothing_else_than_tensors_is_taken() -> None:
    with pytest.raises(SpecError, match=r"argument `mode` is a str, not a tensor; name it in static_argnames"):
        tn.compile(lambda x, mode: x)(np.ones(2), "fast")
    with pytest.raises(SpecError, match="argument `x`: an array of dtype object cannot be a tensor"):
        tn.compile(lambda x: x)(np.array([object()]))
    with pytest.raises(SpecError, match="argument `x`: a masked array cannot be a tensor"):
        tn.compile(lambda x: x)(np.ma.masked_array([1.0, 2.0], [0, 1]))
    with pytest.raises(SpecError, match="argument `x`: 1000000000000000000000 does not fit i64"):
        tn.compile(lambda x: x)(10**21)
    with pytest.raises(UnsupportedError, match=r"`x` is c64\[2\], and c64 is not compiled"):
        tn.compile(lambda x: x)(np.ones(2, np.complex64))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.arange(12.0).reshape(3, 4).T,
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.frombuffer(b"\0" + np.arange(3.0).tobytes(), np.uint8)[1:].view(np.float64),
        np.broadcast_to(np.arange(3.0), (2, 3)),
    ],
    ids=["strided", "transposed", "big-endian", "unaligned", "broadcast"],
)
def test_arrays_that_are_not_dense_are_taken(array) -> None:
    np.testing.assert_array_equal(tn.compile(lambda x: x * 2)(array), array * 2)


def test_tensors_in_give_tensors_out() -> None:
    compiled = tn.compile(lambda x, y: (x + y, x))
    x = np.ones(2)
    assert [type(r) for r in compiled(x, x)] == [np.ndarray, np.ndarray]
    assert [type(r) for r in compiled(tn.tensor(x), x)] == [tn.Tensor, tn.Tensor]


def test_dlpack_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(tn.compile(lambda x: x * 2)(torch.arange(3.0)), [0, 2, 4])


def test_donated_arrays_are_updated_in_place() -> None:
    compiled = tn.compile(lambda x, y: (y.sum(), x + y), donate=("x",))
    x, y = np.zeros(3), np.ones(3)
    _, result = compiled(x, y)
    assert np.shares_memory(result, x)
    np.testing.assert_array_equal(x, [1, 1, 1])


def test_a_weight_is_updated_in_place_by_the_product_that_is_its_gradient() -> None:
    rng = np.random.default_rng(3)
    weight, x, g = (rng.standard_normal(shape).astype(np.float32) for shape in ((130, 96), (1100, 96), (1100, 130)))
    step = tn.compile(lambda w, x, g: w - 0.01 * (g.T @ x), donate="w")
    text = step.lower(tn.f32[130, 96], tn.f32[1100, 96], tn.f32[1100, 130]).text("loops")
    assert "in 1100:" not in text, "its depth is not summed in blocks"
    assert text.count("\nkernel ") == 1, "it is computed apart and copied"
    expected = weight - 0.01 * (g.T.astype(np.float64) @ x)
    np.testing.assert_allclose(step(weight.copy(), x, g), expected, rtol=1e-5, atol=1e-5)


def test_a_donated_array_that_is_also_read_elsewhere_is_copied() -> None:
    compiled = tn.compile(lambda x, y: x[::-1] + y, donate=("x",))
    x = np.arange(3.0)
    np.testing.assert_array_equal(compiled(x, x), [2, 2, 2])
    np.testing.assert_array_equal(x, [0, 1, 2])


def test_a_donated_array_that_is_read_only_is_copied() -> None:
    x = np.arange(3.0)
    x.flags.writeable = False
    np.testing.assert_array_equal(tn.compile(lambda x: x + 1, donate="x")(x), [1, 2, 3])


def test_methods_are_compiled() -> None:
    class Model:
        scale = 3.0

        @tn.compile(static_argnames=("self",))
        def apply(self, x):
            return x * self.scale

    np.testing.assert_array_equal(Model().apply(np.ones(2)), [3, 3])


def test_a_compiled_function_is_inlined_where_another_is_traced() -> None:
    inner = tn.compile(lambda x: x + 1)
    np.testing.assert_array_equal(tn.compile(lambda x: inner(x) * 2)(np.ones(2)), [4, 4])


def test_two_threads_may_call_at_once() -> None:
    function, traces = counted(lambda x: tn.exp(x))
    compiled = tn.compile(function)
    barrier, results = threading.Barrier(4), []

    def call() -> None:
        barrier.wait()
        results.append(compiled(np.zeros(3)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(traces) == 1
    np.testing.assert_array_equal(results, np.ones((4, 3)))


def test_parameters_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SpecError, match="has no parameter `y`; its parameters are x"):
        tn.compile(lambda x: x, donate="y")(np.ones(2))


def test_lowered_programs_show_their_stages() -> None:
    lowered = tn.compile(lambda x: tn.exp(x)).lower(tn.f32[4])
    assert "stablehlo.exponential" in lowered.text()
    assert "define" in lowered.text("llvm")
    np.testing.assert_array_equal(lowered.compile()(np.zeros(4, F4)), np.ones(4, F4))
    with pytest.raises(ArgumentError, match="the stages are tensor, loops, llvm, asm"):
        lowered.text("wasm")


def test_export_writes_a_library_that_c_can_call(tmp_path) -> None:
    compiled = tn.compile(lambda x: x * 2)
    compiled.__doc__ = "Twice x."
    path = compiled.export(tmp_path / "libdouble.so", tn.f32[4])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["double.h", "libdouble.so"]
    x, result = np.arange(4, dtype=F4), np.empty(4, F4)
    header = (tmp_path / "double.h").read_text()
    name = next(word for word in header.replace("(", " ").split() if word.startswith(("lambda", "_lambda")))
    function = ctypes.CDLL(str(path))[name]
    assert function(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(result.ctypes.data)) == 0
    np.testing.assert_array_equal(result, x * 2)


def test_export_to_where_nothing_can_be_written_is_refused(tmp_path) -> None:
    with pytest.raises(RequestError, match="cannot write"):
        tn.compile(lambda x: x).export(tmp_path / "missing" / "lib.so", tn.f32[4])
    assert not list(tmp_path.iterdir())


def test_functions_run_without_being_compiled_by_the_user() -> None:
    x = np.array([0.0, 1.0])
    assert type(tn.exp(x)) is np.ndarray
    assert type(tn.exp(tn.tensor(x))) is tn.Tensor
    np.testing.assert_allclose(tn.exp(x), np.exp(x))
    np.testing.assert_array_equal(tn.zeros(2, 3).numpy(), np.zeros((2, 3)))
    assert tn.sum([1, 2, 3]).item() == 6


def test_operators_run_without_being_compiled_by_the_user() -> None:
    t = tn.tensor([1.0, 2.0, 3.0])
    assert (t * 2 + 1).tolist() == [3, 5, 7]
    assert (1 - t).tolist() == [0, -1, -2]
    assert t[1].item() == 2
    assert t[t > 1].tolist() == [2, 3]
    assert t.at[0].set(9).tolist() == [9, 2, 3]
    assert float(t @ t) == 14
    assert bool((t > 0).all())
    assert [row.item() for row in t] == [1, 2, 3]


def test_gradients_run_without_being_compiled_by_the_user() -> None:
    gradient = tn.grad(lambda x: tn.sum(x * x))
    np.testing.assert_array_equal(gradient(np.arange(3.0)), [0, 2, 4])


def test_constants_that_compare_equal_are_not_mixed_up() -> None:
    x = np.ones(1, np.int32)
    assert [tn.multiply(x, n).dtype for n in (1, 1.0, True)] == [np.int32, np.float32, np.int32]
    assert np.signbit(tn.multiply(np.ones(1), 0.0)) == [False]
    assert np.signbit(tn.multiply(np.ones(1), -0.0)) == [True]


@tn.compile
def at_module_level(x):
    return x + 1


def test_a_compiled_function_is_pickled_and_copied_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level
    assert copy.deepcopy(at_module_level) is at_module_level
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(tn.compile(lambda x: x))


def test_what_is_no_function_is_not_compiled() -> None:
    with pytest.raises(ArgumentError, match=r"3 is no function, at .*test_compile.py:"):
        tn.compile(3)


def test_a_cached_call_in_a_new_process_needs_no_llvm(own_cache) -> None:
    script = textwrap.dedent(
        """
        import sys
        import numpy as np
        import tenfold as tn
        f = tn.compile(lambda x: tn.softmax(x, -1) * 5)
        f(np.ones(7))
        print("llvmlite" in sys.modules)
        """
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    assert [run.stdout.strip() for run in runs] == ["True", "False"]
