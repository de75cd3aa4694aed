"""Programs: a Python function traced for given argument types, and its compiled form ready to be called.

`trace_function` gives a `Traced`: the module and how its results are arranged.  `compiled_library` turns a module into
native code, from the disk cache where it is known, and `Program` calls that.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import importlib
import os
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np

from tenfold import tree as pytree
from tenfold.device import CPU, Device, gpu
from tenfold.memory import Memory, on_host
from tenfold.python_numbers import number_array
from tenfold.recording import Recording, under_way
from tenfold.specs import array_element_type
from tenfold.tracing import (
    Array,
    Placing,
    Scalar,
    TensorValue,
    Trace,
    default_dtype,
    from_dlpack,
    is_scalar,
    lift,
    wrap,
)
from tenfold.tree import Tree
from tenfold_rt.cache import Cache, default_directory
from tenfold_rt.cuda import devices
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArtifactError, DTypeError, SpecError, TenfoldError, TraceError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfold_rt.load import Library, load
from tenfoldc import target
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function, Module, walk
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.revision import revision
from tenfoldc.target import Target
from tenfoldc.tuning import UNTUNED, Tuning
from tenfoldc.tuning_store import keep, known

if TYPE_CHECKING:
    from tenfold.captures import Effects, Recorder
    from tenfold_rt.cuda.run import LoadedPlan

COMPILING = threading.RLock()
"""Held while a program is made: LLVM works for one thread at a time, and a fork waits until it is in order."""

FORK_LOCKS: list[Any] = [COMPILING]
"""What a fork waits for, in the order in which threads take them."""


@contextlib.contextmanager
def collector_paused() -> Generator[None]:
    """Look for no cycles of garbage meanwhile.

    Tracing and compiling make many objects and next to no garbage, but their number alone would have the collector
    walk through all that the process holds, which takes longer than compiling a small program where that is much.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _Hold:
    """What a fork does about the locks: it waits for them, and lets them go.

    A thread may have one registered while the fork waits for that thread, and then it holds nothing yet.
    """

    def __init__(self) -> None:
        self._held: list[Any] = []

    def take(self) -> None:
        for lock in FORK_LOCKS:
            lock.acquire()
            self._held.append(lock)

    def let_go(self) -> None:
        while self._held:
            self._held.pop().release()


def _hold_at_fork() -> None:
    """Have forks take the locks before those of what has been imported so far."""
    hold = _Hold()
    os.register_at_fork(before=hold.take, after_in_parent=hold.let_go, after_in_child=hold.let_go)


_hold_at_fork()

Entry: TypeAlias = Callable[..., Any]
"""A compiled entry: dense arrays in, an array or a tuple of arrays out; NotImplemented for what does not fit."""


@frozen
class Traced:
    """A traced function: its module with one entry, and the tree of its results."""

    module: Module
    results: Tree
    effects: Effects | None = None
    device: Device = CPU

    @property
    def function(self) -> Function:
        return self.module[self.module.entries[0]]


@frozen
class Argument:
    """One array argument of a program: its name in messages and in the manifest, its type, whether it is donated."""

    name: str
    type: TensorType
    donated: bool = False


def trace_function(
    call: Callable[[Sequence[Any]], object],
    arguments: Sequence[Argument],
    name: str,
    doc: str = "",
    recorder: Recorder | None = None,
    placing: Placing | None = None,
) -> Traced:
    """Trace `call`, which gets one tensor per argument, into a module whose entry is `name`.

    With a `recorder` tensors from outside are inputs, and what is done to them results, after those of `call`.
    `placing` says on which device all of them are.
    `TraceError` where the value of a traced tensor is asked for or something other than tensors is returned.
    """
    _refuse_open_sizes(name, arguments)
    with contextlib.nullcontext() if recorder is None else recorder.tracing(), Trace(recorder, placing) as trace:
        parameters = [trace.builder.parameter(argument.type) for argument in arguments]
        try:
            returned = call([wrap(parameter) for parameter in parameters])
        except RecursionError as error:
            raise TraceError(
                f"{name}: tracing it reached Python's recursion limit: a branch over a traced value is traced both"
                " ways, so a function that calls itself in one never ends",
                mend="write a loop, or mark what decides static with static_argnames",
            ) from error
        leaves, tree = pytree.flatten(returned)
        result_names = _result_names(tree)
        results = [_result(leaf, label, name) for leaf, label in zip(leaves, result_names, strict=True)]
        effects = None if recorder is None else recorder.effects(leaves)
        if recorder is not None and effects:
            if effects.has_gradient:
                results = [recorder.result(leaf, result) for leaf, result in zip(leaves, results, strict=True)]
            results += [trace.builder.var(cast("Var", value.var).value) for value in effects.values()]
            parameters += recorder.parameters
        body = trace.builder.region(parameters, results)
    if effects:
        extra = len(parameters) - len(arguments), len(results) - len(result_names)
        arguments = [*arguments, *(Argument(f"captured{n}", parameters[n - extra[0]].type) for n in range(extra[0]))]
        result_names += [f"effect{number}" for number in range(extra[1])]
    function = Function(
        name,
        body,
        parameter_names=tuple(argument.name for argument in arguments),
        result_names=tuple(result_names),
        donated=_donations(arguments, [result.type for result in results]),
        doc=doc,
    )
    return Traced(Module({name: function}, entries=(name,)), tree, effects or None, trace.device)


