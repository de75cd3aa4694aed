"""The device over the driver, with a module that stands in for the driver's."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_driver import FakeDriver, kernel

from tenfold_rt import dtypes
from tenfold_rt.cuda.device import MemoryStats, Properties
from tenfold_rt.cuda.driver import open_driver
from tenfold_rt.cuda.driver_device import DriverDevice
from tenfold_rt.cuda.memory import Allocation, DeviceArray
from tenfold_rt.cuda.plan import Launch, Place, Plan, PlanEntry, Region, TensorMap
from tenfold_rt.cuda.run import LoadedPlan
from tenfold_rt.errors import DeviceError, DeviceMemoryError
from tenfold_rt.manifest import Buffer

ILLEGAL_ADDRESS, TRAP, UNSUPPORTED_PTX, OUT_OF_MEMORY = 700, 719, 222, 2


@kernel(8, 8, 8)
def add(shape: Sequence[int], target: bytes, x: bytes, count: bytes) -> None:
    """f32: target = x + count, an element a thread."""
    size = shape[0] * shape[3]
    addresses = [int.from_bytes(each, "little") for each in (target, x)]
    first, second = (np.frombuffer((ctypes.c_float * size).from_address(a), np.float32) for a in addresses)
    first[:] = second + int.from_bytes(count, "little", signed=True)


@kernel(8, 128)
def describe(shape: Sequence[int], target: bytes, descriptor: bytes) -> None:
    """The first 8 bytes of a descriptor."""
    ctypes.memmove(int.from_bytes(target, "little"), descriptor, 8)


@pytest.fixture
def api() -> FakeDriver:
    return FakeDriver({"add": add, "describe": describe})


@pytest.fixture
def device(api: FakeDriver) -> DriverDevice:
    return DriverDevice(open_driver(api), 0)


def of(device: DriverDevice, values: Any) -> DeviceArray:
    return DeviceArray.of_host(device, np.asarray(values, np.float32))


def test_what_the_device_is(device: DriverDevice) -> None:
    assert device.properties == Properties("Fake GPU", (9, 0), 132, 1 << 20, (13, 0))
    assert device.stream == 77


def test_elements_come_back_as_they_went(device: DriverDevice) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(of(device, values).host(), values)
    np.testing.assert_array_equal(of(device, values.T).host(), values.T)
    assert of(device, np.zeros((0, 3))).host().shape == (0, 3)


def test_large_copies_go_in_pieces() -> None:
    device = DriverDevice(open_driver(FakeDriver(total=1 << 26)), 0)
    values = np.arange(3_000_001, dtype=np.float32)
    np.testing.assert_array_equal(of(device, values).host(), values)


def test_small_copies_to_the_device_do_not_wait_for_it(device: DriverDevice, api: FakeDriver) -> None:
    of(device, range(100))
    assert "cuEventSynchronize" not in api.calls
    of(device, range(20_000))
    assert "cuEventSynchronize" in api.calls


def test_bfloat16_is_copied_by_its_bits(device: DriverDevice) -> None:
    values = np.array([1.5, -2], dtypes.bf16.numpy)
    found = DeviceArray.of_host(device, values)
    assert found.dtype is dtypes.bf16
    np.testing.assert_array_equal(found.host(), values)


def test_memory_is_counted_and_given_back(device: DriverDevice) -> None:
    memory = Allocation(device, 1000)
    assert device.memory_stats().current == 1000
    assert device.memory_stats().peak == 1000
    del memory
    gc.collect()
    stats = device.memory_stats()
    assert stats == MemoryStats(0, 1000, 1000, (1 << 20) - 1000, 1 << 20)
    device.reset_peak()
    assert device.memory_stats().peak == 0


def test_memory_in_the_pool_is_let_go_of_before_there_is_too_little(device: DriverDevice, api: FakeDriver) -> None:
    memory = Allocation(device, 700_000)
    del memory
    assert Allocation(device, 800_000).size == 800_000
    assert api.calls.count("cuMemPoolTrimTo") == 1


def test_too_little_memory_says_what_was_asked_and_what_is_free(device: DriverDevice) -> None:
    kept = Allocation(device, 512 << 10)
    said = "cuda:0 is out of memory: 640.0 KiB were asked for, 512.0 KiB of 1.0 MiB are free, .* have 512.0 KiB"
    with pytest.raises(DeviceMemoryError, match=said) as raised:
        Allocation(device, 640 << 10)
    assert isinstance(raised.value, MemoryError)
    assert Allocation(device, 256 << 10).size + kept.size == 768 << 10


PLAN = Plan(
    "p",
    "0",
    "sm_90a",
    ".version 8.0",
    b"",
    (
        PlanEntry(
            "f",
            (Buffer("x", dtypes.f32, (8,)),),
            (Buffer("r", dtypes.f32, (8,)),),
            (),
            256,
            0,
            (
                Launch("add", 2, 4, 0, (Place(Region.WORKSPACE, 0, 0), Place(Region.PARAMETER, 0, 0))),
                Launch("add", 1, 8, 100_000, (Place(Region.RESULT, 0, 0), Place(Region.WORKSPACE, 0, 0))),
            ),
        ),
    ),
    (),
)


@pytest.fixture
def plan() -> Plan:
    (entry,) = PLAN.entries
    steps = tuple(
        replace(step, arguments=(*step.arguments, Place(Region.CONSTANTS, 0, 0)))
        for step in entry.steps
        if isinstance(step, Launch)
    )
    return replace(PLAN, entries=(replace(entry, steps=steps),))


def count_of(device: DriverDevice, plan: Plan) -> tuple[Any, int]:
    """A loaded plan's function, and the number that its kernels add: the address of its constants."""
    loaded = LoadedPlan(plan, device)
    return loaded.entry("f"), loaded.constants


