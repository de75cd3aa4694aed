"""Gather and scatter together: their derivatives, which are each other, and indexing along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.op import Site
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.gather import GATHER as GATHER
from tenfoldc.ops.gather import GatherAttributes as GatherAttributes
from tenfoldc.ops.gather import GatherDimensionNumbers as GatherDimensionNumbers
from tenfoldc.ops.gather import gather as gather
from tenfoldc.ops.reducer import Reducer, describe, recognise
from tenfoldc.ops.scatter import SCATTER as SCATTER
from tenfoldc.ops.scatter import ScatterAttributes as ScatterAttributes
from tenfoldc.ops.scatter import ScatterDimensionNumbers as ScatterDimensionNumbers
from tenfoldc.ops.scatter import replace, scatter_with, window_sizes
from tenfoldc.ops.scatter import scatter as scatter
from tenfoldc.ops.scatter import scatter_add as scatter_add
from tenfoldc.ops.scatter import scatter_set as scatter_set


class Combination(Enum):
    """What a scatter's body does to one input element, where that has a derivative rule."""

    REPLACE = "replace"
    ADD = "add"
    MULTIPLY = "multiply"
    EXTREME = "maximum or minimum"


def _combination(site: Site[ScatterAttributes]) -> Combination:
    (region,) = site.regions
    if len(site.results) == 1:
        if region.results[0] is region.parameters[1]:
            return Combination.REPLACE
        match recognise(region):
            case Reducer.SUM:
                return Combination.ADD
            case Reducer.PRODUCT:
                return Combination.MULTIPLY
            case Reducer.MAX | Reducer.MIN:
                return Combination.EXTREME
            case _:
                pass
    raise UnsupportedError(
        f"scatter: there is no derivative for the body of {describe(region)}",
        mend="replace, or combine with add, multiply, maximum or minimum",
    )


def _require_unique(site: Site[ScatterAttributes]) -> None:
    if not site.attributes.unique_indices:
        raise UnsupportedError(
            "scatter: the derivative of multiply by its updates needs unique indices",
            mend="say that indices are unique, if they are",
        )


def clamp_indices(indices: Var, index_vector_dim: int, low: Sequence[int], high: Sequence[int]) -> Var:
    """`indices` with number k of every index vector moved into [`low[k]`, `high[k]`], 0 in between."""
    if not low:
        return indices
    bits = indices.dtype.bits
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if indices.dtype.is_signed else (0, 2**bits - 1)
    bounds: list[Var] = []
    for values in (low, high):
        representable = [min(max(value, least), most) for value in values]
        bounds.append(_per_number(indices, index_vector_dim, representable, indices.dtype))
    return ops.clamp(bounds[0], indices, bounds[1])


def _per_number(indices: Var, index_vector_dim: int, values: Sequence[int], dtype: DType) -> Var:
    """A constant shaped as `indices` with `values` along index vectors; a scalar where all are equal."""
    if len(set(values)) == 1:
        return ops.constant(indices.builder, values[0], dtype)
    return ops.broadcast_in_dim(ops.constant(indices.builder, values, dtype), indices.shape, (index_vector_dim,))


