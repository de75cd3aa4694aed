"""The functions that Python calls, as LLVM IR text: one METH_FASTCALL | METH_KEYWORDS function per entry, and the
library's table of them.

Such a function takes what it can use without a copy: exact `ndarray`s of the right dtype and shape,
C-contiguous, aligned, writeable if donated; for a parameter of rank 0 also a Python number.  It makes the
result arrays, runs, and returns one array, or a tuple of several or none; a donated result is the argument
itself.  Anything else, keywords among it, makes it call its `self` with the same arguments, or return NotImplemented
where it has none; nothing is done before.  So a caller that can make arguments fit is only reached when it must.

The library has no undefined Python symbol.  Everything of Python's and NumPy's comes from the table that
`LIBRARY_python(table)` is given (`tenfold_rt.python_abi`), which returns an array of PyMethodDef in the
manifest's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tenfold_rt import dtypes, python_abi
from tenfold_rt.c_names import LibraryNames
from tenfold_rt.dtypes import DType
from tenfold_rt.manifest import Buffer, Entry, Manifest
from tenfold_rt.python_abi import Slot
from tenfold_rt.status import Status
from tenfoldc.artifact import pool_text, python_text, result_memory_text
from tenfoldc.artifact.llvm_text import FunctionText, array_constant, joined, string_constant, symbol

_METHOD = "{ ptr, ptr, i32, ptr }"

# NumPy's type numbers.  A 64-bit integer has two, since C has two names for it; bfloat16 has none until it is imported.
_TYPE_NUMBERS = {
    dtypes.bool_: (0, 0),
    dtypes.i8: (1, 1),
    dtypes.u8: (2, 2),
    dtypes.i16: (3, 3),
    dtypes.u16: (4, 4),
    dtypes.i32: (5, 5),
    dtypes.u32: (6, 6),
    dtypes.i64: (7, 9),
    dtypes.u64: (8, 10),
    dtypes.f16: (23, 23),
    dtypes.bf16: (-1, -1),
    dtypes.f32: (11, 11),
    dtypes.f64: (12, 12),
    dtypes.c64: (14, 14),
    dtypes.c128: (15, 15),
}


def functions(manifest: Manifest, names: LibraryNames, *, is_parallel: bool) -> str:
    """The IR text of every Python function of the library and of `LIBRARY_python`; `is_parallel`: it has threads."""
    shapes = {buffer.shape for buffer in _buffers(manifest)}
    scalars = {p.dtype for entry in manifest.entries for p in _scalar_parameters(entry)}
    methods: list[str] = []
    strings: list[str] = []
    for index, entry in enumerate(manifest.entries):
        strings.append(string_constant(f"tenfold.name.{index}", entry.name))
        doc = "null"
        if entry.doc:
            strings.append(string_constant(f"tenfold.doc.{index}", entry.doc))
            doc = f"@tenfold.doc.{index}"
        function = symbol(f"{entry.name}.python")
        flags = python_abi.METHOD_FASTCALL | python_abi.METHOD_KEYWORDS
        methods.append(f"{_METHOD} {{ ptr @tenfold.name.{index}, ptr {function}, i32 {flags}, ptr {doc} }}")
    methods.append(f"{_METHOD} zeroinitializer")
    shared: list[tuple[Callable[[str], str], Callable[[], str]]] = []
    if is_parallel:
        shared.append((pool_text.share, str))
    if has_large_results(manifest):
        shared.append((result_memory_text.share, result_memory_text.functions))
    return "\n".join(
        [
            *strings,
            *(
                array_constant(_shape_name(shape), "i64", [int(size) for size in shape])
                for shape in sorted(shapes, key=str)
                if shape
            ),
            f"@tenfold.methods = internal constant [{len(methods)} x {_METHOD}] [{', '.join(methods)}]",
            python_text.shared(symbol(names.python), "".join(share("%table") for share, _ in shared)),
            *(text() for _, text in shared),
            *(
                python_text.scalar(dtype, _TYPE_NUMBERS[dtype])
                for dtype in dtypes.ALL
                if dtype in scalars and _takes_number(dtype)
            ),
            *(_function(entry) for entry in manifest.entries),
        ]
    )


def byte_size(buffer: Buffer) -> int:
    """The bytes of a buffer whose sizes are all known."""
    size = buffer.dtype.itemsize
    for dimension in buffer.shape:
        size *= int(dimension)
    return size


def has_large_results(manifest: Manifest) -> bool:
    """Whether an entry returns arrays whose memory is kept (see `result_memory_text`)."""
    return any(_is_large(result) for entry in manifest.entries for result in entry.results)


def _is_large(result: Buffer) -> bool:
    return byte_size(result) >= result_memory_text.LARGE


def _buffers(manifest: Manifest) -> Iterator[Buffer]:
    for entry in manifest.entries:
        yield from entry.parameters
        yield from entry.results


def _scalar_parameters(entry: Entry) -> Iterator[Buffer]:
    """The parameters that may be Python numbers: an updated one must be an array, since a number cannot
    change.
    """
    donated = {parameter for parameter, _ in entry.donated}
    for index, parameter in enumerate(entry.parameters):
        if not parameter.shape and index not in donated and _takes_number(parameter.dtype):
            yield parameter


def _takes_number(dtype: DType) -> bool:
    return dtype in python_text.NUMBERS


def _shape_name(shape: tuple[int | str, ...]) -> str:
    return "tenfold.shape." + "x".join(str(size) for size in shape)


def _shape_pointer(shape: tuple[int | str, ...]) -> str:
    return symbol(_shape_name(shape)) if shape else "null"


def _function(entry: Entry) -> str:
    name = symbol(f"{entry.name}.python")
    text = FunctionText(f"internal ptr {name}(ptr %self, ptr %args, i64 %count, ptr %keywords) nounwind")
    results = len(entry.results)
    text.do(f"%objects = alloca [{max(results, 1)} x ptr]")
    text.do("%made = alloca i64")
    scalars = {id(parameter): text.value("alloca i64", "number") for parameter in _scalar_parameters(entry)}
    text.value("load ptr, ptr @tenfold.api")
    text.lines[-1] = "  %api = load ptr, ptr @tenfold.api"
    text.unless(text.value("icmp eq ptr %keywords, null"), "decline")
    text.unless(text.value(f"icmp eq i64 %count, {len(entry.parameters)}"), "decline")
    arguments = [
        _argument(text, entry, index, scalars.get(id(parameter))) for index, parameter in enumerate(entry.parameters)
    ]
    pointers = [pointer for _, pointer in arguments]
    for index, result in enumerate(entry.results):
        pointers.append(_result(text, entry, index, result, arguments))
    _call(text, entry, pointers)
    _return(text, results)
    _give_up(text, bool(entry.donated))
    return text.text()


def _argument(text: FunctionText, entry: Entry, index: int, number: str | None) -> tuple[str, str]:
    """Check argument `index`; return the object and the pointer to its elements."""
    parameter = entry.parameters[index]
    argument = text.load("ptr", "%args", 8 * index)
    if number is not None:
        name = symbol(f"tenfold.scalar.{parameter.dtype.name}")
        pointer = text.value(f"call ptr {name}(ptr %api, ptr {argument}, ptr {number})", "data")
    else:
        flags = python_abi.C_CONTIGUOUS | python_abi.ALIGNED
        if any(index == donated for donated, _ in entry.donated):
            flags |= python_abi.WRITEABLE
        pointer = text.value(_array_call(parameter, argument, flags), "data")
    text.unless(text.value(f"icmp ne ptr {pointer}, null"), "decline")
    return argument, pointer


def _array_call(parameter: Buffer, argument: str, flags: int) -> str:
    dtype = python_text.array_dtype(parameter.dtype, _TYPE_NUMBERS[parameter.dtype])
    shape = f"i32 {len(parameter.shape)}, ptr {_shape_pointer(parameter.shape)}"
    return f"call ptr @tenfold.array(ptr %api, ptr {argument}, {dtype}, {shape}, i32 {flags})"


def _result(text: FunctionText, entry: Entry, index: int, result: Buffer, arguments: list[tuple[str, str]]) -> str:
    """Make or reuse the array for result `index`; return the pointer to its elements."""
    text.do(f"store i64 {index}, ptr %made")
    source = next((parameter for parameter, target in entry.donated if target == index), None)
    if source is not None:
        array, pointer = arguments[source]
        _call_slot(text, Slot.INCREF, "void", f"ptr {array}")
    else:
        slot = 8 * python_abi.dtype_slot(result.dtype)
        shape = f"i32 {len(result.shape)}, ptr {_shape_pointer(result.shape)}"
        new = "@tenfold.new.large" if _is_large(result) else "@tenfold.new"
        array = text.value(f"call ptr {new}(ptr %api, i64 {slot}, {shape})", "array")
        text.unless(text.value(f"icmp ne ptr {array}, null"), "fail")
        pointer = text.load("ptr", array, python_abi.ARRAY_DATA)
    text.do(f"store ptr {array}, ptr {text.at('%objects', 8 * index)}")
    return pointer


def _call_slot(text: FunctionText, slot: Slot, type_: str, arguments: str) -> str:
    function = text.load("ptr", "%api", 8 * slot)
    call = f"call {type_} {function}({arguments})"
    if type_ == "void":
        text.do(call)
        return ""
    return text.value(call)


def _call(text: FunctionText, entry: Entry, pointers: list[str]) -> None:
    """Run the entry.  New arrays cannot overlap anything; arguments that are written to can, and are checked
    for it.
    """
    text.do(f"store i64 {len(entry.results)}, ptr %made")
    thread = _call_slot(text, Slot.SAVE_THREAD, "ptr", "") if entry.releases_gil else ""
    target = symbol(f"{entry.name}.checked" if entry.donated else f"{entry.name}.run")
    context = text.value("call ptr @tenfold.context(ptr %api, ptr %self)", "context")
    status = text.value(f"call i32 {target}({joined([context, *pointers])})", "status")
    if entry.releases_gil:
        _call_slot(text, Slot.RESTORE_THREAD, "void", f"ptr {thread}")
    text.do(f"%status = add i32 {status}, 0")
    text.unless(text.value("icmp eq i32 %status, 0"), "failed", "finished")


def _return(text: FunctionText, results: int) -> None:
    if results == 1:
        text.do(f"ret ptr {text.load('ptr', '%objects', 0)}")
        return
    pack = text.value(f"call ptr @tenfold.pack(ptr %api, ptr %objects, i64 {results})", "tuple")
    text.do(f"ret ptr {pack}")


def _give_up(text: FunctionText, overlap_declines: bool) -> None:
    """The ways out that return no result: a status, an error that Python has set, or arguments that do not
    fit.
    """
    text.block("failed")
    if overlap_declines:
        overlap = text.value(f"icmp eq i32 %status, {Status.EALIAS:d}")
        text.do(f"br i1 {overlap}, label %drop.decline, label %raise")
        text.block("drop.decline")
        text.do("%drop.count = load i64, ptr %made")
        text.do("call void @tenfold.drop(ptr %api, ptr %objects, i64 %drop.count)")
        text.jump("decline")
        text.block("raise")
    text.do("call void @tenfold.raise(ptr %api, i32 %status)")
    text.jump("fail")
    text.block("fail")
    text.do("%fail.count = load i64, ptr %made")
    text.do("call void @tenfold.drop(ptr %api, ptr %objects, i64 %fail.count)")
    text.do("ret ptr null")
    text.block("decline")
    text.do("%declined = call ptr @tenfold.decline(ptr %api, ptr %self, ptr %args, i64 %count, ptr %keywords)")
    text.do("ret ptr %declined")