def _result_names(tree: Tree) -> list[str]:
    named_fields = bool(tree.keys) and all(isinstance(key, str) and key.isidentifier() for key in tree.keys)
    return pytree.names(tree, "" if named_fields else "result")


def _result(leaf: Any, label: str, name: str) -> Any:
    if isinstance(leaf, (TensorValue, np.ndarray, np.generic)) or is_scalar(leaf):
        return lift(cast("Any", leaf))
    raise TraceError(
        f"{name}: {label} is a {type(leaf).__name__}", mend="return tensors, in tuples, lists, dicts or dataclasses"
    )


def _donations(arguments: Sequence[Argument], results: Sequence[TensorType]) -> tuple[tuple[int, int], ...]:
    """Each donated argument with the first result of its type that has no partner yet."""
    free = list(enumerate(results))
    pairs: list[tuple[int, int]] = []
    for number, argument in enumerate(arguments):
        partner = next((item for item in free if item[1] == argument.type), None) if argument.donated else None
        if partner is not None:
            free.remove(partner)
            pairs.append((number, partner[0]))
    return tuple(pairs)


@frozen
class Program:
    """A compiled function: `entry` on arrays, its results arranged as `traced.results`."""

    traced: Traced
    library: Entries
    entry: Entry

    @property
    def device(self) -> Device:
        """Where it runs, and where its arguments and results are."""
        return self.traced.device

    def entry_or(self, otherwise: Callable[..., object], threads: int | None = None) -> Entry:
        """The entry, which calls `otherwise` where its arguments do not fit, for `threads` or the process's number."""
        return self.library.entry(self.traced.function.name, otherwise, threads)

    def with_threads(self, threads: int | None) -> Program:
        """The same program for a number of threads of its own."""
        name = self.traced.function.name
        return self if threads is None else replace(self, entry=self.library.entry(name, threads=threads))

    @property
    def returns_as_compiled(self) -> bool:
        """Whether what the entry returns is what the caller gets: one array, or a tuple of several."""
        tree = self.traced.results
        return tree.is_leaf or (
            tree.kind is tuple and len(tree.children) > 1 and all(child.is_leaf for child in tree.children)
        )

    def holds(self) -> bool:
        """Whether a call may use this program: any may that has arguments of its types."""
        return True

    def run(self, arrays: Sequence[Memory], *, as_tensors: bool) -> Any:
        """The results for `arrays`, which must have the argument types and be on the program's device.

        Donated ones are copied if they must be.
        """
        returned = self.entry(*arrays)
        if returned is NotImplemented:
            returned = self.entry(*self._with_donations_copied(arrays))
        if returned is NotImplemented:
            raise ArtifactError(f"{self.traced.function.name}: the compiled code refused its arguments")
        return self.arranged(returned, as_tensors=as_tensors)

    def arranged(self, returned: Any, *, as_tensors: bool) -> Any:
        """What the entry returned, as the function returns it."""
        if self.traced.results.is_leaf:
            return TensorValue.of_array(returned) if as_tensors else on_host(returned)
        leaves = cast("tuple[Memory, ...]", returned if type(returned) is tuple else (returned,))
        wrapped = [TensorValue.of_array(leaf) if as_tensors else on_host(leaf) for leaf in leaves]
        return pytree.unflatten(self.traced.results, wrapped)

    def _with_donations_copied(self, arrays: Sequence[Memory]) -> list[Memory]:
        copied = list(arrays)
        for parameter, _ in self.traced.function.donated:
            copied[parameter] = copied[parameter].copy()
        return copied