def test_a_plan_runs(device: DriverDevice, plan: Plan) -> None:
    call, added = count_of(device, plan)
    wanted = np.arange(8, dtype=np.float32) + added + added
    np.testing.assert_allclose(call(of(device, range(8))).host(), wanted, rtol=1e-6)


def test_kernels_that_share_much_memory_ask_for_it(device: DriverDevice, plan: Plan, api: FakeDriver) -> None:
    device.load(plan)
    assert api.calls.count("cuFuncSetAttribute") == 1


def test_a_plan_is_captured_replayed_and_let_go_of(device: DriverDevice, plan: Plan, api: FakeDriver) -> None:
    call, _ = count_of(device, plan)
    x = of(device, range(8))
    first = call(x).host()
    for _ in range(3):
        np.testing.assert_array_equal(call(x).host(), first)
    assert api.calls.count("cuStreamBeginCapture") == api.calls.count("cuGraphInstantiate")
    launches, replays = api.calls.count("cuLaunchKernel"), api.calls.count("cuGraphLaunch")
    assert launches == 2 * (4 - replays) + 2 * api.calls.count("cuGraphInstantiate")
    del call
    gc.collect()
    assert api.calls.count("cuGraphExecDestroy") == api.calls.count("cuGraphInstantiate")


def test_a_capture_records_and_replays(device: DriverDevice, api: FakeDriver) -> None:
    memory = Allocation(device, 16)
    captured = device.capture(lambda: device.fill(memory.address, 7, 16))
    device.fill(memory.address, 0, 16)
    assert captured is not None
    captured.replay()
    found = bytearray(16)
    device.copy_out(memoryview(found), memory.address)
    assert found == b"\7" * 16


def test_memory_that_is_dropped_during_a_capture_is_given_back_after_it(device: DriverDevice, api: FakeDriver) -> None:
    given = [Allocation(device, 64)]
    device.capture(given.clear)
    assert api.calls.index("cuMemFreeAsync") > api.calls.index("cuStreamEndCapture")
    assert device.memory_stats().current == 0


def test_a_capture_that_fails_gives_nothing(device: DriverDevice, api: FakeDriver) -> None:
    api.failing["cuStreamEndCapture"] = 901
    assert device.capture(lambda: None) is None


def test_tensor_maps_are_encoded_by_the_driver(device: DriverDevice, api: FakeDriver) -> None:
    tensor_map = TensorMap(Place(Region.PARAMETER, 0, 0), "bf16", (64, 32), (128,), (64, 16), 128)
    assert device.tensor_map(tensor_map, 4096) == (4096).to_bytes(128, "little")
    kind, rank, address, shape, strides, box, steps, interleave, swizzle, _, fill = api.encoded[0]
    assert (kind, rank, address) == ("CU_TENSOR_MAP_DATA_TYPE_BFLOAT16", 2, 4096)
    assert [[each.value for each in values] for values in (shape, strides, box, steps)] == [
        [64, 32],
        [128],
        [64, 16],
        [1, 1],
    ]
    assert swizzle == "CU_TENSOR_MAP_SWIZZLE_128B"
    assert interleave == "CU_TENSOR_MAP_INTERLEAVE_NONE"
    assert fill == "CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE"


