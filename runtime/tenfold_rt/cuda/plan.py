"""A program for a GPU as it is kept and run: kernels as PTX, and the steps that launch them.

    Plan  = architecture, PTX text, constants, entries
    Entry = parameters, results, workspace: how many bytes it needs, steps
    Step  = Launch(kernel, grid, threads, shared memory, arguments)
          | Repeat(axis, count, steps)          for axis in range(count): steps
          | Loop(flag, body)                     while the byte at flag is set: body
          | Choose(flag, then, otherwise)       then where the byte at flag is set, else otherwise
          | Copy(target, source, bytes)
          | WriteTape(tape, place, source, bytes) | ReadTape(tape, place, target, bytes)

All sizes are known; every buffer is dense and row-major, and begins at a multiple of `ALIGNMENT` bytes.  The compiler
makes plans, and nothing else describes a program for a GPU.  `to_bytes` and `from_bytes` write and read them as files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfold_rt.manifest import Buffer

PLAN_VERSION = 1


class Region(Enum):
    """A stretch of device memory that an entry uses.

    `PARAMETER` and `RESULT` are numbered: the caller's tensors.  `WORKSPACE` is memory for the call, `CONSTANTS` a copy
    of the plan's constants.
    """

    PARAMETER = "parameter"
    RESULT = "result"
    WORKSPACE = "workspace"
    CONSTANTS = "constants"


@frozen
class Place:
    """An address: byte `offset` of a region."""

    region: Region
    number: int
    offset: int


@frozen
class HostAxis:
    """The index, as an i64, of a `Repeat` around a launch."""

    name: str


@frozen
class TensorMap:
    """A descriptor of a tensor for the copy engine of sm_90 (`cuTensorMapEncodeTiled`), given by value, 128 bytes.

    Axes are counted from the innermost.  `strides` are in bytes, of all axes but the innermost, multiples of 16.
    `box` is the part that one copy moves; what lies outside the tensor is read as zeros.  `swizzle` is 0, 32, 64 or
    128 bytes.
    """

    place: Place
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int


Argument: TypeAlias = Place | HostAxis | TensorMap


@frozen
class Launch:
    """`grid` blocks of `threads` threads, with `shared_bytes` of dynamic shared memory."""

    kernel: str
    grid: int
    threads: int
    shared_bytes: int
    arguments: tuple[Argument, ...]


@frozen
class Repeat:
    """`steps` for each value of `axis` from 0 to `count` - 1."""

    axis: str
    count: int
    steps: tuple[Step, ...]


@frozen
class Loop:
    """`body` as long as the byte at `flag`, looked at before each turn, is not 0."""

    flag: Place
    body: tuple[Step, ...]


@frozen
class Choose:
    """`then` where the byte at `flag` is not 0, else `otherwise`."""

    flag: Place
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]


@frozen
class Copy:
    """`bytes` bytes from one place to another, which do not overlap."""

    target: Place
    source: Place
    bytes: int


@frozen
class WriteTape:
    """Element number `place` (an i64 in device memory) of tape number `tape` becomes the `bytes` bytes at `source`.

    It is at most one behind the last element.  A call begins with its tapes empty.
    """

    tape: int
    place: Place
    source: Place
    bytes: int


@frozen
class ReadTape:
    """The `bytes` bytes at `target` become element number `place` (an i64 in device memory) of tape number `tape`."""

    tape: int
    place: Place
    target: Place
    bytes: int


Step: TypeAlias = Launch | Repeat | Loop | Choose | Copy | WriteTape | ReadTape


@frozen
class PlanEntry:
    """One function: `parameters` in, `results` out; its temporaries take `workspace_bytes`, from a multiple of 256 on.

    `donated` pairs (parameter, result) indices: the caller gives the result the parameter's own memory, or other memory
    into which the parameter has been copied; the steps read and write the result's alone.
    """

    name: str
    parameters: tuple[Buffer, ...]
    results: tuple[Buffer, ...]
    donated: tuple[tuple[int, int], ...]
    workspace_bytes: int
    tapes: int
    steps: tuple[Step, ...]
    doc: str = ""


@frozen
class KernelInfo:
    """What is known of a kernel: the user's line, and what one launch does, where that is known."""

    name: str
    location: str
    f32_flops: int | None
    f64_flops: int | None
    bytes: int | None


