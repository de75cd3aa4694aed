"""Plans made by hand, carried out on a stand-in device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from stand_in_device import StandInDevice

from tenfold_rt import dtypes
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.cuda.plan import (
    Choose,
    Copy,
    HostAxis,
    Launch,
    Loop,
    Place,
    Plan,
    PlanEntry,
    ReadTape,
    Region,
    Repeat,
    Step,
    TensorMap,
    WriteTape,
)
from tenfold_rt.cuda.run import LoadedPlan
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArtifactError, DeviceError, DeviceMemoryError
from tenfold_rt.manifest import Buffer

X, Y = Place(Region.PARAMETER, 0, 0), Place(Region.PARAMETER, 1, 0)
R = Place(Region.RESULT, 0, 0)
W = Place(Region.WORKSPACE, 0, 0)


def plan_of(
    steps: Sequence[Step],
    parameters: Sequence[tuple[DType, tuple[int, ...]]],
    results: Sequence[tuple[DType, tuple[int, ...]]],
    *,
    donated: Sequence[tuple[int, int]] = (),
    workspace: int = 0,
    tapes: int = 0,
    constants: bytes = b"",
) -> Plan:
    entry = PlanEntry(
        "f",
        tuple(Buffer(f"x{number}", *each) for number, each in enumerate(parameters)),
        tuple(Buffer(f"r{number}", *each) for number, each in enumerate(results)),
        tuple(donated),
        workspace,
        tapes,
        tuple(steps),
    )
    return Plan("p", "0", "sm_90", "", constants, (entry,), ())


def add(target: Place, x: Place, y: Place, size: int = 4) -> Launch:
    return Launch("add", 1, size, 0, (target, x, y))


F4 = (dtypes.f32, (4,))
I = (dtypes.i64, ())  # noqa: E741


def on(device: StandInDevice, values: object, dtype: type = np.float32) -> DeviceArray:
    return DeviceArray.of_host(device, np.asarray(values, dtype))


def test_results_are_computed_by_way_of_the_workspace(device: StandInDevice) -> None:
    plan = plan_of([add(W, X, Y), add(R, W, X)], [F4, F4], [F4], workspace=256)
    x, y = on(device, [1, 2, 3, 4]), on(device, [10, 20, 30, 40])
    result = LoadedPlan(plan, device).entry("f")(x, y)
    np.testing.assert_array_equal(result.host(), [12, 24, 36, 48])


def test_a_call_gives_back_its_workspace(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(W, X, Y), add(R, W, X)], [F4, F4], [F4], workspace=4096), device).entry("f")
    x, y = on(device, [1] * 4), on(device, [1] * 4)
    result = call(x, y)
    before = device.memory_stats().current
    again = call(x, y)
    assert device.memory_stats().current == before + again.nbytes
    assert device.memory_stats().peak >= before + 4096
    np.testing.assert_array_equal(result.host(), again.host())


def test_numbers_and_arrays_of_rank_0_are_copied_to_the_device(device: StandInDevice) -> None:
    f = (dtypes.f32, ())
    call = LoadedPlan(plan_of([add(R, X, Y, 1)], [f, f], [f]), device).entry("f")
    assert call(2.5, np.float32(4)).host() == 6.5
    assert call(np.array(1, np.float32), 3).host() == 4


@pytest.mark.parametrize(
    "given", [lambda d: (), lambda d: (on(d, [1] * 3),) * 2, lambda d: (on(d, [1] * 4, np.int32),) * 2]
)
def test_arguments_that_do_not_fit_are_not_taken(device: StandInDevice, given: object) -> None:
    call = LoadedPlan(plan_of([add(R, X, Y)], [F4, F4], [F4]), device).entry("f")
    assert call(*given(device)) is NotImplemented  # type: ignore[operator]


def test_a_tensor_of_another_device_is_not_taken(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(R, X, Y)], [F4, F4], [F4]), device).entry("f")
    assert call(on(device, [1] * 4), on(StandInDevice(index=1), [1] * 4)) is NotImplemented


def test_a_fallback_gets_what_does_not_fit(device: StandInDevice) -> None:
    plan = LoadedPlan(plan_of([add(R, X, Y)], [F4, F4], [F4]), device)
    call = plan.entry("f", lambda *given, **named: (len(given), named))
    assert call(1, k=2) == (1, {"k": 2})
    assert call(on(device, [1] * 4), on(device, [1] * 4)).host()[0] == 2


def test_an_unknown_entry_is_named(device: StandInDevice) -> None:
    with pytest.raises(ArtifactError, match="no entry 'g'; it has f"):
        LoadedPlan(plan_of([], [], []), device).entry("g")


def test_arguments_that_begin_anywhere_are_copied_to_an_aligned_place(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(R, X, Y)], [F4, F4], [F4]), device).entry("f")
    seen: list[int] = []
    launch = device.launch
    device.launch = lambda *given: (seen.extend(given[-1]), launch(*given))[1]  # type: ignore[method-assign]
    part = on(device, range(8)).part(1, (4,))
    np.testing.assert_array_equal(call(part, on(device, [0] * 4)).host(), [1, 2, 3, 4])
    assert all(address % 16 == 0 for address in seen)


def test_a_donated_argument_is_overwritten(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(R, R, Y)], [F4, F4], [F4], donated=[(0, 0)]), device).entry("f")
    x = on(device, [1, 2, 3, 4])
    result = call(x, on(device, [1] * 4))
    assert result.address == x.address
    np.testing.assert_array_equal(x.host(), [2, 3, 4, 5])


@pytest.mark.parametrize("reason", ["read-only", "shared", "misaligned"])
def test_a_donated_argument_that_may_not_be_overwritten_is_copied(device: StandInDevice, reason: str) -> None:
    call = LoadedPlan(plan_of([add(R, R, Y)], [F4, F4], [F4], donated=[(0, 0)]), device).entry("f")
    x, y = on(device, range(8)), on(device, [1] * 4)
    x = x.part(1 if reason == "misaligned" else 0, (4,))
    x.is_writable = reason != "read-only"
    before = x.host()
    result = call(x, x if reason == "shared" else y)
    np.testing.assert_array_equal(result.host(), before + (before if reason == "shared" else 1))
    np.testing.assert_array_equal(x.host(), before)


def test_constants_are_copied_to_the_device_once(device: StandInDevice) -> None:
    constants = np.array([5, 6, 7, 8], np.float32).tobytes()
    plan = plan_of([add(R, X, Place(Region.CONSTANTS, 0, 0))], [F4], [F4], constants=constants)
    call = LoadedPlan(plan, device).entry("f")
    x = on(device, [1] * 4)
    first = call(x)
    np.testing.assert_array_equal(first.host(), [6, 7, 8, 9])
    before = device.memory_stats().current
    second = call(x)
    assert device.memory_stats().current == before + second.nbytes


def test_a_repeat_gives_launches_the_index(device: StandInDevice) -> None:
    steps = [Copy(R, X, 8), Repeat("i", 5, (Launch("add_axis", 1, 1, 0, (R, HostAxis("i"))),))]
    assert LoadedPlan(plan_of(steps, [I], [I]), device).entry("f")(100).host() == 110


def test_repeats_within_repeats_have_their_own_axes(device: StandInDevice) -> None:
    both = (Launch("add_axis", 1, 1, 0, (R, HostAxis("i"))), Launch("add_axis", 1, 1, 0, (R, HostAxis("j"))))
    steps = [Copy(R, X, 8), Repeat("i", 3, (Repeat("j", 4, both),))]
    assert LoadedPlan(plan_of(steps, [I], [I]), device).entry("f")(0).host() == 4 * 3 + 3 * 6


def count_up(body: Sequence[Step]) -> list[Step]:
    """While r < y: body; r starts as x."""
    test = Launch("is_below", 1, 1, 0, (W, R, Y))
    return [Copy(R, X, 8), test, Loop(W, (*body, test))]


ADD_3 = Repeat("i", 3, (Launch("add_axis", 1, 1, 0, (R, HostAxis("i"))),))


@pytest.mark.parametrize(("start", "limit", "end"), [(0, 10, 12), (0, 0, 0), (5, 1, 5)])
def test_a_loop_ends_when_its_flag_is_0(device: StandInDevice, start: int, limit: int, end: int) -> None:
    call = LoadedPlan(plan_of(count_up([ADD_3]), [I, I], [I], workspace=256), device).entry("f")
    assert call(start, limit).host() == end


@pytest.mark.parametrize(("x", "y", "wanted"), [(1, 2, 4), (2, 1, 1)])
def test_a_choice_takes_the_branch_of_its_flag(device: StandInDevice, x: int, y: int, wanted: int) -> None:
    steps = [
        Launch("is_below", 1, 1, 0, (W, X, Y)),
        Copy(R, X, 8),
        Choose(W, (ADD_3,), (Copy(R, Y, 8),)),
    ]
    assert LoadedPlan(plan_of(steps, [I, I], [I], workspace=256), device).entry("f")(x, y).host() == wanted


def test_what_was_written_to_a_tape_is_read_from_it(device: StandInDevice) -> None:
    count = Place(Region.WORKSPACE, 0, 16)
    one = Launch("add_axis", 1, 1, 0, (count, HostAxis("one")))
    writing = Repeat("n", 40, (WriteTape(0, count, R, 8), Repeat("one", 2, (one,)), ADD_3))
    steps = [Copy(R, X, 8), Copy(count, Y, 8), writing, Copy(count, Y, 8)]
    steps += [Repeat("n", 37, (Repeat("one", 2, (one,)),)), ReadTape(0, count, R, 8)]
    call = LoadedPlan(plan_of(steps, [I, I], [I], workspace=256, tapes=1), device).entry("f")
    assert call(7, 0).host() == 7 + 3 * 37


def test_tapes_begin_empty_in_each_call_and_are_given_back(device: StandInDevice) -> None:
    steps = [WriteTape(0, Y, X, 8), ReadTape(0, Y, R, 8)]
    call = LoadedPlan(plan_of(steps, [I, I], [I], tapes=1), device).entry("f")
    assert call(3, 0).host() == 3
    before = device.memory_stats().current
    assert call(4, 0).host() == 4
    assert device.memory_stats().current == before


def test_a_tensor_map_is_made_once_for_an_address(device: StandInDevice) -> None:
    made: list[int] = []
    encode = device.tensor_map
    device.tensor_map = lambda each, address: (made.append(address), encode(each, address))[1]  # type: ignore
    descriptor = TensorMap(X, "f32", (4,), (), (4,), 0)
    call = LoadedPlan(plan_of([Launch("describe", 1, 1, 0, (R, descriptor))], [F4], [I]), device).entry("f")
    x = on(device, [1] * 4)
    assert call(x).host() == x.address
    assert call(x).host() == x.address
    assert made == [x.address]


def test_a_call_does_not_wait(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(W, X, Y), add(R, W, X)], [F4, F4], [F4], workspace=256), device).entry("f")
    call(on(device, [1] * 4), on(device, [1] * 4))
    assert "synchronize" not in device.log


def test_a_call_that_comes_again_is_captured_and_replayed(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(W, X, Y), add(R, W, X)], [F4, F4], [F4], workspace=256), device).entry("f")
    x, y = on(device, [1] * 4), on(device, [1] * 4)
    for number in range(4):
        x.take(np.full(4, number, np.float32))
        np.testing.assert_array_equal(call(x, y).host(), [2 * number + 1] * 4)
    asked = [each for each in device.log if each != "synchronize"]
    assert asked == ["add", "add", "capture", "add", "add", "replay", "replay", "replay"]


def test_other_addresses_are_recorded_by_themselves(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([add(W, X, Y), add(R, W, X)], [F4, F4], [F4], workspace=256), device).entry("f")
    pairs = [(on(device, [n] * 4), on(device, [1] * 4)) for n in range(3)]
    for _ in range(3):
        for number, (x, y) in enumerate(pairs):
            np.testing.assert_array_equal(call(x, y).host(), [2 * number + 1] * 4)
    assert device.log.count("capture") == 3
    assert device.log.count("replay") == 6


def test_what_cannot_be_captured_is_run_as_it_is(device: StandInDevice) -> None:
    device.can_capture = False
    call = LoadedPlan(plan_of([add(W, X, Y), add(R, W, X)], [F4, F4], [F4], workspace=256), device).entry("f")
    x, y = on(device, [1] * 4), on(device, [1] * 4)
    for _ in range(3):
        np.testing.assert_array_equal(call(x, y).host(), [3] * 4)
    assert device.log.count("add") == 6


def test_loops_are_never_captured(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of(count_up([ADD_3]), [I, I], [I], workspace=256), device).entry("f")
    x, y = on(device, 0, np.int64), on(device, 4, np.int64)
    assert [call(x, y).host() for _ in range(3)] == [6, 6, 6]
    assert "capture" not in device.log


def test_too_large_a_program_says_what_was_asked_and_what_is_free() -> None:
    device = StandInDevice(total=1 << 16)
    plan = plan_of([add(R, X, Y)], [F4, F4], [F4], workspace=1 << 20)
    with pytest.raises(DeviceMemoryError, match="1048576 bytes were asked for, 65488 bytes of 65536 bytes are free"):
        LoadedPlan(plan, device).entry("f")(on(device, [1] * 4), on(device, [1] * 4))


def test_a_kernel_that_traps_is_told_at_the_next_wait_and_ever_after(device: StandInDevice) -> None:
    call = LoadedPlan(plan_of([Launch("trap", 1, 1, 0, ())], [F4, F4], [F4]), device).entry("f")
    x = on(device, [1] * 4)
    result = call(x, x)
    with pytest.raises(DeviceError, match="a kernel failed: trap"):
        result.host()
    with pytest.raises(DeviceError, match="cannot be used any more"):
        call(x, x)
