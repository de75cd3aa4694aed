"""`tn.cuda`: NVIDIA's GPUs: which there are, what they are, how much of their memory is used, and waiting for them."""

from __future__ import annotations

from typing import Any

from tenfold.device import Device, current_gpu, gpu, set_current_gpu, usable_device
from tenfold.lazy.graph import GRAPH
from tenfold.random.generator import generator_of, manual_seed_of_gpus
from tenfold_rt.cuda import devices
from tenfold_rt.cuda.device import Device as GpuDevice
from tenfold_rt.cuda.device import Properties
from tenfold_rt.errors import DeviceError, DeviceMemoryError

OutOfMemoryError = DeviceMemoryError


def is_available() -> bool:
    """Whether tensors can be on a GPU of NVIDIA's."""
    return devices.gpu_available()


def device_count() -> int:
    """How many GPUs of NVIDIA's there are."""
    try:
        return devices.device_count()
    except DeviceError:
        return 0


def current_device() -> int:
    """The number of the GPU that `cuda` without a number means; `DeviceError` where there is none."""
    devices.device(current_gpu())
    return current_gpu()


def set_device(device: Device | str | int) -> None:
    """Let `cuda` without a number mean another GPU, in this thread."""
    index = usable_device(device).index
    set_current_gpu(0 if index is None else index)


class device:  # noqa: N801 - PyTorch's name
    """In a `with` block, `cuda` without a number means this GPU."""

    def __init__(self, device: Device | str | int) -> None:
        self._index = usable_device(device).index

    def __enter__(self) -> None:
        self._before = current_gpu()
        if self._index is not None:
            set_current_gpu(self._index)

    def __exit__(self, *_: object) -> None:
        set_current_gpu(self._before)


def get_device_properties(device: Device | str | int | None = None) -> Properties:
    """What a GPU is: its name, compute capability, multiprocessors, memory in bytes, and its driver."""
    return _gpu(device).properties


def get_device_name(device: Device | str | int | None = None) -> str:
    """The name of a GPU, such as `NVIDIA H200`."""
    return _gpu(device).properties.name


def get_device_capability(device: Device | str | int | None = None) -> tuple[int, int]:
    """The compute capability of a GPU, such as (9, 0)."""
    return _gpu(device).properties.compute_capability


def synchronize(device: Device | str | int | None = None) -> None:
    """Compute all that is recorded, and wait until a GPU is done; raises what failed there meanwhile."""
    GRAPH.run()
    _gpu(device).synchronize()


def memory_stats(device: Device | str | int | None = None) -> dict[str, int]:
    """Bytes of a GPU's memory, under PyTorch's names: what tensors and programs of this process have, and had most."""
    stats = _gpu(device).memory_stats()
    return {
        "allocated_bytes.all.current": stats.current,
        "allocated_bytes.all.peak": stats.peak,
        "reserved_bytes.all.current": stats.reserved,
    }


def memory_allocated(device: Device | str | int | None = None) -> int:
    """How many bytes of a GPU's memory tensors and programs of this process have."""
    return _gpu(device).memory_stats().current


def max_memory_allocated(device: Device | str | int | None = None) -> int:
    """How many bytes of a GPU's memory tensors and programs of this process had at most."""
    return _gpu(device).memory_stats().peak


def memory_reserved(device: Device | str | int | None = None) -> int:
    """How many bytes of a GPU's memory this process keeps, whether or not anything uses them."""
    return _gpu(device).memory_stats().reserved


def empty_cache() -> None:
    """Give the memory of all GPUs back to the system that this process keeps and that nothing uses."""
    for index in range(device_count()):
        devices.device(index).trim()


def reset_peak_memory_stats(device: Device | str | int | None = None) -> None:
    """Let the most that was allocated be what is allocated now."""
    _gpu(device).reset_peak()


def mem_get_info(device: Device | str | int | None = None) -> tuple[int, int]:
    """How many bytes of a GPU's memory are free, and how many there are."""
    stats = _gpu(device).memory_stats()
    return stats.free, stats.total


def manual_seed(seed: int) -> None:
    """Let random numbers that are drawn on GPUs without a key be those of `seed` from now on."""
    manual_seed_of_gpus(seed)


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`."""
    manual_seed_of_gpus(seed)


def get_rng_state(device: Device | str | int | None = None) -> Any:
    """A copy of the state of a GPU's default generator, on the CPU."""
    return generator_of(_device(device)).get_state().cpu()


def set_rng_state(new_state: Any, device: Device | str | int | None = None) -> None:
    """Let a GPU's default generator go on as after `new_state`."""
    generator_of(_device(device)).set_state(new_state)


def _device(device: Device | str | int | None) -> Device:
    return usable_device("cuda" if device is None else device)


def _gpu(device: Device | str | int | None) -> GpuDevice:
    return gpu(_device(device))