def test_a_descriptor_reaches_the_kernel_as_bytes(device: DriverDevice) -> None:
    memory = Allocation(device, 8)
    device.launch("describe", 1, 1, 0, [memory.address, (123).to_bytes(128, "little")])
    found = bytearray(8)
    device.copy_out(memoryview(found), memory.address)
    assert int.from_bytes(found, "little") == 123


def test_negative_numbers_reach_the_kernel(device: DriverDevice) -> None:
    x, target = of(device, [5] * 4), of(device, [0] * 4)
    device.launch("add", 1, 4, 0, [target.address, x.address, -2])
    np.testing.assert_array_equal(target.host(), [3] * 4)


@pytest.mark.parametrize(("code", "said"), [(ILLEGAL_ADDRESS, "memory that it may not"), (TRAP, "stopped by a trap")])
def test_a_failed_kernel_is_told_by_the_next_wait(device: DriverDevice, api: FakeDriver, code: int, said: str) -> None:
    x = of(device, [1])
    api.failing["cuStreamSynchronize"] = code
    with pytest.raises(DeviceError, match=f"cuda:0: a kernel .*{said}.*CUDA_LAUNCH_BLOCKING"):
        device.synchronize()
    api.failing.clear()
    with pytest.raises(DeviceError, match=f"cuda:0 cannot be used any more in this process: .*{said}"):
        x.host()
    calls = len(api.calls)
    del x
    assert len(api.calls) == calls  # nothing is asked of a device that refuses everything


def test_other_failures_leave_the_device_usable(device: DriverDevice, api: FakeDriver) -> None:
    x = of(device, [1])
    api.failing["cuMemcpyDtoDAsync"] = 1
    with pytest.raises(DeviceError, match=r"cuda:0: what 1 means \(cuMemcpyDtoDAsync: 1\)"):
        x.copy()
    api.failing.clear()
    assert x.copy().host() == [1]


def test_ptx_that_the_driver_does_not_know(device: DriverDevice, api: FakeDriver, plan: Plan) -> None:
    api.failing["cuModuleLoadData"] = UNSUPPORTED_PTX
    with pytest.raises(DeviceError, match=r"version of PTX that the driver does not know.*update the driver"):
        device.load(plan)


def test_streams_wait_for_each_other(device: DriverDevice, api: FakeDriver) -> None:
    api.calls.clear()
    device.wait_for(5)
    device.let_wait(6)
    assert [call for call in api.calls if call != "cuCtxSetCurrent"] == ["cuEventRecord", "cuStreamWaitEvent"] * 2


def test_no_gpu() -> None:
    api = FakeDriver()
    api.failing["cuInit"] = 100
    with pytest.raises(DeviceError, match="no GPU of NVIDIA's"):
        open_driver(api)


def test_a_driver_that_cannot_begin() -> None:
    api = FakeDriver()
    api.failing["cuInit"] = 803
    with pytest.raises(DeviceError, match="driver cannot be used: what 803 means"):
        open_driver(api)


def test_an_old_driver() -> None:
    api = FakeDriver()
    api.version = 11080
    with pytest.raises(DeviceError, match=r"too old: it is for CUDA 11.8, and 12.0 is needed; update the driver"):
        open_driver(api)


def test_an_old_gpu() -> None:
    api = FakeDriver()
    api.capability = (7, 5)
    with pytest.raises(DeviceError, match=r"Fake GPU has compute capability 7.5, and 8.0 is needed"):
        DriverDevice(open_driver(api), 0)


def test_a_function_that_the_driver_lacks(api: FakeDriver, device: DriverDevice) -> None:
    def missing(*_: Any) -> None:
        raise RuntimeError('Function "cuMemsetD8Async" not found')

    api.cuMemsetD8Async = missing  # type: ignore[attr-defined]
    with pytest.raises(DeviceError, match="cuMemsetD8Async: the driver has no such function"):
        device.fill(4096, 0, 1)


def test_a_forked_process_is_told(device: DriverDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(DeviceError, match="when this process was forked"):
        device.synchronize()
    device.free(4096)
