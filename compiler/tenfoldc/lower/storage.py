"""Where every value of a function lives: parameters, results, temporaries, constants, and views of these."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import contextmanager

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.op import Array
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import TAPE_WORDS, Buffer, Constant, Expr
from tenfoldc.ops.creation import CONSTANT, ConstantAttributes, splat_value

_SMALL_BYTES = 256 * 1024
"""Constants that are kept in another layout beside their own without a thought."""
_MOST_REPEATED_BYTES = 4 * 1024 * 1024
"""Of what each turn of a loop reads, so much may be kept in another layout; more comes from memory in any layout."""
_MOST_GROWTH = 2
"""A constant may be replaced by one in another layout that takes less than so many times its memory."""


@frozen
class Destination:
    """Where a region is to leave one of its results; it need not be moved there if it is at `home` already."""

    value: Value
    target: Buffer
    home: Buffer | None = None


@frozen
class Window:
    """A part of a tensor in a buffer of its own: of the tensor's index it keeps `axes`, counted from `origins` on."""

    axes: tuple[int, ...]
    origins: tuple[Expr, ...]

    def index(self, index: Sequence[Expr]) -> list[Expr]:
        """Where the buffer holds the tensor's element at `index`."""
        return [scalar.sub(index[axis], origin) for axis, origin in zip(self.axes, self.origins, strict=True)]


class Storage:
    """The buffers of one program, made as they are needed."""

    def __init__(self, parameters: Collection[Buffer] = ()) -> None:
        self.parameters = frozenset(parameters)
        self.buffers: dict[Value, Buffer] = {}
        self.temporaries: list[Buffer] = []
        self.tapes: list[Buffer] = []
        self.constants: dict[Buffer, Array] = {}
        self.windows: dict[Buffer, Window] = {}
        """For buffers that hold only a part of their value, which part."""
        self._constant_values: dict[Value, Array] = {}
        self._origins: dict[Buffer, Value] = {}
        self._readers: dict[Value, set[Hashable]] = {}
        self._flat: dict[Buffer, Buffer] = {}
        self._numbered = 0
        self._repeats = False

    def define_constants(self, operations: Sequence[Operation]) -> None:
        """Learn the constants among `operations`."""
        for operation in operations:
            if operation.op is CONSTANT:
                attributes = operation.attributes
                assert isinstance(attributes, ConstantAttributes)
                self._constant_values[operation.results[0]] = attributes.value

    def note_readers(self, operations: Iterable[Operation], results: Iterable[Value]) -> None:
        """Learn what reads each value; operations that differ in nothing but the other operands read it alike."""
        for operation in operations:
            types = tuple(operand.type for operand in operation.operands)
            for number, operand in enumerate(operation.operands):
                reader = (operation.op, operation.attributes, number, types)
                self._readers.setdefault(operand, set()).add(reader)
            for value in (value for inner in operation.regions for value in inner.results):
                self._readers.setdefault(value, set()).add(operation)
        for value in results:
            self._readers.setdefault(value, set()).add(None)

    def pays_ahead(self, read: Collection[Buffer], size: int) -> bool:
        """Whether to keep `size` bytes that are made of `read` alone, rather than make them where they are needed.

        That is so of constants where they take the place of those, or are small; of parameters within a loop.
        """
        if self._repeats and read and self.parameters.issuperset(read):
            return size <= _MOST_REPEATED_BYTES
        if not read or not all(buffer in self.constants for buffer in read):
            return False
        freed = sum(self.constants[b].nbytes for b in read if len(self._readers.get(self._origins[b], ())) == 1)
        return size <= _SMALL_BYTES or size < _MOST_GROWTH * freed

    def is_constant(self, value: Value) -> bool:
        return value in self._constant_values

    def splat(self, value: Value) -> Constant | None:
        """The one element of a constant that repeats it; None for all other values."""
        array = self._constant_values.get(value)
        element = None if array is None else splat_value(array)
        return None if element is None else scalar.constant(element, value.type.dtype)

    def alias(self, value: Value, source: Value) -> None:
        """Let `value` be another name of `source`, which is in memory or constant."""
        if source in self._constant_values:
            self._constant_values[value] = self._constant_values[source]
        else:
            self.buffers[value] = self.buffers[source]

    def temporary(self, dtype: DType, shape: Sequence[int]) -> Buffer:
        """New memory that lives within one call of the program."""
        buffer = Buffer(f"t{self._numbered}", dtype, tuple(shape))
        self._numbered += 1
        self.temporaries.append(buffer)
        return buffer

    def tape(self) -> Buffer:
        """A new tape."""
        buffer = Buffer(f"tape{len(self.tapes)}", dtypes.i64, (TAPE_WORDS,))
        self.tapes.append(buffer)
        return buffer

    def result(self, value: Value) -> Buffer:
        """The memory of a value that is about to be computed, made where there is none yet."""
        if value not in self.buffers:
            self.buffers[value] = self.temporary(value.type.dtype, value.type.sizes)
        return self.buffers[value]

    def buffer(self, value: Value) -> Buffer:
        """The memory of a value that is computed already, or is constant."""
        known = self.buffers.get(value)
        if known is None:
            known = self.constant(self._constant_values[value], value.type.dtype)
            self.buffers[value] = known
            self._origins[known] = value
        return known

    def constant(self, array: Array, dtype: DType) -> Buffer:
        """New memory that holds `array` and is never written."""
        buffer = Buffer(f"c{len(self.constants)}", dtype, array.shape)
        self.constants[buffer] = array
        return buffer

    @contextmanager
    def repeating(self, repeats: bool) -> Generator[None]:
        """Within this context, what is lowered is every turn of a loop, or not."""
        before, self._repeats = self._repeats, repeats
        yield
        self._repeats = before

    @contextmanager
    def windowed(self, windows: Mapping[Value, tuple[Buffer, Window]]) -> Generator[None]:
        """Within this context, each value is where its window says, and nowhere else."""
        before = {value: self.buffers.get(value) for value in windows}
        for value, (buffer, window) in windows.items():
            self.buffers[value], self.windows[buffer] = buffer, window
        yield
        for value, buffer in before.items():
            del self.buffers[value]
            if buffer is not None:
                self.buffers[value] = buffer

    def flat(self, buffer: Buffer) -> Buffer:
        """`buffer` with one axis."""
        if len(buffer.shape) == 1:
            return buffer
        if buffer not in self._flat:
            self._flat[buffer] = flat(buffer)
        return self._flat[buffer]


def reshaped(buffer: Buffer, shape: Sequence[int]) -> Buffer:
    """The memory of `buffer` in another shape."""
    return Buffer(buffer.name, buffer.dtype, tuple(shape), base=buffer)


def flat(buffer: Buffer) -> Buffer:
    """The memory of `buffer` along one axis."""
    return reshaped(buffer, (math.prod(buffer.shape),))
