"""`tn.Tensor`: values that compiled code computes with, or their stand-ins while a function is traced.

A tensor refers to a storage, or to a view of one, so that a change in place is seen by all that share the memory.
Operators and methods are the functions of `tenfold.functions`; NumPy's functions on tensors lead to the same ones.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from tenfold import numpy_dispatch
from tenfold.changes import Changes
from tenfold.device import CPU, Device, usable_device
from tenfold.functions import arithmetic, elementwise, indexing, joining, shapes
from tenfold.functions.indexing import At, Index
from tenfold.gradients.backward import backward
from tenfold.gradients.calls import filled
from tenfold.gradients.graph import AccumulateGrad, Edge, Handle, Hook, Node
from tenfold.gradients.modes import set_grad_enabled
from tenfold.lazy.graph import GRAPH
from tenfold.memory import on_device
from tenfold.operators import Operators
from tenfold.placement import moved
from tenfold.printing import tensor_text
from tenfold.random.filling import Fillings
from tenfold.sharing import address_of, dlpack_device, exported
from tenfold.size import Size
from tenfold.specs import ELEMENT_TYPES, TYPE_NAMES, DTypeLike, ElementType, element_type
from tenfold.tensor_methods import Methods
from tenfold.tracing import Array, Scalar, TensorLike, TensorValue, here, is_tracing, note_gradient
from tenfold.values import OVERLAY, Kind, Storage, Value, note_rebound
from tenfold.views import Alias, View, layout_of
from tenfold_rt.errors import ArgumentError, DTypeError, GradientError, PlacementError

_BRANCH = "use tn.cond, tn.while_loop or tn.where(condition, x, y), or mark the argument static with static_argnames"
_NUMBER = "keep it a tensor, or mark the argument static with static_argnames"
_RETURN = "return it from the traced function and look at the result"


class Tensor(Operators, Methods, Changes, Fillings):
    """A tensor; make one with `tn.tensor`, or get one as the result of a function of `tenfold`."""

    __slots__ = ("__dict__", "_grad")
    __array_priority__ = 1000  # NumPy's operators leave the work to ours

    @property
    def dtype(self) -> ElementType:
        """The element type."""
        return ELEMENT_TYPES[self.tensor_type.dtype]

    @property
    def shape(self) -> Size:
        """The size of each axis."""
        return Size.of_shape(self.tensor_type.sizes)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.tensor_type.rank

    def dim(self) -> int:
        """The number of axes."""
        return self.tensor_type.rank

    def size(self, dim: int | None = None) -> Any:
        """The size of each axis, or of the axis `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self.tensor_type.size

    nelement = numel

    def element_size(self) -> int:
        """The number of bytes of an element."""
        return self.tensor_type.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """The number of bytes of an element."""
        return self.tensor_type.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The number of bytes of all elements."""
        return self.numel() * self.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """How many elements of the storage lie between neighbours along each axis, or along the axis `dim`."""
        strides = layout_of(self.ref).strides
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """The place of the first element in the storage."""
        return layout_of(self.ref).offset

    def is_contiguous(self) -> bool:
        """Whether the elements lie one after another in row-major order."""
        return layout_of(self.ref).is_dense

    def contiguous(self) -> Tensor:
        """This tensor if its elements lie one after another, else a copy of which they do."""
        return self if self.is_contiguous() else elementwise.clone(self)

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self.tensor_type.dtype.is_float

    def is_complex(self) -> bool:
        """Whether the elements are complex."""
        return self.tensor_type.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether elements can be negative."""
        return self.tensor_type.dtype.is_signed or self.tensor_type.dtype.is_float

    @property
    def device(self) -> Device:
        """Where the memory is; in a function that is being compiled, where that runs."""
        return self.ref.kind.device

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is a GPU's."""
        return self.device.type == "cuda"

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes in reverse order."""
        return shapes.transpose(self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The last two axes exchanged."""
        return shapes.swapaxes(self, -1, -2)

    @property
    def at(self) -> At:
        """`x.at[index].set(values)` and its kin: a copy with elements changed."""
        return At(self)

    # Values.

    def numpy(self, *, force: bool = False) -> Array:
        """The values, as an array over the same memory where that can be; `force` detaches first, and copies a GPU's.

        `GradientError` where the tensor requires a gradient, `PlacementError` where it is in a GPU's memory.
        """
        if self.requires_grad and not force:
            raise GradientError(
                "numpy(): the tensor requires a gradient, which an array cannot carry", mend="use x.detach().numpy()"
            )
        if self.device is not CPU:
            return self._host_copy(force)
        self.known_array("numpy()", _RETURN)
        GRAPH.run()  # what is recorded reads the memory as it is now
        storage = self.ref.storage
        storage.lend()
        ref: Any = self.ref
        shared: Any = storage.value.known if ref is storage else ref.shared()
        return (self.known_array("numpy()", _RETURN) if shared is None else shared).view()

    def _host_copy(self, force: bool) -> Array:
        """The values of a tensor in a GPU's memory, as `numpy` gives them."""
        if force or is_tracing():
            return self.known_array("numpy()", _RETURN)
        raise PlacementError(
            f"can't convert {self.device} device type tensor to numpy",
            where=here(),
            mend="copy it to the memory of the CPU first: x.cpu()",
        )

    def item(self) -> Scalar:
        """The only element, as a Python number."""
        array = self.known_array("item()", _NUMBER)
        if array.size != 1:
            raise ArgumentError(f"item(): a Tensor with {array.size} elements cannot be converted to Scalar")
        return cast("Scalar", array.item())

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.known_array("tolist()", _RETURN).tolist()

    def __bool__(self) -> bool:
        array = self.known_array("bool() or `if`", _BRANCH)
        if array.size != 1:
            few = "no values" if array.size == 0 else "more than one value"
            raise ArgumentError(f"Boolean value of Tensor with {few} is ambiguous", mend="use x.any() or x.all()")
        return bool(array.item())

    def __int__(self) -> int:
        return int(self._number("int()"))

    def __float__(self) -> float:
        return float(self._number("float()"))

    def __index__(self) -> int:
        number = self._number("an integer of Python's")
        if not self.tensor_type.dtype.is_integer:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(number)

    def _number(self, asked: str) -> Any:
        array = self.known_array(asked, _NUMBER)
        if array.size != 1:
            raise ArgumentError(f"{asked}: a Tensor with {array.size} elements cannot be converted to Scalar")
        return array.item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self.known_array("a NumPy array", _RETURN)
        array = self.numpy()
        return np.array(array, dtype) if copy else np.asarray(array, dtype)

    def __dlpack__(self, **arguments: Any) -> Any:
        return exported(self, **arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack_device(self.device)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **arguments: Any) -> Any:
        return numpy_dispatch.call_ufunc(ufunc, method, inputs, arguments)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_dispatch.call_function(function, args, kwargs)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(joining.unbind(self))

    def __contains__(self, element: TensorLike) -> bool:
        return bool((self == element).any())

    def __getitem__(self, index: Index) -> Tensor:
        return indexing.getitem(self, index)

    def __setitem__(self, index: Index, values: TensorLike) -> None:
        self.put(index, values)

    def __repr__(self) -> str:
        array = self.array
        if array is None:
            return f"Tensor({self.tensor_type}, traced)"
        node = self.grad_fn
        return tensor_text(
            array,
            requires_grad=self.requires_grad,
            grad_fn=None if node is None else node.name(),
            device=self.device,
            is_parameter=self.is_parameter,
        )

    def __format__(self, spec: str) -> str:
        if self.ndim > 0 or self.is_parameter or (self.memory is None and not spec):
            return super().__format__(spec)
        return format(self.item(), spec)

    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]
    is_parameter = False

    # Gradients.

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient with regard to this tensor may be asked for."""
        return self.ref.edge is not None

    @requires_grad.setter
    def requires_grad(self, requires: bool) -> None:
        self.requires_grad_(requires)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Let gradients with regard to this leaf be asked for, or no more; `GradientError` for others."""
        if requires_grad == self.requires_grad:
            return self
        if not self.is_leaf:
            raise GradientError(
                "you can only change requires_grad flags of leaf variables", mend="use y = x.detach() instead"
            )
        if requires_grad and not self.tensor_type.dtype.is_float:
            raise DTypeError(f"only Tensors of floating point dtype can require gradients, not {self.tensor_type}")
        if isinstance(self.ref, View):
            self.ref = Alias(self.ref)
        cast("Any", self.ref).edge = Edge(AccumulateGrad(self), 0) if requires_grad else None
        note_gradient(self)
        return self

    @property
    def grad_fn(self) -> Node | None:
        """The node of the call that gave this tensor, where its gradient goes through."""
        edge = self.ref.edge
        return None if edge is None or isinstance(edge.node, AccumulateGrad) else edge.node

    @property
    def is_leaf(self) -> bool:
        """Whether gradients end here, or there are none."""
        return self.grad_fn is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that has been accumulated."""
        note_gradient(self)
        return self.get_gradient()

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None and gradient.ref.kind is not self.ref.kind:
            raise GradientError(f"a gradient {gradient.tensor_type} was assigned to a tensor {self.tensor_type}")
        note_gradient(self, is_change=True)
        self.set_gradient(gradient)

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def get_gradient(self) -> Tensor | None:
        """`grad`, of which nobody takes note."""
        if OVERLAY.values is not None and id(self) in OVERLAY.gradients:
            return OVERLAY.gradients[id(self)]
        return getattr(self, "_grad", None)

    def set_gradient(self, gradient: Tensor | None) -> None:
        """Set `grad`, of which nobody takes note."""
        if OVERLAY.values is None or self.ref.storage.trace is not None:
            self._grad = gradient
        else:
            OVERLAY.gradients[id(self)] = gradient

    @staticmethod
    def zeros_of(kind: Kind) -> Tensor:
        """A tensor of zeros."""
        return cast("Tensor", filled(kind, 0))

    def accumulate(self, gradient: Tensor, create_graph: bool) -> None:
        """Add to the gradient."""
        present = self.grad
        if create_graph:
            self.grad = gradient if present is None else present + gradient
        elif present is None:
            value = gradient.value
            is_others = value.root is not None or value.is_shared()
            self.grad = elementwise.clone(gradient.detach()) if is_others else Tensor.of_value(value)
        else:
            with set_grad_enabled(False):
                present.add_(gradient)

    def backward(
        self,
        gradient: TensorLike | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add to the `grad` of each leaf the gradient of this tensor, weighed by `gradient`, with regard to it.

        `gradient` may be left out where this tensor is one number.  `GradientError` where nothing requires one, or
        where the graph was freed by an earlier call without `retain_graph`.
        """
        backward([self], [gradient], retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """A tensor of the same memory that no gradient flows to."""
        return arithmetic.stop_gradient(self) if is_tracing() else Tensor.of_reference(Alias(self.ref))

    def detach_(self) -> Tensor:
        """Forget how this tensor was computed."""
        self.ref = Alias(self.ref)
        return self

    @property
    def data(self) -> Tensor:
        """A tensor of the same memory that no gradient flows to."""
        return Tensor.of_reference(Alias(self.ref))

    @data.setter
    def data(self, other: Tensor) -> None:
        alias = Alias(other.ref)
        alias.edge = self.ref.edge
        self.ref = alias
        note_rebound()

    def register_hook(self, hook: Hook) -> Handle:
        """Call `hook` with the gradient of this tensor; what it gives, unless None, takes the gradient's place."""
        edge = self.ref.edge
        if edge is None:
            raise GradientError("cannot register a hook on a tensor that doesn't require gradient")
        return Handle(edge.node.hooks.setdefault(edge.place, {}), hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor, which is no leaf, in its `grad` too."""
        edge = self.ref.edge
        if edge is None:
            raise GradientError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            edge.node.keep(edge.place, self)

    @property
    def retains_grad(self) -> bool:
        """Whether this tensor is no leaf and its gradient is kept."""
        edge = self.ref.edge
        return edge is not None and not self.is_leaf and edge.node.keeps(edge.place, self)

    @property
    def output_nr(self) -> int:
        """Which result of its node this tensor is."""
        edge = self.ref.edge
        return 0 if edge is None else edge.place

    @property
    def _version(self) -> int:
        """How often the storage was changed."""
        return self.ref.storage.version

    def data_ptr(self) -> int:
        """The address of the first element, in the memory that the tensor is in."""
        return address_of(self)

    # Conversion.

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """This tensor with elements of another type, or on another device: `x.to(dtype)`, `x.to(device, dtype)`,
        `x.to(other)`; itself where it is so already."""
        device, dtype = _wanted(args, kwargs)
        there = self if device is None else cast("Tensor", moved(self, device))
        if dtype is None or element_type(dtype) is self.tensor_type.dtype:
            return elementwise.clone(self) if kwargs.get("copy") and there is self else there
        return elementwise.to(there, dtype)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """`to` by NumPy's name."""
        return elementwise.to(self, dtype)

    def type(self, dtype: DTypeLike | None = None) -> Any:
        """This tensor with elements of `dtype`; without one the name of the element type, `"torch.FloatTensor"`."""
        if dtype is not None:
            return self.to(TYPE_NAMES.get(cast("Any", dtype), dtype))
        return next(name for name, each in TYPE_NAMES.items() if each is self.dtype)

    def cpu(self) -> Tensor:
        """This tensor in the memory of the CPU."""
        return self.to(CPU)

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        """This tensor in the memory of a GPU; `DeviceError` says why there is none."""
        return self.to(Device("cuda" if device is None else device))

    def get_device(self) -> int:
        """The number of the GPU whose memory this is in; -1 for the CPU."""
        index = self.device.index
        return -1 if index is None else index

    def __copy__(self) -> Tensor:
        """Another tensor of the same memory."""
        copied = type(self).__new__(type(self))
        TensorValue.__init__(copied, Alias(self.ref))
        cast("Any", copied.ref).edge = None if self.is_leaf else self.ref.edge
        copied.__dict__.update(self.__dict__)
        return copied.requires_grad_(self.requires_grad) if self.is_leaf else copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GradientError(
                "only tensors that are leaves of the graph can be deep-copied", mend="use x.detach().clone()"
            )
        copied = self._like(elementwise.clone(self.data).value)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        gradient = getattr(self, "_grad", None)
        if gradient is not None:
            copied.grad = copy.deepcopy(gradient, memo)
        return copied

    def _like(self, value: Value) -> Tensor:
        """A leaf of this class with another value."""
        other = type(self).__new__(type(self))
        TensorValue.__init__(other, Storage(value))
        return other.requires_grad_(self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.is_leaf:
            raise GradientError("only tensors that are leaves of the graph can be pickled", mend="detach() it first")
        array = np.array(self.known_array("pickling", _RETURN))
        return _unpickled, (type(self), array, self.requires_grad, self.__dict__, str(self.device))


def _unpickled(
    kind: type[Tensor], array: Array, requires_grad: bool, attributes: dict[str, Any], device: str = "cpu"
) -> Tensor:
    made = kind.__new__(kind)
    TensorValue.__init__(made, Storage(Value.of_array(on_device(array, usable_device(device)))))
    made.__dict__.update(attributes)
    return made.requires_grad_(requires_grad)


TensorValue.use(Tensor)


def _wanted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Device | None, DTypeLike | None]:
    """The device and the element type that `to` was asked for."""
    device: Device | None = None
    dtype: DTypeLike | None = None
    for given in (*args[:2], kwargs.get("dtype"), kwargs.get("device"), kwargs.get("other")):
        if isinstance(given, Tensor):
            device, dtype = given.device, given.dtype
        elif type(given) is int or (isinstance(given, (str, Device)) and not _is_dtype_name(given)):
            device = usable_device(given)
        elif given is not None and not isinstance(given, bool):
            dtype = cast("DTypeLike", given)
    return device, dtype


def _is_dtype_name(name: str | Device) -> bool:
    return isinstance(name, str) and name in _DTYPE_NAMES


_DTYPE_NAMES = frozenset(str(each.name) for each in ELEMENT_TYPES.values()) | {"float32", "float64", "int64", "int32"}
