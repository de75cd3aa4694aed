"""Tensors on a GPU: made, moved, computed with, looked at."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from interpreting_device import InterpretingDevice

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DeviceError, DeviceMemoryError, PlacementError, ShapeError

CUDA = tn.device("cuda", 0)


def test_a_tensor_is_moved_there_and_back() -> None:
    x = tn.arange(6.0).reshape(2, 3)
    there = x.to("cuda")
    assert (there.device, x.device) == (CUDA, tn.device("cpu"))
    assert there.is_cuda
    assert there.get_device() == 0
    assert there.to("cuda:0") is there
    assert there.cuda() is there
    assert x.cpu() is x
    np.testing.assert_array_equal(there.cpu().numpy(), x.numpy())


@pytest.mark.parametrize("device", ["cuda", "cuda:0", tn.device("cuda"), 0, tn.device("cuda:0")])
def test_ways_to_say_the_device(device: object) -> None:
    assert tn.ones(2).to(device).device == CUDA
    assert tn.zeros(2, device=device).device == CUDA


def test_moving_and_converting_at_once() -> None:
    x = tn.tensor([1.7, -2.2]).to("cuda", tn.int32)
    assert (x.device, x.dtype) == (CUDA, tn.int32)
    assert x.tolist() == [1, -2]
    assert x.to(tn.ones(1)).device == tn.device("cpu")
    assert x.to(dtype=tn.float64, device="cuda:1").device == tn.device("cuda:1")


@pytest.mark.parametrize("dtype", [tn.bool, tn.int8, tn.uint16, tn.int64, tn.float16, tn.bfloat16, tn.float64])
def test_every_element_type_is_moved(dtype: object) -> None:
    x = tn.tensor([[0, 1, 1], [1, 0, 1]], dtype=dtype)
    assert x.cuda().tolist() == x.tolist()
    assert (x.cuda() == x.cuda()).all().item()


def test_sizes_without_elements_and_without_axes() -> None:
    assert tn.zeros(0, 3).cuda().cpu().shape == (0, 3)
    assert (tn.zeros(0, 3).cuda() + 1).sum().item() == 0
    assert tn.tensor(4.5).cuda().item() == 4.5


@pytest.mark.parametrize(
    "make",
    [
        lambda **on: tn.zeros(2, 3, **on),
        lambda **on: tn.full((2,), 7, **on),
        lambda **on: tn.arange(5, **on),
        lambda **on: tn.eye(3, **on),
        lambda **on: tn.linspace(0, 1, 5, **on),
        lambda **on: tn.tensor([[1, 2], [3, 4]], **on),
        lambda **on: tn.as_tensor(np.arange(3.0), **on),
    ],
)
def test_tensors_are_made_on_the_device(make) -> None:
    there = make(device="cuda")
    assert there.device == CUDA
    np.testing.assert_array_equal(there.cpu().numpy(), make().numpy())


def test_what_is_like_a_tensor_is_where_that_is() -> None:
    x = tn.arange(4.0, device="cuda:1")
    for made in (tn.zeros_like(x), tn.ones_like(x), x.new_zeros(3), x.new_full((2,), 1), x.new_ones(2), x.clone()):
        assert made.device == x.device
    assert tn.zeros_like(x, device="cpu").device == tn.device("cpu")
    assert x.new_zeros(3, device="cuda:0").device == CUDA


def test_the_device_around() -> None:
    with tn.device("cuda:1"):
        assert tn.zeros(2).device == tn.tensor([1]).device == tn.device("cuda:1")
        with tn.device("cpu"):
            assert tn.zeros(2).device == tn.device("cpu")
        assert tn.get_default_device() == tn.device("cuda:1")
    assert tn.zeros(2).device == tn.device("cpu")
    tn.set_default_device("cuda")
    try:
        assert tn.arange(3).device == CUDA
        assert tn.ones(3, device="cpu").device == tn.device("cpu")
    finally:
        tn.set_default_device(None)


def test_elementwise_and_reductions() -> None:
    a = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    x = tn.tensor(a).cuda()
    y = (x * 2 + 1).exp().sum(1)
    assert y.device == CUDA
    np.testing.assert_allclose(y.cpu().numpy(), np.exp(a * 2 + 1).sum(1), rtol=1e-5)
    np.testing.assert_allclose(x.mean().item(), a.mean(), rtol=1e-5)
    assert x.argmax().item() == a.argmax()


def test_matmul() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 4)).astype(np.float32), rng.standard_normal((4, 5)).astype(np.float32)
    np.testing.assert_allclose((tn.tensor(a).cuda() @ tn.tensor(b).cuda()).cpu().numpy(), a @ b, rtol=1e-5, atol=1e-6)


def test_several_calls_are_one_program(gpus: list[InterpretingDevice]) -> None:
    x = tn.ones(4, device="cuda")
    x.cpu()
    gpus[0].log.clear()
    y = x + 1
    z = (y * 3).sum()
    assert gpus[0].log == []
    assert z.item() == 24
    assert gpus[0].log.count("recorded") == 1


def test_devices_are_recorded_by_themselves() -> None:
    x, y, z = tn.ones(3), tn.ones(3, device="cuda"), tn.ones(3, device="cuda:1")
    for _ in range(3):
        x, y, z = x + 1, y * 2, z - 1
    assert (x.tolist(), y.tolist(), z.tolist()) == ([4] * 3, [8] * 3, [-2] * 3)
    assert (y.device, z.device) == (CUDA, tn.device("cuda:1"))


def test_numbers_and_arrays_meet_tensors_there() -> None:
    x = tn.ones(3, device="cuda")
    assert (x + tn.tensor(2.0)).device == CUDA
    assert (tn.tensor(2.0) * x + np.float32(1)).tolist() == [3, 3, 3]
    assert (x + np.arange(3, dtype=np.float32)).tolist() == [1, 2, 3]


@pytest.mark.parametrize("other", [tn.ones(3), None])
def test_devices_do_not_mix(other: tn.Tensor | None) -> None:
    other = tn.ones(3, device="cuda:1") if other is None else other
    with pytest.raises(PlacementError, match=r"all tensors to be on the same device.*x\.to\(device\)") as raised:
        tn.ones(3, device="cuda") + other
    assert isinstance(raised.value, RuntimeError)


def test_a_number_on_a_gpu_does_not_meet_tensors_of_the_cpu() -> None:
    with pytest.raises(PlacementError, match="same device"):
        tn.ones(3) + tn.tensor(1.0, device="cuda")


def test_views_share_memory() -> None:
    x = tn.arange(12.0, device="cuda").reshape(3, 4)
    row, column, turned = x[1], x[:, 2], x.T
    row += 10
    assert x.tolist()[1] == [14, 15, 16, 17]
    assert column.tolist() == [2, 16, 10]
    column.zero_()
    assert turned.tolist()[2] == [0, 0, 0]
    turned[0] = 5
    assert x[:, 0].tolist() == [5, 5, 5]
    assert row.device == column.device == turned.device == CUDA


def test_a_part_is_overwritten_by_another_that_overlaps() -> None:
    x = tn.arange(6.0, device="cuda")
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3, 4]


def test_changes_in_place() -> None:
    x = tn.zeros(4, device="cuda")
    x.add_(2).mul_(3)
    assert x.tolist() == [6] * 4
    x.fill_(1.5)
    assert x.tolist() == [1.5] * 4
    x.copy_(tn.arange(4.0))
    assert x.tolist() == [0, 1, 2, 3]
    x[2] = 9
    assert x.tolist() == [0, 1, 9, 3]
    y = tn.zeros(4)
    y.copy_(x)
    assert y.tolist() == [0, 1, 9, 3]
    assert y.device == tn.device("cpu")


def test_memory_of_what_is_changed_in_place_is_used_again(gpus: list[InterpretingDevice]) -> None:
    x = tn.zeros(1000, device="cuda")
    tn.lazy.run()
    address = x.data_ptr()
    y = tn.zeros(1000, device="cuda")
    tn.lazy.run()
    tn.cuda.reset_peak_memory_stats()
    before = tn.cuda.memory_allocated()
    y += 1
    tn.lazy.run()
    assert tn.cuda.max_memory_allocated() < before + 4000
    assert y.sum().item() == 1000
    assert x.data_ptr() == address


def test_indexing() -> None:
    x = tn.arange(10.0, device="cuda")
    assert x[tn.tensor([3, 1], device="cuda")].tolist() == [3, 1]
    assert x[[2, -1]].tolist() == [2, 9]
    assert x[x > 7].tolist() == [8, 9]
    assert x[x > 7].device == CUDA


def test_numpy_refuses() -> None:
    x = tn.ones(2, device="cuda")
    with pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy, at .*; .*x\.cpu\(\)"):
        x.numpy()
    with pytest.raises(PlacementError):
        np.asarray(x)
    np.testing.assert_array_equal(x.numpy(force=True), [1, 1])


def test_values_are_looked_at() -> None:
    x = tn.tensor([[1.5, 2.5]], device="cuda")
    assert repr(x) == "tensor([[1.5000, 2.5000]], device='cuda:0')"
    assert x.sum().item() == 4
    assert float(x[0, 0]) == 1.5
    assert bool(x[0, 0] > 1)
    assert f"{x[0, 1]:.1f}" == "2.5"
    with pytest.raises(ArgumentError, match="2 elements"):
        x.item()


def test_copies() -> None:
    x = tn.ones(3, device="cuda:1", requires_grad=True)
    for other in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.device == x.device
        assert other.requires_grad
        assert other.tolist() == [1] * 3


def test_errors_of_shapes_are_told_at_once() -> None:
    with pytest.raises(ShapeError):
        tn.ones(3, device="cuda") + tn.ones(4, device="cuda")


def test_a_device_that_there_is_not() -> None:
    with pytest.raises(DeviceError, match="no device cuda:7; there are 2"):
        tn.ones(3, device="cuda:7")


def test_too_large_a_tensor(gpus: list[InterpretingDevice]) -> None:
    x = tn.zeros(2**29, device="cuda")
    with pytest.raises(DeviceMemoryError, match="2147483648 bytes were asked for") as raised:
        x.cpu()
    assert isinstance(raised.value, MemoryError)
    assert tn.ones(3, device="cuda").sum().item() == 3


def test_what_the_devices_are() -> None:
    assert tn.cuda.is_available()
    assert tn.cuda.device_count() == 2
    assert tn.cuda.get_device_name() == "Stand-in"
    assert tn.cuda.get_device_capability("cuda:1") == (9, 0)
    assert tn.cuda.current_device() == 0
    with tn.cuda.device(1):
        assert tn.ones(2, device="cuda").device == tn.device("cuda:1")
    assert tn.ones(2).cuda().device == CUDA
    assert tn.accelerator.is_available()
    assert tn.accelerator.current_accelerator() == tn.device("cuda")
    assert tn.accelerator.device_count() == 2
    free, total = tn.cuda.mem_get_info()
    assert 0 < free <= total
    assert tn.cuda.memory_stats()["allocated_bytes.all.current"] == tn.cuda.memory_allocated()


def test_memory_that_is_kept_is_given_back(gpus: list[InterpretingDevice]) -> None:
    tn.cuda.empty_cache()
    assert [gpu.log for gpu in gpus] == [["trim"], ["trim"]]


def test_synchronize_tells_what_failed(gpus: list[InterpretingDevice]) -> None:
    x = tn.ones(3, device="cuda:1")
    tn.cuda.synchronize("cuda:1")
    gpus[1].fill(1, 0, 8)  # outside of all memory
    with pytest.raises(DeviceError, match="a kernel failed"):
        tn.cuda.synchronize("cuda:1")
    with pytest.raises(DeviceError, match="cannot be used any more"):
        (x + 1).cpu()
    assert (tn.ones(3, device="cuda") + 1).tolist() == [2] * 3
    assert (tn.ones(3) + 1).tolist() == [2] * 3


def test_random_numbers_are_those_of_the_cpu() -> None:
    tn.manual_seed(3)
    here = tn.randn(5), tn.nn.functional.dropout(tn.ones(20)), tn.randperm(6)
    tn.manual_seed(3)
    there = tn.randn(5, device="cuda"), tn.nn.functional.dropout(tn.ones(20).cuda()), tn.randperm(6, device="cuda")
    for x, y in zip(here, there, strict=True):
        assert y.device == CUDA
        np.testing.assert_allclose(y.cpu().numpy(), x.numpy(), rtol=1e-6)


def test_filling_with_random_numbers() -> None:
    x = tn.zeros(100, device="cuda").uniform_(2, 3)
    assert x.device == CUDA
    assert 2 <= x.min().item() <= x.max().item() < 3
    assert tn.bernoulli(x, 0.5).device == tn.randn_like(x).device == tn.randint_like(x, 5).device == CUDA


def test_generators_have_devices() -> None:
    generator = tn.Generator("cuda").manual_seed(5)
    x = tn.rand(3, device="cuda", generator=generator)
    assert (x.device, generator.device) == (CUDA, CUDA)
    assert x.tolist() == tn.rand(3, generator=tn.Generator().manual_seed(5)).tolist()


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: tn.median(x, dim=-1),
        lambda x: tn.kthvalue(x, 3, dim=0),
        lambda x: tn.topk(x, 6, dim=-1),
        lambda x: tn.cummax(x, dim=1),
        lambda x: (tn.searchsorted(tn.sort(x, dim=-1)[0], x + 0.1),),
        lambda x: (tn.linalg.solve(x[:, :4] @ x[:, :4].T + tn.eye(4, device=x.device), x),),
    ],
    ids=["median", "kthvalue", "topk", "cummax", "searchsorted", "solve"],
)
def test_order_and_factors_are_those_of_the_cpu(compute) -> None:
    x = tn.tensor(np.random.default_rng(3).standard_normal((4, 7)), dtype=tn.float32)
    for here, there in zip(compute(x), compute(x.cuda()), strict=True):
        assert there.device == CUDA
        np.testing.assert_allclose(there.cpu().numpy(), here.numpy(), rtol=2e-5, atol=1e-6)
