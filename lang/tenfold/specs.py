"""Element types and argument specs as users write them: `tn.f32`, `tn.f32[32, 784]`, `tn.f32["n", 784]`.

An `ElementType` is what a tensor's `dtype` is; indexing one gives a `Spec`, the type of an argument.  Specs stand
in annotations, in pytrees of them, and as arguments of `lower` and `export`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, SupportsIndex, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError
from tenfoldc.ir.types import Dim, Symbol, TensorType


class ElementType:
    """The type of a tensor's elements, such as `tn.f32`.  NumPy takes one wherever it takes a dtype."""

    __slots__ = ("element",)

    def __init__(self, element: DType) -> None:
        self.element = element

    @property
    def name(self) -> str:
        return self.element.name

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.element.itemsize

    @property
    def is_floating_point(self) -> bool:
        return self.element.is_float

    @property
    def is_complex(self) -> bool:
        return self.element.is_complex

    @property
    def is_signed(self) -> bool:
        """Whether it has negative numbers, or complex ones."""
        return not (self.element.is_unsigned or self.element.is_bool)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype; bfloat16's is that of ml_dtypes, which NumPy takes like its own."""
        return self.element.numpy

    def __getitem__(self, shape: int | str | tuple[int | str, ...]) -> Spec:
        """The spec of tensors with this element type and `shape`; `()` is a scalar, a string a symbolic size."""
        return Spec(self.element, shape if isinstance(shape, tuple) else (shape,))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ElementType):
            return self.element is other.element
        if isinstance(other, np.dtype) or (isinstance(other, type) and issubclass(other, np.generic)):
            return self.element.numpy == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.element.numpy)

    def __repr__(self) -> str:
        return f"torch.{self.element.numpy_name}"

    def __reduce__(self) -> tuple[Callable[[DType], ElementType], tuple[DType]]:
        """There is one object for each element type, also after copying and pickling."""
        return _of_element, (self.element,)


class Spec:
    """The type that an argument must have.  Make one by indexing an element type: `tn.f32[32, 784]`."""

    __slots__ = ("shape", "type")

    def __init__(self, element: DType, shape: tuple[int | str, ...]) -> None:
        self.shape = shape
        self.type = TensorType(element, tuple(_dim(size) for size in shape))

    @property
    def dtype(self) -> ElementType:
        return ELEMENT_TYPES[self.type.dtype]

    @property
    def is_symbolic(self) -> bool:
        """Whether a size is left open."""
        return any(isinstance(size, str) for size in self.shape)

    def __eq__(self, other: object) -> bool:
        return self.type == other.type if isinstance(other, Spec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.type)

    def __repr__(self) -> str:
        return str(self.type)


def _dim(size: object) -> Dim:
    if isinstance(size, str) and size.isidentifier():
        return Symbol(size)
    if not isinstance(size, bool) and isinstance(size, SupportsIndex) and operator.index(size) >= 0:
        return operator.index(size)
    raise ArgumentError(f"a spec's size is {size!r}", mend="give a size of at least 0, or a name for an open size")


bool_ = ElementType(dtypes.bool_)
i8 = int8 = ElementType(dtypes.i8)
i16 = int16 = ElementType(dtypes.i16)
i32 = int32 = ElementType(dtypes.i32)
i64 = int64 = ElementType(dtypes.i64)
u8 = uint8 = ElementType(dtypes.u8)
u16 = uint16 = ElementType(dtypes.u16)
u32 = uint32 = ElementType(dtypes.u32)
u64 = uint64 = ElementType(dtypes.u64)
f16 = float16 = ElementType(dtypes.f16)
bf16 = bfloat16 = ElementType(dtypes.bf16)
f32 = float32 = ElementType(dtypes.f32)
f64 = float64 = ElementType(dtypes.f64)
c64 = complex64 = ElementType(dtypes.c64)
c128 = complex128 = ElementType(dtypes.c128)

_ALL = (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, c64, c128)
ELEMENT_TYPES: dict[DType, ElementType] = {each.element: each for each in _ALL}

