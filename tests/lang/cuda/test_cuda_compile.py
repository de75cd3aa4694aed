"""Compiled functions on a GPU."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from interpreting_device import InterpretingDevice

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DeviceError, PlacementError

CUDA = tn.device("cuda:0")
A = np.arange(6, dtype=np.float32).reshape(2, 3)


@tn.compile
def double(x: tn.Tensor) -> tn.Tensor:
    return x * 2


def test_a_call_runs_where_its_tensors_are(gpus: list[InterpretingDevice]) -> None:
    function = tn.compile(lambda x: x * 2 + 1)
    for device in ("cuda:0", "cpu", "cuda:1", "cuda:0"):
        result = function(tn.tensor(A).to(device))
        assert result.device == tn.device(device)
        np.testing.assert_array_equal(result.cpu().numpy(), A * 2 + 1)
    assert isinstance(function(A), np.ndarray)


def test_a_target_takes_numpy_arrays_and_gives_them(gpus: list[InterpretingDevice]) -> None:
    function = tn.compile(lambda x, y: {"sum": x + y, "first": x[0]}, target="cuda:1")
    for _ in range(3):
        results = function(A, np.float32(2))
        assert isinstance(results["sum"], np.ndarray)
        np.testing.assert_array_equal(results["sum"], A + 2)
        np.testing.assert_array_equal(results["first"], A[0])
    assert gpus[1].log
    assert not gpus[0].log


def test_a_target_takes_tensors_of_the_cpu() -> None:
    result = tn.compile(lambda x: x + 1, target="cuda")(tn.tensor(A))
    assert result.device == CUDA
    np.testing.assert_array_equal(result.cpu().numpy(), A + 1)


def test_a_target_is_found_when_the_function_is_called() -> None:
    function = tn.compile(lambda x: x + 1, target="cuda:5")
    with pytest.raises(DeviceError, match="no device cuda:5"):
        function(A)
    with pytest.raises(ArgumentError, match="target is 'mps'"):
        tn.compile(lambda x: x, target="mps")


def test_a_target_refuses_tensors_that_are_captured_elsewhere() -> None:
    weight = tn.ones(3)
    with pytest.raises(PlacementError, match="compiled for cuda:0 uses a tensor on cpu"):
        tn.compile(lambda x: x * weight, target="cuda")(A)


def test_devices_of_arguments_do_not_mix() -> None:
    function = tn.compile(lambda x, y: x + y)
    with pytest.raises(PlacementError, match="same device"):
        function(tn.tensor(A).cuda(), tn.tensor(A))
    assert function(tn.tensor(A).cuda(), A).device == CUDA
    assert function(tn.tensor(A).cuda(), tn.tensor(1.0)).device == CUDA


def test_tensors_that_are_captured_decide_where_arrays_alone_are_given() -> None:
    weight = tn.ones(3, device="cuda")
    function = tn.compile(lambda x: (x * weight).sum())
    result = function(A)
    assert float(result) == A.sum()
    with pytest.raises(PlacementError, match="compiled for cpu uses a tensor on cuda:0"):
        function(tn.tensor(A))


def test_moving_within_a_function_decides_where_it_runs() -> None:
    weight = tn.ones(3, device="cuda")
    function = tn.compile(lambda x: (x.to("cuda") * weight).sum())
    assert function(tn.tensor(A)).device == CUDA
    assert function(tn.tensor(A)).item() == A.sum()


def test_a_function_runs_on_one_device() -> None:
    with pytest.raises(PlacementError, match="compiled for cuda:0 uses a tensor on cpu"):
        tn.compile(lambda x: x.cpu() + 1)(tn.tensor(A).cuda())


def test_what_is_made_inside_is_on_the_device() -> None:
    def function(x: tn.Tensor) -> tn.Tensor:
        assert x.device == CUDA
        y = tn.ones(3, device=x.device) + tn.zeros_like(x) + tn.arange(3.0) + x.new_ones(3)
        assert y.device == CUDA
        return y + tn.tensor([1.0, 2, 3], device=x.device)

    np.testing.assert_array_equal(tn.compile(function)(tn.tensor(A).cuda()).cpu().numpy(), [[3, 5, 7]] * 2)


def test_donated_arguments_give_their_memory() -> None:
    function = tn.compile(lambda x, y: x + y, donate="x")
    x = tn.tensor(A).cuda()
    address = x.data_ptr()
    x = tn.tensor(A).cuda() if address == 0 else x.clone()
    tn.lazy.run()
    place = x.ref.storage.value.memory.address
    result = function(x, tn.ones(3, device="cuda"))
    assert result.data_ptr() == place
    np.testing.assert_array_equal(result.cpu().numpy(), A + 1)


def test_state_outside_is_changed() -> None:
    count, total = tn.zeros((), device="cuda"), tn.zeros(3, device="cuda")

    @tn.compile
    def add(x: tn.Tensor) -> tn.Tensor:
        count.add_(1)
        total.add_(x.sum(0))
        return total / count

    for turn in range(1, 4):
        np.testing.assert_allclose(add(tn.tensor(A).cuda()).cpu().numpy(), A.sum(0))
        assert count.item() == turn
    assert count.device == total.device == CUDA


def test_a_number_of_the_cpu_outside_is_changed_there() -> None:
    count = tn.zeros(())

    @tn.compile
    def step(x: tn.Tensor) -> tn.Tensor:
        count.add_(1)
        return x * count

    assert [step(tn.ones(1, device="cuda")).item() for _ in range(3)] == [1, 2, 3]
    assert count.device == tn.device("cpu")
    assert count.item() == 3


def test_gradients_through_a_compiled_function() -> None:
    x = tn.tensor(A, device="cuda", requires_grad=True)
    result = tn.compile(lambda x: (x**2).sum())(x)
    result.backward()
    np.testing.assert_array_equal(x.grad.cpu().numpy(), 2 * A)
    weight = tn.ones(3, device="cuda", requires_grad=True)
    tn.compile(lambda x: (x * weight).sum())(tn.tensor(A).cuda()).backward()
    np.testing.assert_array_equal(weight.grad.cpu().numpy(), A.sum(0))


def test_transformed_functions() -> None:
    x = tn.tensor(A[0]).cuda()
    gradient = tn.grad(lambda x: (x**3).sum())(x)
    assert gradient.device == CUDA
    assert gradient.tolist() == [0, 3, 12]
    batched = tn.vmap(lambda row: row.sum())(tn.tensor(A).cuda())
    assert batched.device == CUDA
    assert batched.tolist() == A.sum(1).tolist()
    assert tn.scan(lambda c, x: (c + x, c), tn.zeros((), device="cuda"), x)[0].device == CUDA


def test_loops_and_branches() -> None:
    @tn.compile
    def collatz(n: tn.Tensor) -> tn.Tensor:
        steps = tn.zeros((), dtype=tn.int64)
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps = steps + 1
        return steps

    assert collatz(tn.tensor(27, device="cuda")).item() == 111


def test_trees_of_arguments() -> None:
    @dataclasses.dataclass
    class State:
        w: tn.Tensor
        b: tn.Tensor

    function = tn.compile(lambda state, x: State(state.w + x, state.b * 2))
    result = function(State(tn.tensor(A).cuda(), tn.ones(2).cuda()), 1.0)
    assert (result.w.device, result.b.tolist()) == (CUDA, [2, 2])


def test_random_numbers_differ_in_each_call() -> None:
    function = tn.compile(lambda x: tn.nn.functional.dropout(x) + tn.rand(64))
    x = tn.ones(64, device="cuda")
    assert function(x).tolist() != function(x).tolist()
    tn.manual_seed(4)
    first = function(x).tolist()
    tn.manual_seed(4)
    assert function(x).tolist() == first


def test_plans_are_kept_on_disk(gpus: list[InterpretingDevice], monkeypatch: pytest.MonkeyPatch) -> None:
    assert tn.compile(lambda x: x * 3 + 7)(tn.ones(5).cuda()).tolist() == [10] * 5
    monkeypatch.setattr("tenfold.program.gpu_compiler", None)
    assert tn.compile(lambda x: x * 3 + 7)(tn.ones(5).cuda()).tolist() == [10] * 5


def test_a_step_that_comes_again_is_replayed(gpus: list[InterpretingDevice]) -> None:
    function = tn.compile(lambda x: x + 1)
    x = tn.ones(5).cuda()
    assert [function(x).tolist() for _ in range(4)] == [[2] * 5] * 4
    assert gpus[0].log.count("replay") >= 2
