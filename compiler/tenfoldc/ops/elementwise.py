"""The record class of elementwise ops: each element of the result depends on one element of every operand.

A record is given what is particular to it: a NumPy reference, the scalar rule that every back end compiles,
the element types it takes, and its partial derivatives.  The type rule, the element rule, both derivative
rules and the batching rule follow from these.  Operands have equal types and there is no implicit
broadcasting; an operand that an op's own type rule allows to be rank 0 (the predicate of `select`, the bounds
of `clamp`) is read whole for every element.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import A, Array, ElementReader, Kind, Op, RegionFunction, Site, TypeRule
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Expr

Interval: TypeAlias = tuple[float, float]
ArrayRule: TypeAlias = Callable[[Sequence[Array], A], Array]
ScalarRule: TypeAlias = Callable[[Sequence[Expr], DType, A], Expr]
PartialsRule: TypeAlias = Callable[..., Sequence[Var | None]]

BOOLEANS: tuple[DType, ...] = (dtypes.bool_,)
SIGNED: tuple[DType, ...] = (dtypes.i8, dtypes.i16, dtypes.i32, dtypes.i64)
UNSIGNED: tuple[DType, ...] = (dtypes.u8, dtypes.u16, dtypes.u32, dtypes.u64)
INTEGERS: tuple[DType, ...] = SIGNED + UNSIGNED
FLOATS: tuple[DType, ...] = (dtypes.f16, dtypes.bf16, dtypes.f32, dtypes.f64)
NUMBERS: tuple[DType, ...] = INTEGERS + FLOATS
ALL_COMPILED: tuple[DType, ...] = BOOLEANS + NUMBERS

UNARY_NAMES = ("operand",)
BINARY_NAMES = ("lhs", "rhs")


class Elementwise(Op[A]):
    """The record of an elementwise op.

    `reference(arrays, attributes)` gives the result as an array; it may compute NaN and infinity freely.
    `scalar(operands, result_dtype, attributes)` gives one element of the result as a scalar expression.
    `dtypes` are the element types of the operands; `result` is the result's where that differs.
    `singular` says whether partial derivatives may be infinite or NaN.
    `domain` holds an interval per operand where the op is smooth and well conditioned, for tests of
    derivatives.
    """

    def __init__(
        self,
        name: str,
        *,
        operand_names: Sequence[str],
        dtypes: Sequence[DType],
        reference: ArrayRule[A],
        scalar: ScalarRule[A],
        result: DType | None = None,
        infer: TypeRule[A] | None = None,
        attributes: type[A] = Attributes,
        domain: Sequence[Interval] = (),
        on_bits: bool = False,
    ) -> None:
        super().__init__(
            name,
            Kind.ELEMENTWISE,
            infer=self._infer if infer is None else infer,
            reference=self._reference,
            attributes=attributes,
            element=self._element,
            on_bits=on_bits,
        )
        self.operand_names = tuple(operand_names)
        self.dtypes = tuple(dtypes)
        self.array_rule = reference
        self.scalar = scalar
        self.result = result
        self.singular = False
        self.domain = tuple(domain) or ((-2.0, 2.0),) * len(self.operand_names)
        self.batch(_batch(self))

    @property
    def arity(self) -> int:
        return len(self.operand_names)

    @property
    def differentiable(self) -> bool:
        """Whether the op maps floats to floats, so that it needs derivative rules."""
        return any(dtype.is_float for dtype in self.dtypes) and (self.result is None or self.result.is_float)

    def partials(self, rule: PartialsRule) -> PartialsRule:
        """Derive both derivative rules from `rule(*operands, out)`, the partial derivative by each operand.

        A partial has the result's type; None stands for zero.  Where that has 16 bits, the rule is given f32 and its
        products are rounded once.
        """

        @self.jvp
        def jvp(site: Site[A], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
            if not site.result.dtype.is_float or all(tangent is None for tangent in tangents):
                return (None,)
            wide, dtype = _single(tangents), site.result.dtype
            pairs = zip(rule(*_single((*site.operands, site.result))), wide, strict=True)
            total = sum_of([ops.multiply(p, t) for p, t in pairs if p is not None and t is not None])
            return (None if total is None else ops.convert(total, dtype),)

        @self.vjp
        def vjp(site: Site[A], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
            (cotangent,) = cotangents
            if not site.result.dtype.is_float or cotangent is None:
                return (None,) * self.arity
            partials = rule(*_single((*site.operands, site.result)))
            wide, dtype = ops.convert(cotangent, partial_dtype(site.result)), site.result.dtype
            return tuple(None if p is None else ops.convert(ops.multiply(p, wide), dtype) for p in partials)

        return rule

    def singular_partials(self, rule: PartialsRule) -> PartialsRule:
        """`partials` that may be infinite or NaN for finite operands, or for operands that overflow."""
        self.singular = True
        return self.partials(rule)

    def require_operands(self, operands: Sequence[TensorType]) -> None:
        """`ShapeError` unless there are as many operands as the op has names for."""
        if len(operands) != self.arity:
            raise ShapeError(f"{self.mnemonic}: takes {self.arity} operands, got {len(operands)}")

    def require_dtype(self, operand: int, type_: TensorType) -> None:
        """`DTypeError` unless the op takes elements of this type."""
        if type_.dtype in self.dtypes:
            return
        allowed = ", ".join(dtype.name for dtype in self.dtypes)
        raise DTypeError(
            f"{self.mnemonic}: {type_} ({self.operand_names[operand]}) has an element type it does not take",
            mend=f"convert to one of {allowed}",
        )

    def require_same(self, first: int, second: int, operands: Sequence[TensorType]) -> None:
        """`DTypeError` or `ShapeError` unless two operands have the same type."""
        names = self.operand_names
        one, other = operands[first], operands[second]
        if one.dtype != other.dtype:
            what = f"element types differ, {one} ({names[first]}) and {other} ({names[second]})"
            raise DTypeError(f"{self.mnemonic}: {what}", mend="convert one of them")
        if one.shape != other.shape:
            what = f"shapes differ, {one} ({names[first]}) and {other} ({names[second]})"
            raise ShapeError(f"{self.mnemonic}: {what}", mend="broadcast or reshape one of them")

    def _infer(
        self, operands: Sequence[TensorType], attributes: A, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        self.require_operands(operands)
        for number, operand in enumerate(operands):
            self.require_dtype(number, operand)
            self.require_same(0, number, operands)
        return (operands[0] if self.result is None else operands[0].with_dtype(self.result),)

    def _reference(self, arrays: Sequence[Array], attributes: A, regions: Sequence[RegionFunction]) -> Sequence[Array]:
        with np.errstate(all="ignore"):
            return (np.asarray(self.array_rule(arrays, attributes)),)

    def _element(
        self,
        attributes: A,
        operand_types: Sequence[TensorType],
        result_type: TensorType,
        index: Sequence[Expr],
        read: ElementReader,
    ) -> Expr:
        elements = [read(number, index if type_.rank else ()) for number, type_ in enumerate(operand_types)]
        return self.scalar(elements, result_type.dtype, attributes)


def partial_dtype(result: Var) -> DType:
    """The element type in which the partial derivatives of an op are computed that gives `result`."""
    return dtypes.f32 if result.dtype.is_half else result.dtype


def _single(values: Sequence[Var | None]) -> list[Var | None]:
    """`values`, those of 16-bit floats in f32."""
    return [v if v is None or not v.dtype.is_half else ops.convert(v, dtypes.f32) for v in values]


def unary(
    name: str,
    reference: Callable[[Array], Array],
    scalar: Callable[[Expr], Expr],
    dtypes: Sequence[DType],
    *,
    domain: Interval = (-2.0, 2.0),
    result: DType | None = None,
) -> Elementwise[Attributes]:
    """The record of an op with one operand and no attributes."""
    return Elementwise(
        name,
        operand_names=UNARY_NAMES,
        dtypes=dtypes,
        reference=lambda arrays, _: reference(arrays[0]),
        scalar=lambda operands, _dtype, _attributes: scalar(operands[0]),
        domain=(domain,),
        result=result,
    )


def binary(
    name: str,
    reference: Callable[[Array, Array], Array],
    scalar: Callable[[Expr, Expr], Expr],
    dtypes: Sequence[DType],
    *,
    domain: Sequence[Interval] = ((-2.0, 2.0), (-2.0, 2.0)),
    on_bits: bool = False,
) -> Elementwise[Attributes]:
    """The record of an op with two operands and no attributes."""
    return Elementwise(
        name,
        operand_names=BINARY_NAMES,
        dtypes=dtypes,
        reference=lambda arrays, _: reference(arrays[0], arrays[1]),
        scalar=lambda operands, _dtype, _attributes: scalar(operands[0], operands[1]),
        domain=domain,
        on_bits=on_bits,
    )


def sum_of(terms: Sequence[Var]) -> Var | None:
    """The sum of `terms`, or None, which stands for zero, where there are none."""
    return functools.reduce(ops.add, terms) if terms else None


def _batch(
    record: Elementwise[A],
) -> Callable[[Site[A], Sequence[bool], int], tuple[Sequence[Var], Sequence[bool]]]:
    def rule(site: Site[A], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
        ranks = [operand.rank - flag for operand, flag in zip(site.operands, batched, strict=True)]
        largest = ranks.index(max(ranks))
        shape = (size, *site.operands[largest].shape[int(batched[largest]) :])
        operands: list[Var] = []
        for operand, flag, rank in zip(site.operands, batched, ranks, strict=True):
            scalar_for_all = rank == 0 < len(shape) - 1 and not flag
            if scalar_for_all or (flag and operand.rank == len(shape)):
                operands.append(operand)
            else:
                first = 0 if flag else 1
                operands.append(ops.broadcast_in_dim(operand, shape, tuple(range(first, first + operand.rank))))
        results = record.apply(*operands, attributes=site.attributes)
        return results, (True,) * len(results)

    return rule
