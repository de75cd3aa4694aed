"""Op records: everything that Tenfold knows of an op, in one place.

An `Op` holds its type rule, its NumPy reference, its derivative rules, its batching rule, and what kind of
computation it is.  Stages read records and hold no table of their own.  Rules are attached by decorator beside
the record, so that one file section tells the whole story of an op:

    sine = elementwise("sine", reference=np.sin, scalar=..., domain=...)

    @sine.partials
    def _(x: Var, out: Var) -> tuple[Var]:
        return (cosine(x),)

Rules see a `Site`: one application of the op, with operands and results as `Var`s of the program under
construction, so a rule is written with the same functions that build any program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from numpy.typing import NDArray

from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import NO_ATTRIBUTES, Attributes, Region
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Expr

Array: TypeAlias = NDArray[Any]
A = TypeVar("A", bound=Attributes)


class Kind(Enum):
    """What kind of computation an op is; lowering has one rule per kind, not per op."""

    ELEMENTWISE = "elementwise"
    CREATION = "creation"
    MOVEMENT = "movement"
    REDUCTION = "reduction"
    CONTRACTION = "contraction"
    WINDOW = "window"
    INDEXED = "indexed"
    SORT = "sort"
    LINEAR_ALGEBRA = "linear_algebra"
    CONTROL = "control"


class ElementReader(Protocol):
    """How an element rule reads an operand: the element at `index`, one i64 expression per axis."""

    def __call__(self, operand: int, index: Sequence[Expr], /) -> Expr: ...


@frozen
class Site(Generic[A]):
    """One application of an op as a rule sees it.  `results` is empty in batching rules."""

    operands: tuple[Var, ...]
    attributes: A
    regions: tuple[Region, ...]
    results: tuple[Var, ...] = ()

    @property
    def result(self) -> Var:
        """The only result."""
        (result,) = self.results
        return result


RegionFunction: TypeAlias = Callable[..., tuple[Array, ...]]
TypeRule: TypeAlias = Callable[[Sequence[TensorType], A, Sequence[Region]], tuple[TensorType, ...]]
Reference: TypeAlias = Callable[[Sequence[Array], A, Sequence[RegionFunction]], Sequence[Array]]
ElementRule: TypeAlias = Callable[[A, Sequence[TensorType], TensorType, Sequence[Expr], ElementReader], Expr]
JvpRule: TypeAlias = Callable[[Site[A], Sequence[Var | None]], Sequence[Var | None]]
VjpRule: TypeAlias = Callable[[Site[A], Sequence[Var | None]], Sequence[Var | None]]
BatchRule: TypeAlias = Callable[[Site[A], Sequence[bool], int], tuple[Sequence[Var], Sequence[bool]]]


class Op(Generic[A]):
    """The record of one op.

    `infer(operand_types, attributes, regions)` gives the result types or raises `ShapeError`/`DTypeError`.
    `on_bits` marks arithmetic on the bits of floats, which those of 16 bits take part in as they are: for all other
    arithmetic they are converted to f32 (`tenfoldc.widen`), so that rules and references never see them.
    `reference(arrays, attributes, region_functions)` computes the results with NumPy: the oracle.
    `element(attributes, operand_types, result_type, index, read)` gives one element of the only result as a
    scalar expression; ops that have it fuse into whatever reads them.
    `jvp_rule(site, tangents)` gives each result's tangent, `vjp_rule(site, cotangents)` each operand's
    cotangent; None stands for zero, and for values that have no tangent (integers and bools).
    `batch_rule(site, batched, size)`: operands whose flag is set carry a batch axis of `size` in front; gives
    results and which of them are batched, likewise in front.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        *,
        infer: TypeRule[A],
        reference: Reference[A],
        attributes: type[A] = Attributes,
        element: ElementRule[A] | None = None,
        on_bits: bool = False,
    ) -> None:
        self.name = name if "." in name else f"stablehlo.{name}"
        self.kind = kind
        self.attributes = attributes
        self.infer = infer
        self.reference = reference
        self.element = element
        self.on_bits = on_bits
        self.jvp_rule: JvpRule[A] | None = None
        self.vjp_rule: VjpRule[A] | None = None
        self.batch_rule: BatchRule[A] | None = None
        if self.name in OPS:
            raise ValueError(f"op {self.name} is defined twice")
        OPS[self.name] = self

    @property
    def mnemonic(self) -> str:
        """The name without its dialect."""
        return self.name.partition(".")[2]

    def jvp(self, rule: JvpRule[A]) -> JvpRule[A]:
        self.jvp_rule = rule
        return rule

    def vjp(self, rule: VjpRule[A]) -> VjpRule[A]:
        self.vjp_rule = rule
        return rule

    def batch(self, rule: BatchRule[A]) -> BatchRule[A]:
        self.batch_rule = rule
        return rule

    def apply(self, *operands: Var, attributes: A | None = None, regions: Sequence[Region] = ()) -> tuple[Var, ...]:
        """Add this op to the program that the operands belong to; `operands` may not be empty."""
        builder = operands[0].builder
        return builder.emit(self, operands, NO_ATTRIBUTES if attributes is None else attributes, regions)

    def apply_one(self, *operands: Var, attributes: A | None = None, regions: Sequence[Region] = ()) -> Var:
        """`apply` for an op with one result."""
        (result,) = self.apply(*operands, attributes=attributes, regions=regions)
        return result

    def __repr__(self) -> str:
        return self.name


OPS: dict[str, Op[Any]] = {}
"""Every op record by full name; the parser and the tests read it."""