def compile_traced(traced: Traced) -> Program:
    """`traced` as native code for this machine, or for the GPU that it was traced for."""
    library = compiled_for(traced.module, traced.device)
    return Program(traced, library, library.entry(traced.function.name))


class Entries(Protocol):
    """A program ready to be called, as `Library` is on the CPU and `LoadedPlan` on a GPU."""

    def entry(self, name: str, otherwise: Callable[..., object] | None = None, threads: int | None = None) -> Entry: ...


def compiled_for(module: Module, device: Device) -> Entries:
    """The module, compiled for `device` and loaded; from the disk cache where it is known."""
    return compiled_library(module) if device is CPU else compiled_plan(module, device)


def compiled_plan(module: Module, device: Device) -> LoadedPlan:
    """The module as a plan for a GPU, loaded; from the disk cache where it is known."""
    refuse_uncompiled(module)
    machine = gpu_target(device)
    key, cache = cache_key(module, machine), _cache(default_directory())
    stored = cache.read(key, ".plan")
    running = importlib.import_module("tenfold_rt.cuda.run")  # which a program without a GPU never needs
    plan = None if stored is None else running.Plan.from_bytes(stored)
    if plan is None:
        with COMPILING, collector_paused():
            plan = gpu_compiler().compile_plan(module, target=machine, library=module.entries[0])
        cache.write(key, plan.to_bytes(), ".plan")
    return running.LoadedPlan(plan, gpu(device))


_ARCHITECTURES = {(8, 6): "sm_86", (8, 7): "sm_86", (8, 9): "sm_89", (9, 0): "sm_90a"}
"""What is compiled for a GPU of a compute capability, where that is not the newest of all."""


def gpu_target(device: Device) -> Target:
    """What code is made for that is to run on `device`: for the newest architecture where there is no such GPU."""
    if not devices.gpu_available():
        return target.gpu(target.GPU_ARCHITECTURES[-1])
    capability = gpu(device).properties.compute_capability
    return target.gpu(_ARCHITECTURES.get(capability, "sm_80" if capability < (9, 0) else "sm_90"))


def compiled_library(module: Module) -> Library:
    """The module, compiled for this machine and loaded; from the disk cache where it is known.

    While a run is recorded it is compiled to be profiled.
    """
    refuse_uncompiled(module)
    recording = under_way()
    if recording is None:
        return load(_library_file(module))
    with recording.preparing():
        library = load(_library_file(module, recording))
    recording.loaded(library)
    return library


def _library_file(module: Module, recording: Recording | None = None) -> Path:
    """Where the compiled module is."""
    machine = target.host()
    cache = compiled_cache()
    tuning = known(cache, machine)
    key = cache_key(module, machine, tuning, timed=recording is not None)
    path = cache.get(key)
    if path is None:
        name = module.entries[0]
        observe = None if recording is None else recording.ended
        with COMPILING, collector_paused():
            code, _ = compiler().compile_module(
                module,
                target=machine,
                library=name,
                store=cache,
                observe=observe,
                timed=recording is not None,
                tuning=tuning,
            )
            path = cache.put(key, code)
        if recording is not None:
            recording.compiled += 1
    return path


def compiled_cache() -> Cache:
    """Where compiled code is kept now."""
    return _cache(default_directory())


def known_tuning(machine: Target) -> Tuning:
    """What has been found to be best on `machine`."""
    return known(compiled_cache(), machine)


def tune_module(module: Module, report: Callable[[Any], None] | None = None) -> tuple[list[Any], bool]:
    """Measure what decides how fast the kernels of `module` are, and keep the answers for all later compilations.

    Gives what was found (`tenfoldc.tuner.Tuned`), and whether it could be kept on disk.
    """
    refuse_uncompiled(module)
    machine, cache = target.host(), compiled_cache()
    with COMPILING:
        compiler()
        tuner = importlib.import_module("tenfoldc.tuner")
        found = tuner.tune(module, target=machine, tuning=known(cache, machine), store=cache, report=report)
    return found, keep(cache, machine, [(tuned.name, tuned.choice) for tuned in found])


@functools.cache
def _cache(directory: Path) -> Cache:
    """One cache a directory: it keeps what could not be stored until the process ends."""
    return Cache(directory)