def _taken(source: Var, indices: Var, updates: TensorType, attributes: ScatterAttributes) -> Var:
    """What a scatter's updates meet: the elements of `source`, shaped as the inputs, where they fall, else 0.

    `source` is framed with zeros as wide as a window, so that a window that is partly or wholly outside reads
    zeros there once its start is clamped to the frame.
    """
    numbers = attributes.scatter_dimension_numbers
    sizes = window_sizes(numbers, source.rank, updates)
    frame = [sizes[axis] if axis in numbers.scatter_dims_to_operand_dims else 0 for axis in range(source.rank)]
    framed = ops.pad(source, ops.zeros_like(ops.constant(source.builder, 0, source.dtype)), frame, frame)
    widths = [sizes[axis] for axis in numbers.scatter_dims_to_operand_dims]
    extents = [source.sizes[axis] for axis in numbers.scatter_dims_to_operand_dims]
    if widths:
        starts = clamp_indices(indices, numbers.index_vector_dim, [-width for width in widths], extents)
        wide = dtypes.i32 if max(framed.sizes) < 2**31 else dtypes.i64
        shift = _per_number(indices, numbers.index_vector_dim, widths, wide)
        if shift.rank != indices.rank:
            shift = ops.broadcast_in_dim(shift, indices.shape, ())
        indices = ops.add(ops.convert(starts, wide), shift)
    gather_numbers = GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        operand_batching_dims=numbers.input_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        index_vector_dim=numbers.index_vector_dim,
    )
    return gather(framed, indices, gather_numbers, sizes, attributes.indices_are_sorted)


def _winners(operand: Var, indices: Var, updates: Var, attributes: ScatterAttributes) -> Var:
    """Whether each update is the one that replaces its element, the last of those that fall on it."""
    count = dtypes.i32 if updates.type.size < 2**31 - 1 else dtypes.i64
    flat = ops.iota(updates.builder, TensorType(count, (updates.type.size,)), 0)
    numbered = ops.reshape(ops.add(flat, ops.ones_like(flat)), updates.shape)
    none = ops.full(operand.builder, operand.type.with_dtype(count), 0)
    last = scatter_with(none, indices, numbered, attributes, replace)
    return ops.compare(_taken(last, indices, updates.type, attributes), numbered, ops.Direction.EQ)


def _where(condition: Var, value: Var) -> Var:
    return ops.select(condition, value, ops.zeros_like(value))


def _shares(site: Site[ScatterAttributes]) -> tuple[Var, Var, Var]:
    """For maximum and minimum: which inputs and updates attain the result, and one over how many do."""
    operand, indices, updates = site.operands
    out = site.result
    input_attains = ops.compare(operand, out, ops.Direction.EQ)
    update_attains = ops.compare(updates, _taken(out, indices, updates.type, site.attributes), ops.Direction.EQ)
    counted = ops.convert(update_attains, out.dtype)
    count = scatter_with(ops.convert(input_attains, out.dtype), indices, counted, site.attributes, ops.add)
    # Nothing equals a NaN: where one is the result, the count is 0.
    return input_attains, update_attains, ops.reciprocal(ops.maximum(count, ops.ones_like(count)))


