"""Memory of GPUs shared through DLPack."""

from __future__ import annotations

import gc

import pytest
from interpreting_device import InterpretingDevice

import tenfold as tn
from tenfold import gpu_dlpack
from tenfold_rt.errors import ArgumentError, DeviceError, GradientError

CUDA = tn.device("cuda:0")


class Foreign:
    """A tensor of another library, as one of ours stands in for it: with a capsule, and arguments that are noted."""

    def __init__(self, tensor: tn.Tensor, *, has_versions: bool = True) -> None:
        self.tensor, self.has_versions, self.asked = tensor, has_versions, {}

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, **arguments: object) -> object:
        if not self.has_versions and "max_version" in arguments:
            raise TypeError("max_version")
        self.asked = arguments
        return self.tensor.__dlpack__(**arguments)


def test_a_device_by_its_numbers() -> None:
    assert tn.ones(2, device="cuda:1").__dlpack_device__() == (2, 1)
    assert tn.ones(2).__dlpack_device__() == (1, 0)


@pytest.mark.parametrize("has_versions", [True, False])
@pytest.mark.parametrize("dtype", [tn.float32, tn.bfloat16, tn.bool, tn.int8, tn.uint64, tn.float16])
def test_memory_is_shared(has_versions: bool, dtype: object) -> None:
    x = tn.tensor([[0, 1, 1], [0, 1, 0]], dtype=dtype).cuda()
    y = tn.from_dlpack(Foreign(x, has_versions=has_versions))
    assert (y.device, y.dtype, y.shape) == (CUDA, x.dtype, x.shape)
    assert y.data_ptr() == x.data_ptr()
    y[0, 0] = 1
    assert x.tolist()[0][0] == 1
    x[1, 2] = 1
    assert y.tolist()[1][2] == 1


def test_streams_wait(gpus: list[InterpretingDevice]) -> None:
    x = tn.ones(3).cuda()
    tn.lazy.run()
    foreign = Foreign(x)
    tn.from_dlpack(foreign)
    assert foreign.asked["stream"] == gpus[0].stream
    gpus[0].waits.clear()
    x.__dlpack__(stream=77)
    x.__dlpack__(stream=None)
    x.__dlpack__(stream=-1)
    assert gpus[0].waits == [("let_wait", 77), ("let_wait", 1)]


def test_what_is_recorded_is_computed_before_memory_is_given_away() -> None:
    x = tn.ones(3).cuda() * 2
    y = tn.from_dlpack(Foreign(x))
    assert y.tolist() == [2] * 3


def test_views_are_given_with_their_strides() -> None:
    x = tn.arange(6.0).cuda().reshape(2, 3)
    row = tn.from_dlpack(Foreign(x[1]))
    assert row.tolist() == [3, 4, 5]
    row.zero_()
    assert x.tolist() == [[0, 1, 2], [0, 0, 0]]
    with pytest.raises(ArgumentError, match="not one after another"):
        tn.from_dlpack(Foreign(x.T))


def test_memory_lives_as_long_as_somebody_has_it() -> None:
    before = tn.cuda.memory_allocated()
    known = len(gpu_dlpack._GIVEN_AWAY)
    x = tn.ones(1000).cuda()
    capsule = x.__dlpack__()
    y = tn.from_dlpack(Foreign(x))
    del x, capsule
    gc.collect()
    assert y.sum().item() == 1000
    del y
    gc.collect()
    assert tn.cuda.memory_allocated() == before
    assert len(gpu_dlpack._GIVEN_AWAY) == known


def test_a_change_in_place_is_seen_while_the_old_elements_are_still_to_be_read() -> None:
    x = tn.arange(3.0).cuda()
    tn.lazy.run()
    y = tn.from_dlpack(Foreign(x))
    before = x * 2
    x.add_(1)
    assert y.tolist() == [1, 2, 3]
    assert before.tolist() == [0, 2, 4]
    assert x.data_ptr() == y.data_ptr()


def test_what_has_a_gradient_is_refused() -> None:
    x = tn.ones(3, device="cuda", requires_grad=True)
    with pytest.raises(GradientError, match="detach"):
        x.__dlpack__()
    assert tn.from_dlpack(Foreign(x.detach())).tolist() == [1] * 3


def test_another_device_is_refused() -> None:
    x = tn.ones(3, device="cuda")
    with pytest.raises(BufferError, match="on cuda:0"):
        x.__dlpack__(dl_device=(1, 0))


def test_a_device_that_is_not_ours_is_refused() -> None:
    class Elsewhere:
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 9)

    with pytest.raises(DeviceError, match="no device cuda:9"):
        tn.from_dlpack(Elsewhere())