def cache_key(module: Module, machine: Target, tuning: Tuning = UNTUNED, *, timed: bool = False) -> str:
    """What the compiled code depends on, as one hexadecimal number; a `timed` library names the user's lines."""
    options = [tuning.digest] if tuning.choices else []
    if timed:
        options.append("timed")
        options += [str(op.location) for function in module.functions.values() for op in walk(function.body)]
    text = "\0".join([revision(), machine.triple, machine.cpu, *machine.features, *options, print_module(module)])
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def compiler() -> ModuleType:
    """`tenfoldc.pipeline`, imported when first compiled with: it imports LLVM, which a cached call never needs."""
    pipeline = importlib.import_module("tenfoldc.pipeline")
    _hold_at_fork()  # whoever compiles takes locks of the thread pool that was imported with it
    return pipeline


@functools.cache
def gpu_compiler() -> ModuleType:
    """`tenfoldc.gpu.pipeline`, imported as `compiler` is."""
    pipeline = importlib.import_module("tenfoldc.gpu.pipeline")
    _hold_at_fork()
    return pipeline


def refuse_uncompiled(module: Module) -> None:
    """`UnsupportedError` for element types that no native code is generated for."""
    for name, function in module.functions.items():
        parameters = function.type.parameters
        labels = function.parameter_names or [f"arg{number}" for number in range(len(parameters))]
        for label, type_ in zip(labels, parameters, strict=True):
            if not type_.dtype.compiled:
                raise _uncompiled(f"{name}: argument `{label}`", type_, "")
        for operation in walk(function.body):
            for result in operation.results:
                if not result.type.dtype.compiled:
                    where = "" if operation.location is None else str(operation.location)
                    raise _uncompiled(operation.op.mnemonic, result.type, where)


def _uncompiled(what: str, type_: TensorType, where: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} is {type_}, and {type_.dtype} is not compiled", where=where, mend="convert it to f32 or f64"
    )


def _refuse_open_sizes(name: str, arguments: Sequence[Argument]) -> None:
    for argument in arguments:
        if any(isinstance(size, Symbol) for size in argument.type.shape):
            raise UnsupportedError(
                f"{name}: argument `{argument.name}` is {argument.type}, and open sizes are not compiled",
                mend="give every size as a number",
            )


def dense_memory(value: object, name: str, dtype: DType | None = None) -> Memory:
    """`value` as dense memory that compiled code takes: what is in a GPU's memory as it is, else `dense_array`."""
    memory = value.memory if isinstance(value, TensorValue) else value
    return memory if isinstance(memory, DeviceArray) else dense_array(value, name, dtype)


def dense_array(value: object, name: str, dtype: DType | None = None) -> Array:
    """`value` as a dense array that compiled code takes; without a copy where it is one.

    A Python number becomes a rank-0 array of `dtype` or of its default.  `SpecError` names the argument where
    `value` is not a tensor.
    """
    try:
        array = _as_array(value, dtype)
    except TenfoldError as error:
        if isinstance(error, TraceError):
            raise
        raise SpecError(f"argument `{name}`: {error.what}", mend=error.mend) from error
    if array is None:
        raise SpecError(
            f"argument `{name}` is a {type(value).__name__}, not a tensor",
            mend=f"name it in static_argnames, or give an array: static_argnames=({name.split('.')[0]!r},)",
        )
    dense = array.flags.c_contiguous and array.flags.aligned
    native = array_element_type(array).numpy
    if dense and array.dtype == native and type(array) is np.ndarray:
        return array if array.dtype is native else array.view(native)
    return np.array(array, native, order="C", subok=False)


def _as_array(value: object, dtype: DType | None) -> Array | None:
    if isinstance(value, TensorValue):
        return value.known_array("a call of compiled code", "call it inside the traced function")
    if is_scalar(value):
        number = cast("Scalar", value)
        if dtype is not None and dtype.is_unsigned and number < 0:
            raise DTypeError(f"{number} does not fit {dtype}")
        return number_array(number, dtype or default_dtype(number))
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(cast("Array", value))
    elif hasattr(value, "__dlpack__"):
        array = from_dlpack(value)
    elif hasattr(value, "__array__"):
        array = np.asarray(cast("Any", value))
    else:
        return None
    array_element_type(array)
    if isinstance(value, np.ndarray) and hasattr(cast("object", value), "mask"):
        raise DTypeError("a masked array cannot be a tensor, which has no mask", mend="fill it with filled()")
    return array