@SCATTER.jvp
def _(site: Site[ScatterAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """Ties of maximum and minimum share the tangent evenly."""
    if all(tangent is None for tangent in tangents):
        return (None,) * len(site.results)
    combination = _combination(site)
    operand, indices, updates = site.operands
    operand_tangent, _, updates_tangent = tangents
    attributes = site.attributes
    if combination is Combination.ADD and updates_tangent is None:
        return (operand_tangent,)
    operand_rate = ops.zeros_like(operand) if operand_tangent is None else operand_tangent
    updates_rate = ops.zeros_like(updates) if updates_tangent is None else updates_tangent
    if combination in (Combination.ADD, Combination.REPLACE):
        body = ops.add if combination is Combination.ADD else replace
        return (scatter_with(operand_rate, indices, updates_rate, attributes, body),)
    if combination is Combination.MULTIPLY:
        scaled = scatter_with(operand_rate, indices, updates, attributes, ops.multiply)
        if updates_tangent is None:
            return (scaled,)
        _require_unique(site)
        met = _taken(operand, indices, updates.type, attributes)
        return (scatter_with(scaled, indices, ops.multiply(met, updates_tangent), attributes, ops.add),)
    input_attains, update_attains, share = _shares(site)
    total = scatter_with(
        _where(input_attains, operand_rate),
        indices,
        _where(update_attains, updates_rate),
        attributes,
        ops.add,
    )
    return (ops.multiply(total, share),)


@SCATTER.vjp
def _(site: Site[ScatterAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """Ties of maximum and minimum share the cotangent evenly."""
    if all(cotangent is None for cotangent in cotangents):
        return (None,) * len(site.operands)
    combination = _combination(site)
    operand, indices, updates = site.operands
    (cotangent,) = cotangents
    assert cotangent is not None
    attributes = site.attributes
    if combination is Combination.ADD:
        return cotangent, None, _taken(cotangent, indices, updates.type, attributes)
    if combination is Combination.REPLACE:
        kept = scatter_with(cotangent, indices, ops.zeros_like(updates), attributes, replace)
        met = _taken(cotangent, indices, updates.type, attributes)
        if not attributes.unique_indices:
            met = _where(_winners(operand, indices, updates, attributes), met)
        return kept, None, met
    if combination is Combination.MULTIPLY:
        _require_unique(site)
        scaled = scatter_with(cotangent, indices, updates, attributes, ops.multiply)
        return scaled, None, _taken(ops.multiply(cotangent, operand), indices, updates.type, attributes)
    input_attains, update_attains, share = _shares(site)
    shared = ops.multiply(cotangent, share)
    met = _taken(shared, indices, updates.type, attributes)
    return _where(input_attains, shared), None, _where(update_attains, met)


@GATHER.vjp
def _(site: Site[GatherAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return None, None
    operand, indices = site.operands
    numbers, sizes = site.attributes.dimension_numbers, site.attributes.slice_sizes
    # A gather moves a slice that lies partly outside; a scatter would drop it.
    limits = [operand.sizes[axis] - sizes[axis] for axis in numbers.start_index_map]
    starts = clamp_indices(indices, numbers.index_vector_dim, [0] * len(limits), limits)
    scatter_numbers = ScatterDimensionNumbers(
        update_window_dims=numbers.offset_dims,
        inserted_window_dims=numbers.collapsed_slice_dims,
        input_batching_dims=numbers.operand_batching_dims,
        scatter_indices_batching_dims=numbers.start_indices_batching_dims,
        scatter_dims_to_operand_dims=numbers.start_index_map,
        index_vector_dim=numbers.index_vector_dim,
    )
    into = ops.zeros_like(operand)
    return scatter_add(into, starts, cotangent, scatter_numbers, site.attributes.indices_are_sorted), None


def take_along_axis(x: Var, indices: Var, dimension: int) -> Var:
    """`x[..., indices[...], ...]`: along `dimension`, the element that `indices` names at each place.

    `indices` are integers of the shape of `x`, save along `dimension`, where they may have any size.
    """
    sizes = [1] * x.rank
    sizes[dimension] = 0 if x.shape[dimension] == 0 else 1
    return gather(x, indices, _along(x.rank, dimension), sizes)


def put_along_axis(x: Var, indices: Var, updates: Var, dimension: int, unique_indices: bool = False) -> Var:
    """`x` with `updates` added along `dimension` at the places that `indices`, of their shape, name."""
    numbers = _along(x.rank, dimension)
    scatter_numbers = ScatterDimensionNumbers(
        inserted_window_dims=numbers.collapsed_slice_dims,
        input_batching_dims=numbers.operand_batching_dims,
        scatter_indices_batching_dims=numbers.start_indices_batching_dims,
        scatter_dims_to_operand_dims=numbers.start_index_map,
        index_vector_dim=numbers.index_vector_dim,
    )
    return scatter_add(x, indices, updates, scatter_numbers, unique_indices=unique_indices)


def _along(rank: int, dimension: int) -> GatherDimensionNumbers:
    others = tuple(axis for axis in range(rank) if axis != dimension)
    return GatherDimensionNumbers(
        collapsed_slice_dims=(dimension,),
        operand_batching_dims=others,
        start_indices_batching_dims=others,
        start_index_map=(dimension,),
        index_vector_dim=rank,
    )
