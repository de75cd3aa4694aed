"""Changes of tensors in place: `x.add_(y)`, `x += y`, `x[i] = y`.

Each computes what the function of the same name without the underscore computes, and lets the tensor, and all that
share memory with it, have that value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from tenfold.device import default_device
from tenfold.functions import (
    arithmetic,
    binary,
    creation,
    elementwise,
    indexing,
    neural,
    parts,
    products,
    scattering,
    shapes,
    sorting,
    special,
)
from tenfold.functions.indexing import Index
from tenfold.gradients.calls import Overwritten, changing
from tenfold.gradients.graph import AccumulateGrad, Edge
from tenfold.gradients.modes import is_grad_enabled
from tenfold.placement import moved
from tenfold.promotion import family
from tenfold.tracing import TensorLike, TensorValue, here, is_scalar, is_tracing
from tenfold.views import View
from tenfold_rt.errors import DTypeError, GradientError, ShapeError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that changes a tensor to what `function` of it gives."""

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return change(self, lambda: function(self, *args, **kwargs), function.__name__ + "_")

    method.__name__ = method.__qualname__ = function.__name__ + "_"
    return method


def reshaping(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that makes of a tensor what `function`, which gives a view, makes of it: the memory stays the same."""

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_leaf(self)
        self.ref = function(self, *args, **kwargs).ref
        return self

    method.__name__ = method.__qualname__ = function.__name__ + "_"
    return method


def augmented(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method behind an operator such as `+=`.

    Inside a trace it gives another tensor where this one may not be changed or has another type: there it may stand
    for a Python number, or belong to the program around a loop.
    """
    name = function.__name__ + "_"

    @functools.wraps(function)
    def method(self: Any, other: Any) -> Any:
        if not is_tracing():
            return change(self, lambda: function(self, other), name)
        result = function(self, other)
        if result.ref.kind is not self.ref.kind or not self.may_be_assigned():
            return result
        return change(self, lambda: result, name)

    return method


def change(tensor: Tensor, compute: Callable[[], Any], name: str) -> Tensor:
    """Let `tensor` have the value that `compute` gives, with elements of its own type.

    `GradientError` for a leaf that requires a gradient; `ShapeError` where the value has another shape; `DTypeError`
    where it is of a higher family of element types.
    """
    refuse_leaf(tensor)
    device = tensor.ref.kind.device
    with nullcontext() if device is default_device() else device, changing(tensor):
        result: Tensor = compute()
        if result.ref.kind is not tensor.ref.kind:
            result = _fitting(result, tensor, name)
    tensor.assign(result.value, _edge_of(result, tensor, name))
    return tensor


def _refuse_unremembered(tensor: TensorValue, result: TensorValue) -> None:
    """`GradientError` where a gradient is to flow into a view that none flows out of."""
    ref = tensor.ref
    while isinstance(ref, View) and ref.is_remembered:
        ref = ref.parent
    if isinstance(ref, View) and (result.ref.edge is not None or ref.parent.edge is not None):
        raise GradientError(
            "a view was created in no_grad mode and is being modified inplace with grad mode enabled",
            where=here(),
            mend="make the view and change it both inside tn.no_grad(), or both outside",
        )


def _edge_of(result: TensorValue, tensor: TensorValue, name: str) -> Edge | None:
    """The edge of a tensor that is about to have the value of `result`."""
    before, edge = tensor.ref.edge, result.ref.edge
    if not is_grad_enabled():
        return before
    _refuse_unremembered(tensor, result)
    if edge is None and before is not None:
        return Edge(Overwritten(name.removesuffix("_"), before, tensor.ref.kind), 0)
    return edge


def _fitting(result: Tensor, tensor: Tensor, name: str) -> Tensor:
    """`result` with elements of the type of `tensor`, whose value it is about to be."""
    if result.tensor_type.shape != tensor.tensor_type.shape:
        raise ShapeError(
            f"{name}: output with shape {list(tensor.shape)} doesn't match the broadcast shape {list(result.shape)}",
            where=here(),
            mend=f"use {name.removesuffix('_')}, which gives a new tensor",
        )
    if family(result.tensor_type.dtype) > family(tensor.tensor_type.dtype):
        raise DTypeError(
            f"{name}: result type {result.tensor_type} can't be cast to the desired output type {tensor.tensor_type}",
            where=here(),
            mend=f"use {name.removesuffix('_')}, which gives a new tensor, or convert the tensor first",
        )
    return elementwise.to(result, tensor.dtype)


def refuse_leaf(tensor: TensorValue) -> None:
    """`GradientError` where gradients end at `tensor`, or at what it is a view of, and are remembered now."""
    ref = tensor.ref
    if not is_grad_enabled():
        return
    is_view = False
    while isinstance(ref, View) and ref.is_remembered:
        ref, is_view = ref.parent, True
    if ref.edge is not None and isinstance(ref.edge.node, AccumulateGrad):
        what = "a view of a leaf Variable that requires grad" if is_view else "a leaf Variable that requires grad"
        raise GradientError(
            f"{what} is being used in an in-place operation", where=here(), mend="do so inside tn.no_grad()"
        )


class Changes(TensorValue):
    """Methods that change a tensor in place and give it."""

    __slots__ = ()

    def copy_(self, src: TensorLike, non_blocking: bool = False) -> Tensor:
        """Take the elements of `src`, which broadcasts to this shape and is converted to this element type."""
        tensor = cast("Tensor", self)
        return change(tensor, lambda: _copied(tensor, src), "copy_")

    def fill_(self, value: TensorLike) -> Tensor:
        """Let every element be `value`."""
        return self.copy_(value)

    def zero_(self) -> Tensor:
        """Let every element be 0."""
        tensor = cast("Tensor", self)
        return change(tensor, lambda: creation.zeros_like(tensor), "zero_")

    def put(self, index: Index, values: TensorLike) -> None:
        """`x[index] = values`."""
        tensor = cast("Tensor", self)
        if indexing.is_basic(index):
            tensor[index].copy_(values)
        else:
            change(tensor, lambda: indexing.put(tensor, index, values), "index_put_")

    squeeze_ = reshaping(shapes.squeeze)
    swapaxes_ = swapdims_ = transpose_ = reshaping(shapes.swapaxes)
    t_ = reshaping(parts.t)
    unsqueeze_ = reshaping(shapes.unsqueeze)

    abs_ = absolute_ = in_place(elementwise.abs)
    ceil_ = in_place(elementwise.ceil)
    cos_ = in_place(elementwise.cos)
    cosh_ = in_place(elementwise.cosh)
    erf_ = in_place(elementwise.erf)
    erfc_ = in_place(elementwise.erfc)
    exp_ = in_place(elementwise.exp)
    exp2_ = in_place(elementwise.exp2)
    expm1_ = in_place(elementwise.expm1)
    floor_ = in_place(elementwise.floor)
    log_ = in_place(elementwise.log)
    log10_ = in_place(elementwise.log10)
    log1p_ = in_place(elementwise.log1p)
    log2_ = in_place(elementwise.log2)
    nan_to_num_ = in_place(elementwise.nan_to_num)
    round_ = in_place(elementwise.round)
    rsqrt_ = in_place(elementwise.rsqrt)
    sigmoid_ = in_place(elementwise.sigmoid)
    sign_ = sgn_ = in_place(elementwise.sign)
    sin_ = in_place(elementwise.sin)
    sinh_ = in_place(elementwise.sinh)
    sqrt_ = in_place(elementwise.sqrt)
    tan_ = in_place(elementwise.tan)
    tanh_ = in_place(elementwise.tanh)
    trunc_ = fix_ = in_place(elementwise.trunc)
    atan_ = arctan_ = in_place(elementwise.atan)

    acos_ = arccos_ = in_place(special.acos)
    acosh_ = arccosh_ = in_place(special.acosh)
    asin_ = arcsin_ = in_place(special.asin)
    asinh_ = arcsinh_ = in_place(special.asinh)
    atanh_ = arctanh_ = in_place(special.atanh)
    deg2rad_ = in_place(special.deg2rad)
    digamma_ = in_place(special.digamma)
    erfinv_ = in_place(special.erfinv)
    frac_ = in_place(special.frac)
    lgamma_ = in_place(special.lgamma)
    logit_ = in_place(special.logit)
    rad2deg_ = in_place(special.rad2deg)
    sinc_ = in_place(special.sinc)

    add_ = in_place(arithmetic.add)
    atan2_ = arctan2_ = in_place(arithmetic.atan2)
    bitwise_and_ = in_place(arithmetic.bitwise_and)
    bitwise_left_shift_ = in_place(arithmetic.bitwise_left_shift)
    bitwise_not_ = in_place(arithmetic.bitwise_not)
    bitwise_or_ = in_place(arithmetic.bitwise_or)
    bitwise_right_shift_ = in_place(arithmetic.bitwise_right_shift)
    bitwise_xor_ = in_place(arithmetic.bitwise_xor)
    clamp_ = clip_ = in_place(arithmetic.clamp)
    clamp_max_ = in_place(arithmetic.clamp_max)
    clamp_min_ = in_place(arithmetic.clamp_min)
    div_ = divide_ = true_divide_ = in_place(arithmetic.div)
    eq_ = in_place(arithmetic.eq)
    floor_divide_ = in_place(arithmetic.floor_divide)
    fmod_ = in_place(arithmetic.fmod)
    ge_ = greater_equal_ = in_place(arithmetic.ge)
    gt_ = greater_ = in_place(arithmetic.gt)
    le_ = less_equal_ = in_place(arithmetic.le)
    logical_and_ = in_place(arithmetic.logical_and)
    logical_not_ = in_place(arithmetic.logical_not)
    logical_or_ = in_place(arithmetic.logical_or)
    logical_xor_ = in_place(arithmetic.logical_xor)
    lt_ = less_ = in_place(arithmetic.lt)
    mul_ = multiply_ = in_place(arithmetic.mul)
    ne_ = not_equal_ = in_place(arithmetic.ne)
    neg_ = negative_ = in_place(arithmetic.neg)
    pow_ = in_place(arithmetic.pow)
    reciprocal_ = in_place(arithmetic.reciprocal)
    remainder_ = in_place(arithmetic.remainder)
    square_ = in_place(arithmetic.square)
    sub_ = subtract_ = in_place(arithmetic.sub)

    addcdiv_ = in_place(binary.addcdiv)
    addcmul_ = in_place(binary.addcmul)
    copysign_ = in_place(binary.copysign)
    float_power_ = in_place(binary.float_power)
    gcd_ = in_place(binary.gcd)
    heaviside_ = in_place(binary.heaviside)
    hypot_ = in_place(binary.hypot)
    lcm_ = in_place(binary.lcm)
    ldexp_ = in_place(binary.ldexp)
    lerp_ = in_place(binary.lerp)
    nextafter_ = in_place(binary.nextafter)
    xlogy_ = in_place(binary.xlogy)

    cumprod_ = in_place(sorting.cumprod)
    cumsum_ = in_place(sorting.cumsum)

    tril_ = in_place(creation.tril)
    triu_ = in_place(creation.triu)

    index_add_ = in_place(scattering.index_add)
    index_copy_ = in_place(scattering.index_copy)
    index_fill_ = in_place(scattering.index_fill)
    index_put_ = in_place(scattering.index_put)
    index_reduce_ = in_place(scattering.index_reduce)
    masked_fill_ = in_place(scattering.masked_fill)
    masked_scatter_ = in_place(scattering.masked_scatter)
    put_ = in_place(scattering.put)
    scatter_ = in_place(scattering.scatter)
    scatter_add_ = in_place(scattering.scatter_add)
    scatter_reduce_ = in_place(scattering.scatter_reduce)

    addbmm_ = in_place(products.addbmm)
    addmm_ = in_place(products.addmm)
    addmv_ = in_place(products.addmv)
    addr_ = in_place(products.addr)
    baddbmm_ = in_place(products.baddbmm)

    relu_ = in_place(neural.relu)

    __iadd__ = augmented(arithmetic.add)
    __isub__ = augmented(arithmetic.subtract)
    __imul__ = augmented(arithmetic.multiply)
    __itruediv__ = augmented(arithmetic.divide)
    __ifloordiv__ = augmented(arithmetic.floor_divide)
    __imod__ = augmented(arithmetic.remainder)
    __ipow__ = augmented(arithmetic.pow)
    __iand__ = augmented(arithmetic.bitwise_and)
    __ior__ = augmented(arithmetic.bitwise_or)
    __ixor__ = augmented(arithmetic.bitwise_xor)
    __ilshift__ = augmented(arithmetic.left_shift)
    __irshift__ = augmented(arithmetic.right_shift)


def _copied(tensor: Tensor, src: TensorLike) -> Any:
    if isinstance(src, TensorValue):
        src = moved(src, tensor.ref.kind.device)
    elif is_scalar(src):
        src = elementwise.to(src, tensor.dtype)
    source = shapes.broadcast_to(src, tensor.tensor_type.sizes)
    return elementwise.clone(elementwise.to(source, tensor.dtype))
