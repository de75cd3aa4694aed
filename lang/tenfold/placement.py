"""Tensors moved between devices: their elements copied, and gradients copied back on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from tenfold.device import CPU, Device
from tenfold.gradients.graph import Edge, Known, Node
from tenfold.gradients.modes import is_grad_enabled
from tenfold.lazy.graph import misplaced
from tenfold.memory import on_device
from tenfold.tracing import DeviceFound, Placing, TensorValue, Trace, current, here, is_tracing
from tenfold.values import Kind, Value
from tenfold_rt.errors import PlacementError

T = TypeVar("T")


def moved(tensor: TensorValue, device: Device) -> TensorValue:
    """`tensor` on `device`; itself where it is there already.

    In a compiled function all tensors are on one device: `PlacementError` for another.
    """
    if is_tracing():
        require_here(device)
        return tensor
    kind = tensor.ref.kind
    if kind.device is device:
        return tensor
    edge = tensor.ref.edge if is_grad_enabled() else None
    value = moved_value(tensor.value, device)
    return TensorValue.of_value(value, None if edge is None else Edge(Moved(edge, kind, device), 0))


def moved_value(value: Value, device: Device) -> Value:
    """A value that is not traced, on `device`."""
    if value.kind.device is device:
        return value
    memory = value.memory
    assert memory is not None
    return Value.of_array(on_device(memory, device))


def require_here(device: Device) -> None:
    """Nothing where the trace under way, if there is one, is on `device`.

    It begins anew there where nobody has chosen its device; else `PlacementError`.
    """
    if is_tracing() and current().device is not device:
        if current().placing.choice != "given":
            raise DeviceFound(device)
        raise _elsewhere(device, current().device)


def require_usable(kind: Kind, trace: Trace) -> None:
    """As `require_here`, for a tensor from outside that a trace is about to take; numbers of the CPU may be anywhere.

    Where tensors of the CPU are among the arguments, the device is chosen.
    """
    if kind.device is trace.device or (kind.device is CPU and not kind.type.rank):
        return
    if trace.placing.choice == "open":
        raise DeviceFound(kind.device)
    raise _elsewhere(kind.device, trace.device)


def _elsewhere(found: Device, wanted: Device) -> PlacementError:
    return PlacementError(
        f"a function that is compiled for {wanted} uses a tensor on {found}",
        where=here(),
        mend="move tensors with x.to(device) before it is called, and its results after that",
    )


class Moved(Node):
    """The way back through a copy to another device."""

    __slots__ = ("_kind", "_source")

    def __init__(self, edge: Edge, source: Kind, device: Device) -> None:
        super().__init__((edge,))
        self._source = source
        self._kind = Kind.of(source.type, device)

    @property
    def result_kinds(self) -> Sequence[Kind]:
        return (self._kind,)

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        return tuple(None if each is None else moved(each, self._source.device) for each in cotangents)

    def name(self) -> str:
        return "ToCopyBackward0"


def placed(trace: Callable[[Placing], T], placing: Placing) -> T:
    """What `trace` gives where it is told to be; once more on another device where it meets tensors of that."""
    try:
        return trace(placing)
    except DeviceFound as found:
        return trace(Placing(found.device))


def placing_of(leaves: Iterable[object], target: Device | None = None) -> Placing:
    """Where a call is to be traced: on `target`, else on the device of its tensors.

    Arrays have no device.  `PlacementError` where tensors are on two devices and none is given.
    """
    if target is not None:
        return Placing(target)
    tensors = [leaf for leaf in leaves if isinstance(leaf, TensorValue)]
    device = common_device(tensors)
    return Placing(device, "given" if device is not CPU else "arguments" if tensors else "open")


def common_device(tensors: Iterable[TensorValue], otherwise: Device = CPU) -> Device:
    """The device of the tensors of a call, `otherwise` where there are none.

    Single numbers on the CPU may be used everywhere.  `PlacementError` where tensors are on two devices.
    """
    found: Device | None = None
    has_numbers = False
    for tensor in tensors:
        kind = tensor.ref.kind
        if kind.device is CPU and not kind.type.rank:
            has_numbers = True
        elif found is None:
            found = kind.device
        elif found is not kind.device:
            raise misplaced(kind.device, found)
    if found is None:
        return CPU if has_numbers else otherwise
    return found
