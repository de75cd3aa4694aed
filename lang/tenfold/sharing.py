"""Tensors whose memory other libraries use: through DLPack, and by address.

A GPU's memory is shared with the order of its work: another library's stream waits for ours, and ours for another's.
"""

from __future__ import annotations

from typing import Any

from tenfold.device import CPU, Device, gpu, usable_device
from tenfold.dlpack import capsule_over
from tenfold.gpu_dlpack import gpu_capsule, gpu_tensor
from tenfold.lazy.graph import GRAPH
from tenfold.tracing import TensorValue, from_dlpack, here, refuse_value
from tenfold.values import Value
from tenfold.views import layout_of
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.errors import ArgumentError, GradientError

CPU_CODE, CUDA_CODE = 1, 2
"""What dlpack.h calls the devices."""

_NO_WAIT = -1
_LEGACY_STREAM = 1


def dlpack_device(device: Device) -> tuple[int, int]:
    """A device as DLPack names it."""
    return (CPU_CODE, 0) if device is CPU else (CUDA_CODE, device.index or 0)


def exported(tensor: Any, **arguments: Any) -> object:
    """A capsule over a tensor's memory; on a GPU the consumer's `stream` waits for what computes the elements.

    `GradientError` where the tensor requires a gradient, `BufferError` where it is asked for on another device.
    """
    if tensor.device is CPU:
        return capsule_over(tensor.numpy(), **arguments)
    if tensor.requires_grad:
        raise GradientError("__dlpack__: the tensor requires a gradient", mend="use x.detach()")
    wanted = arguments.get("dl_device")
    if wanted is not None and tuple(wanted) != dlpack_device(tensor.device):
        raise BufferError(f"the tensor is on {tensor.device}, not on device {tuple(wanted)} of DLPack's")
    memory = _lent(tensor)
    if arguments.get("copy"):
        memory = memory.copy()
    stream = arguments.get("stream")
    if stream != _NO_WAIT:
        memory.device.let_wait(_LEGACY_STREAM if stream is None else stream)
    return gpu_capsule(memory, layout_of(tensor.ref).strides, is_versioned=arguments.get("max_version") is not None)


def _lent(tensor: TensorValue) -> DeviceArray:
    """A GPU's memory of a tensor, given away: from the first element on."""
    value = tensor.value
    if value.memory is None:
        refuse_value("__dlpack__", value.type, "return it from the traced function and look at the result")
    GRAPH.run()  # what is recorded reads the memory as it is now
    storage, layout = tensor.ref.storage, layout_of(tensor.ref)
    storage.lend()
    whole = storage.value.memory
    assert isinstance(whole, DeviceArray)
    return whole.part(layout.offset, tensor.tensor_type.sizes)


def address_of(tensor: Any) -> int:
    """The address of a tensor's first element."""
    if tensor.device is CPU:
        return tensor.detach().numpy().__array_interface__["data"][0]
    return _lent(tensor).address


def shared(data: Any) -> Value:
    """The memory of another library's tensor, on whatever device; `ArgumentError` where it cannot be shared."""
    code, index = data.__dlpack_device__() if hasattr(data, "__dlpack_device__") else (CPU_CODE, 0)
    if int(code) != CUDA_CODE:
        return Value.of_array(from_dlpack(data), foreign=True)
    device = gpu(usable_device(Device("cuda", int(index))))
    try:
        memory = gpu_tensor(data, device)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"cannot share the memory of a {type(data).__name__}: {error}",
            where=here(),
            mend="give a dense tensor that is detached from its own autograd",
        ) from error
    return Value.of_array(memory, foreign=True)
