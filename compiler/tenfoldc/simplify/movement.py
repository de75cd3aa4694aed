"""Rules for ops that move elements without computing: moves that do nothing, moves of moves, moves of one number."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes
from tenfoldc.ir.types import static_shape
from tenfoldc.ops.broadcast import BroadcastInDimAttributes
from tenfoldc.ops.creation import IotaAttributes
from tenfoldc.ops.dynamic_slice import DynamicSliceAttributes
from tenfoldc.ops.movement import ReshapeAttributes, ReverseAttributes, TransposeAttributes, inverse_permutation
from tenfoldc.ops.slicing import ConcatenateAttributes, PadAttributes, SliceAttributes
from tenfoldc.simplify.matching import Match, Table, is_static
from tenfoldc.simplify.neighbours import follow_each_other, joined, part_of

MOVEMENT = Table()


@MOVEMENT.rule(ops.RESHAPE, ops.SLICE)
def move_to_own_shape(match: Match[Any]) -> Var | None:
    """A slice of the same shape is the whole."""
    return match.operand if match.operand.type == match.type else None


@MOVEMENT.rule(
    *(ops.RESHAPE, ops.TRANSPOSE, ops.REVERSE, ops.SLICE, ops.BROADCAST_IN_DIM, ops.DYNAMIC_SLICE, ops.GATHER)
)
def move_of_one_number(match: Match[Any]) -> Var | None:
    """Wherever elements come from that are all one, they are that one."""
    element = match.splat(0)
    if element is not None:
        is_itself_a_fill = match.operation.op is ops.BROADCAST_IN_DIM and not match.operand.rank
        return None if is_itself_a_fill and not is_static(match.type) else match.filled(element)
    spread = match.made_by(0, ops.BROADCAST_IN_DIM)
    if spread is None or spread.operand.rank:
        return None
    return ops.broadcast_in_dim(spread.operand, match.type.shape, ())


@MOVEMENT.rule(ops.RESHAPE)
def reshape_of_reshape(match: Match[ReshapeAttributes]) -> Var | None:
    inner = match.made_by(0, ops.RESHAPE)
    return None if inner is None else ops.reshape(inner.operand, match.type.shape)


@MOVEMENT.rule(ops.TRANSPOSE)
def transpose_of_nothing(match: Match[TransposeAttributes]) -> Var | None:
    permutation = match.attributes.permutation
    return match.operand if permutation == tuple(range(len(permutation))) else None


@MOVEMENT.rule(ops.TRANSPOSE)
def transpose_of_transpose(match: Match[TransposeAttributes]) -> Var | None:
    inner = match.made_by(0, ops.TRANSPOSE)
    if inner is None:
        return None
    permutation = [inner.attributes.permutation[axis] for axis in match.attributes.permutation]
    return ops.transpose(inner.operand, permutation)


@MOVEMENT.rule(ops.TRANSPOSE)
def transpose_of_broadcast(match: Match[TransposeAttributes]) -> Var | None:
    inner = match.made_by(0, ops.BROADCAST_IN_DIM)
    if inner is None:
        return None
    place = inverse_permutation(match.attributes.permutation)
    dimensions = [place[axis] for axis in inner.attributes.broadcast_dimensions]
    return ops.broadcast_in_dim(inner.operand, match.type.shape, dimensions)


@MOVEMENT.rule(ops.ADD)
def add_of_transposes(match: Match[Attributes]) -> Var | None:
    """The gradients of one transposed weight, used in several places, are added before they are transposed."""
    first, second = match.made_by(0, ops.TRANSPOSE), match.made_by(1, ops.TRANSPOSE)
    if first is None or second is None or first.attributes != second.attributes:
        return None
    return ops.transpose(ops.add(first.operand, second.operand), first.attributes.permutation)


@MOVEMENT.rule(ops.BROADCAST_IN_DIM)
def broadcast_to_own_type(match: Match[BroadcastInDimAttributes]) -> Var | None:
    in_order = match.attributes.broadcast_dimensions == tuple(range(match.type.rank))
    return match.operand if in_order and match.operand.type == match.type else None


@MOVEMENT.rule(ops.BROADCAST_IN_DIM)
def broadcast_of_broadcast(match: Match[BroadcastInDimAttributes]) -> Var | None:
    inner = match.made_by(0, ops.BROADCAST_IN_DIM)
    if inner is None:
        return None
    dimensions = [match.attributes.broadcast_dimensions[axis] for axis in inner.attributes.broadcast_dimensions]
    return ops.broadcast_in_dim(inner.operand, match.type.shape, dimensions)


@MOVEMENT.rule(ops.REVERSE)
def reverse_of_nothing(match: Match[ReverseAttributes]) -> Var | None:
    """Along axes of size 1, or none."""
    return match.operand if all(match.type.shape[axis] == 1 for axis in match.attributes.dimensions) else None


@MOVEMENT.rule(ops.REVERSE)
def reverse_of_reverse(match: Match[ReverseAttributes]) -> Var | None:
    inner = match.made_by(0, ops.REVERSE)
    if inner is None:
        return None
    dimensions = set(inner.attributes.dimensions) ^ set(match.attributes.dimensions)
    return ops.reverse(inner.operand, sorted(dimensions))


@MOVEMENT.rule(ops.SLICE)
def slice_of_slice(match: Match[SliceAttributes]) -> Var | None:
    inner = match.made_by(0, ops.SLICE)
    if inner is None or not is_static(match.type) or 0 in match.type.shape:
        return None
    starts: list[int] = []
    limits: list[int] = []
    strides: list[int] = []
    outer_bounds = zip(match.attributes.start_indices, match.attributes.strides, match.type.sizes, strict=True)
    inner_bounds = zip(inner.attributes.start_indices, inner.attributes.strides, strict=True)
    for (start, stride, count), (inner_start, inner_stride) in zip(outer_bounds, inner_bounds, strict=True):
        starts.append(inner_start + start * inner_stride)
        strides.append(stride * inner_stride)
        limits.append(starts[-1] + (count - 1) * strides[-1] + 1)
    return ops.slice_(inner.operand, starts, limits, strides)


@MOVEMENT.rule(ops.SLICE)
def slice_of_one_part(match: Match[SliceAttributes]) -> Var | None:
    """A slice of a concatenation that lies within one of its parts."""
    joined = match.made_by(0, ops.CONCATENATE)
    if joined is None or not is_static(match.type) or 0 in match.type.shape:
        return None
    axis, of = joined.attributes.dimension, match.attributes
    ends = accumulate(static_shape(tuple(part.shape[axis] for part in joined.operands)))
    limits = static_shape(of.limit_indices)
    for part, (first, end) in zip(joined.operands, pairwise([0, *ends]), strict=True):
        if first <= of.start_indices[axis] < limits[axis] <= end:
            moved = [first if place == axis else 0 for place in range(match.type.rank)]
            starts = [start - by for start, by in zip(of.start_indices, moved, strict=True)]
            return ops.slice_(part, starts, [limit - by for limit, by in zip(limits, moved, strict=True)], of.strides)
    return None


@MOVEMENT.rule(ops.PAD)
def pad_by_nothing(match: Match[PadAttributes]) -> Var | None:
    of = match.attributes
    edges = (*of.edge_padding_low, *of.edge_padding_high)
    gaps = zip(match.operand.shape, of.interior_padding, strict=True)
    return match.operand if not any(edges) and all(size == 1 or not gap for size, gap in gaps) else None


@MOVEMENT.rule(ops.PAD)
def pad_of_one_number(match: Match[PadAttributes]) -> Var | None:
    """A number repeated, padded with itself."""
    element, value = match.splat(0), match.splat(1)
    if element is None or value is None or element.tobytes() != value.tobytes():
        return None
    return match.filled(element)


@MOVEMENT.rule(ops.CONCATENATE)
def concatenate_of_one(match: Match[ConcatenateAttributes]) -> Var | None:
    """One operand with elements is the whole; others that are empty are left out."""
    dimension = match.attributes.dimension
    parts = [part for part in match.operands if part.shape[dimension] != 0]
    if len(parts) == 1:
        return parts[0]
    return ops.concatenate(parts, dimension) if 1 < len(parts) < len(match.operands) else None


@MOVEMENT.rule(ops.CONCATENATE)
def concatenate_of_one_number(match: Match[ConcatenateAttributes]) -> Var | None:
    elements = [match.splat(number) for number in range(len(match.operands))]
    present = [element for element in elements if element is not None]
    if len(present) < len(elements) or len({element.tobytes() for element in present}) != 1:
        return None
    return match.filled(present[0])


@MOVEMENT.rule(ops.CONCATENATE)
def concatenate_of_neighbours(match: Match[ConcatenateAttributes]) -> Var | None:
    """Parts of one array that follow each other in it."""
    axis = match.attributes.dimension
    parts = [part_of(operand, axis, match.producers) for operand in match.operation.operands]
    return joined(parts, axis, match.builder) if parts and follow_each_other(parts) else None


@MOVEMENT.rule(ops.ADD)
def add_of_pads(match: Match[Attributes]) -> Var | None:
    """Zeros around x plus zeros around y, where these are neighbours: zeros around both, side by side.

    Zero is still added to each, which turns -0.0 into 0.0.
    """
    pads = match.made_by(0, ops.PAD), match.made_by(1, ops.PAD)
    if pads[0] is None or pads[1] is None or not is_static(match.type):
        return None
    edges = [_one_padded_axis(pad) for pad in pads if pad is not None]
    if edges[0] is None or edges[1] is None:
        return None
    (axis, low, _), (other_axis, other_low, _) = edges[0], edges[1]
    if axis != other_axis:
        return None
    first, second = (pads[0], pads[1]) if low <= other_low else (pads[1], pads[0])
    if max(low, other_low) != min(low, other_low) + first.operand.sizes[axis]:
        return None
    parts = [_plus_zero(part) for pad in (first, second) for part in _parts(pad, axis)]
    return ops.pad(
        ops.concatenate(parts, axis),
        first.operands[1],
        first.attributes.edge_padding_low,
        second.attributes.edge_padding_high,
    )


def _one_padded_axis(pad: Match[PadAttributes]) -> tuple[int, int, int] | None:
    """The only axis along which a tensor of floats is padded, by 0.0 at its ends, and by how much."""
    of, zero = pad.attributes, pad.splat(1)
    if zero is None or not pad.type.dtype.is_float or zero.tobytes().strip(b"\0") or any(of.interior_padding):
        return None
    edges = list(zip(of.edge_padding_low, of.edge_padding_high, strict=True))
    padded = [axis for axis, (low, high) in enumerate(edges) if low or high]
    if len(padded) != 1 or min(edges[padded[0]]) < 0:
        return None
    return (padded[0], *edges[padded[0]])


def _parts(pad: Match[PadAttributes], axis: int) -> list[Var]:
    """What is padded: the parts of a concatenation along the padded axis, or the one tensor."""
    joined_parts = pad.made_by(0, ops.CONCATENATE)
    if joined_parts is None or joined_parts.attributes.dimension != axis:
        return [pad.operand]
    return list(joined_parts.operands)


def _plus_zero(part: Var) -> Var:
    return ops.add(part, ops.zeros_like(part))


@MOVEMENT.rule(ops.DYNAMIC_SLICE)
def dynamic_slice_of_everything(match: Match[DynamicSliceAttributes]) -> Var | None:
    return match.operand if match.operand.type == match.type else None


@MOVEMENT.rule(ops.DYNAMIC_SLICE)
def dynamic_slice_at_constants(match: Match[DynamicSliceAttributes]) -> Var | None:
    starts = [match.splat(number) for number in range(1, len(match.operands))]
    known = [int(start) for start in starts if start is not None]
    if len(known) < len(starts) or not is_static(match.operand.type):
        return None
    sizes = zip(known, match.operand.sizes, match.type.sizes, strict=True)
    clamped = [min(max(start, 0), size - taken) for start, size, taken in sizes]
    limits = [start + taken for start, taken in zip(clamped, match.type.sizes, strict=True)]
    return ops.slice_(match.operand, clamped, limits)


@MOVEMENT.rule(ops.DYNAMIC_UPDATE_SLICE)
def dynamic_update_slice_of_everything(match: Match[Attributes]) -> Var | None:
    return match.operands[1] if match.operands[1].type == match.type else None


@MOVEMENT.rule(ops.DYNAMIC_UPDATE_SLICE)
def dynamic_update_slice_of_nothing(match: Match[Attributes]) -> Var | None:
    return match.operand if 0 in match.operands[1].shape else None


@MOVEMENT.rule(ops.IOTA)
def iota_of_one(match: Match[IotaAttributes]) -> Var | None:
    """Along an axis of size 1 it counts to 0."""
    if match.type.shape[match.attributes.iota_dimension] != 1:
        return None
    return ops.full(match.builder, match.type, 0)