@frozen
class Plan:
    """Functions for one architecture such as `sm_90a`, with the PTX of all their kernels."""

    library: str
    version: str
    architecture: str
    ptx: str
    constants: bytes
    entries: tuple[PlanEntry, ...]
    kernels: tuple[KernelInfo, ...]

    def to_bytes(self) -> bytes:
        """The plan as a file holds it."""
        return json.dumps(_encode(self), separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Plan:
        """Read what `to_bytes` wrote; `ValueError` where it is not a plan of this version."""
        try:
            content = json.loads(data)
            if content["version_of_plans"] != PLAN_VERSION:
                raise ValueError(f"a plan of version {content['version_of_plans']}, not {PLAN_VERSION}")
            return _decode_plan(content)
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a plan: {error}") from error


def _encode(plan: Plan) -> dict[str, Any]:
    return {
        "version_of_plans": PLAN_VERSION,
        "library": plan.library,
        "version": plan.version,
        "architecture": plan.architecture,
        "ptx": plan.ptx,
        "constants": base64.b64encode(plan.constants).decode(),
        "entries": [_encode_entry(entry) for entry in plan.entries],
        "kernels": [[k.name, k.location, k.f32_flops, k.f64_flops, k.bytes] for k in plan.kernels],
    }


def _decode_plan(content: Mapping[str, Any]) -> Plan:
    return Plan(
        content["library"],
        content["version"],
        content["architecture"],
        content["ptx"],
        base64.b64decode(content["constants"]),
        tuple(_decode_entry(entry) for entry in content["entries"]),
        tuple(KernelInfo(*kernel) for kernel in content["kernels"]),
    )


def _encode_entry(entry: PlanEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "parameters": [_encode_buffer(buffer) for buffer in entry.parameters],
        "results": [_encode_buffer(buffer) for buffer in entry.results],
        "donated": [list(pair) for pair in entry.donated],
        "workspace_bytes": entry.workspace_bytes,
        "tapes": entry.tapes,
        "steps": _encode_steps(entry.steps),
        "doc": entry.doc,
    }


def _decode_entry(content: Mapping[str, Any]) -> PlanEntry:
    return PlanEntry(
        content["name"],
        tuple(_decode_buffer(buffer) for buffer in content["parameters"]),
        tuple(_decode_buffer(buffer) for buffer in content["results"]),
        tuple((parameter, result) for parameter, result in content["donated"]),
        content["workspace_bytes"],
        content["tapes"],
        _decode_steps(content["steps"]),
        content["doc"],
    )


def _encode_buffer(buffer: Buffer) -> list[Any]:
    return [buffer.name, buffer.dtype.name, list(buffer.shape)]


def _decode_buffer(content: Sequence[Any]) -> Buffer:
    name, dtype, shape = content
    return Buffer(name, dtypes.BY_NAME[dtype], tuple(shape))


def _encode_steps(steps: Sequence[Step]) -> list[list[Any]]:
    return [_encode_step(step) for step in steps]


def _decode_steps(content: Sequence[Sequence[Any]]) -> tuple[Step, ...]:
    return tuple(_decode_step(step) for step in content)


def _encode_step(step: Step) -> list[Any]:
    match step:
        case Launch():
            arguments = [_encode_argument(argument) for argument in step.arguments]
            return ["launch", step.kernel, step.grid, step.threads, step.shared_bytes, arguments]
        case Repeat():
            return ["repeat", step.axis, step.count, _encode_steps(step.steps)]
        case Loop():
            return ["loop", _encode_place(step.flag), _encode_steps(step.body)]
        case Choose():
            return ["choose", _encode_place(step.flag), _encode_steps(step.then), _encode_steps(step.otherwise)]
        case Copy():
            return ["copy", _encode_place(step.target), _encode_place(step.source), step.bytes]
        case WriteTape():
            return ["write tape", step.tape, _encode_place(step.place), _encode_place(step.source), step.bytes]
        case ReadTape():
            return ["read tape", step.tape, _encode_place(step.place), _encode_place(step.target), step.bytes]


def _decode_step(content: Sequence[Any]) -> Step:
    kind, *rest = content
    match kind:
        case "launch":
            kernel, grid, threads, shared_bytes, arguments = rest
            return Launch(kernel, grid, threads, shared_bytes, tuple(_decode_argument(a) for a in arguments))
        case "repeat":
            axis, count, steps = rest
            return Repeat(axis, count, _decode_steps(steps))
        case "loop":
            flag, body = rest
            return Loop(_decode_place(flag), _decode_steps(body))
        case "choose":
            flag, then, otherwise = rest
            return Choose(_decode_place(flag), _decode_steps(then), _decode_steps(otherwise))
        case "copy":
            target, source, size = rest
            return Copy(_decode_place(target), _decode_place(source), size)
        case "write tape":
            tape, place, source, size = rest
            return WriteTape(tape, _decode_place(place), _decode_place(source), size)
        case "read tape":
            tape, place, target, size = rest
            return ReadTape(tape, _decode_place(place), _decode_place(target), size)
        case _:
            raise ValueError(f"not a plan: there is no step {kind!r}")


def _encode_place(place: Place) -> list[Any]:
    return [place.region.value, place.number, place.offset]


def _decode_place(content: Sequence[Any]) -> Place:
    region, number, offset = content
    return Place(Region(region), number, offset)


def _encode_argument(argument: Argument) -> list[Any]:
    match argument:
        case Place():
            return _encode_place(argument)
        case HostAxis():
            return ["axis", argument.name]
        case TensorMap():
            shapes = [list(argument.shape), list(argument.strides), list(argument.box)]
            return ["tensor map", _encode_place(argument.place), argument.dtype, *shapes, argument.swizzle]


def _decode_argument(content: Sequence[Any]) -> Argument:
    if content[0] == "axis":
        return HostAxis(content[1])
    if content[0] != "tensor map":
        return _decode_place(content)
    _, place, dtype, shape, strides, box, swizzle = content
    return TensorMap(_decode_place(place), dtype, tuple(shape), tuple(strides), tuple(box), swizzle)