TYPE_NAMES: dict[object, ElementType] = {
    f"torch.{name}Tensor": ELEMENT_TYPES[dtype]
    for name, dtype in {
        "Float": dtypes.f32,
        "Double": dtypes.f64,
        "Half": dtypes.f16,
        "BFloat16": dtypes.bf16,
        "Byte": dtypes.u8,
        "Char": dtypes.i8,
        "Short": dtypes.i16,
        "Int": dtypes.i32,
        "Long": dtypes.i64,
        "Bool": dtypes.bool_,
        "ComplexFloat": dtypes.c64,
        "ComplexDouble": dtypes.c128,
        "UInt16": dtypes.u16,
        "UInt32": dtypes.u32,
        "UInt64": dtypes.u64,
    }.items()
}
"""PyTorch's older names of element types, which are those of classes."""
_PYTHON_TYPES: dict[object, DType] = {bool: dtypes.bool_, int: dtypes.i64, float: dtypes.f64, complex: dtypes.c128}


def _of_element(element: DType) -> ElementType:
    return ELEMENT_TYPES[element]


DTypeLike: TypeAlias = "ElementType | np.dtype[Any] | type | str"
SpecTree: TypeAlias = Any
"""A `Spec`, an element type (a scalar of it), or a pytree of these."""


def element_type(dtype: DTypeLike | DType) -> DType:
    """The element type that a user's `dtype` names: ours, NumPy's, a name, or Python's `bool`, `int`, `float`.

    Python's types mean bool, i64 and f64, as in PyTorch and NumPy.  `DTypeError` where there is no such element type.
    """
    if isinstance(dtype, ElementType):
        return dtype.element
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, type) and dtype in _PYTHON_TYPES:
        return _PYTHON_TYPES[dtype]
    if isinstance(dtype, str) and dtype in dtypes.BY_NAME:
        return dtypes.BY_NAME[dtype]
    if dtype == dtypes.bf16.numpy_name:
        return dtypes.bf16
    try:
        found = dtypes.from_numpy(np.dtype(cast("Any", dtype)).newbyteorder("="))
    except TypeError:
        found = None
    if found is None:
        raise DTypeError(f"{dtype!r} is not an element type", mend="use one such as tn.f32 or np.float32")
    return found


def array_element_type(array: NDArray[Any]) -> DType:
    """The element type of an array's elements; `DTypeError` for those that no tensor holds."""
    found = dtypes.from_numpy(array.dtype) or dtypes.from_numpy(array.dtype.newbyteorder("="))
    if found is None:
        raise DTypeError(f"an array of dtype {array.dtype} cannot be a tensor", mend="convert it with astype")
    return found


def is_spec(value: object) -> bool:
    """Whether `value` is a leaf of a tree of specs."""
    return isinstance(value, (Spec, ElementType))


def as_spec(value: Spec | ElementType) -> Spec:
    """`value`, an element type meaning a scalar."""
    return value[()] if isinstance(value, ElementType) else value


def annotated_specs(function: Callable[..., Any]) -> dict[str, SpecTree]:
    """Parameter name → tree of specs, for the parameters whose annotations are such trees.

    A string annotation is evaluated in the function's scope; one whose names are not there is no spec, as they
    are for type checkers alone.
    """
    annotations = cast("dict[str, object]", getattr(function, "__annotations__", {}))
    specs: dict[str, SpecTree] = {}
    for name, annotation in annotations.items():
        spec = _spec_of(_evaluated(annotation, function))
        if spec is not None and name != "return":
            specs[name] = spec
    return specs


def _spec_of(annotation: object) -> SpecTree | None:
    """`annotation` where it is a non-empty tree of specs; from `Annotated[...]`, the spec that it carries."""
    for metadata in getattr(annotation, "__metadata__", ()):
        if (spec := _spec_of(metadata)) is not None:
            return spec
    return annotation if _is_spec_tree(annotation) else None


def _is_spec_tree(value: object) -> bool:
    if is_spec(value):
        return True
    if isinstance(value, dict):
        items = list(cast("dict[object, object]", value).values())
    elif isinstance(value, (list, tuple)):
        items = list(cast("list[object]", value))
    else:
        fields: object = getattr(value, "__dataclass_fields__", None)
        if isinstance(value, type) or not isinstance(fields, dict):
            return False
        items = [getattr(value, name) for name in cast("dict[str, object]", fields)]
    return len(items) > 0 and all(_is_spec_tree(item) for item in items)


def _evaluated(annotation: object, function: Callable[..., Any]) -> object:
    if not isinstance(annotation, str) or not isinstance(function, FunctionType):
        return annotation
    cells: dict[str, CellType] = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    enclosing: dict[str, object] = {}
    for name, cell in cells.items():
        try:
            enclosing[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    try:
        return eval(annotation, function.__globals__, enclosing)
    except (NameError, AttributeError, TypeError):
        return annotation
