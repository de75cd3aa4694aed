"""`@tn.compile`: a Python function in, a callable that runs native code out.

A `Compiled` traces its function once for each signature it is called with (trees, element types, shapes and
static values), compiles what it learnt, and keeps it, also on disk.  A call whose arguments are plain arrays goes
straight to the compiled code.  `lower` gives a `Lowered`, which shows the program at each stage; `export` writes a
shared library and its C header.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from types import MethodType
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast, overload

from tenfold.captures import Effectful, Recorder
from tenfold.device import CPU, Device, named_device, usable_device
from tenfold.export import write_artifact
from tenfold.lazy.graph import GRAPH
from tenfold.memory import on_device, type_of
from tenfold.placement import placed, placing_of
from tenfold.program import (
    COMPILING,
    Program,
    Traced,
    collector_paused,
    compile_traced,
    compiler,
    gpu_compiler,
    gpu_target,
    known_tuning,
    trace_function,
    tune_module,
)
from tenfold.rewrite.convert import ControlFlow, rewritten
from tenfold.rewrite.convert import control_flow as in_mode
from tenfold.signature import Request, Signature, array_kinds, example_types, operands_of, wants_gradient
from tenfold.tracing import Placing, TensorValue, here, is_tracing
from tenfold.tree import Tree
from tenfold_rt.errors import ArgumentError, SpecError
from tenfold_rt.frozen import frozen
from tenfold_rt.threads import checked
from tenfoldc import target as targets
from tenfoldc.ir.core import Module
from tenfoldc.ir.printer import print_module

P = ParamSpec("P")
R = TypeVar("R")

STAGES = ("tensor", "loops", "llvm", "asm")


@frozen
class _Latest:
    """The program of the latest call with some structure, and what the structure says about such calls."""

    program: Program
    takes_leaves: bool
    as_tensors: bool


class Compiled(Generic[P, R]):
    """A function that runs as native code; made by `tn.compile`."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        # Each has a class of its own, so that `__call__` can be its compiled code: a call then runs no Python.
        own: type[Any] = type(cls.__name__, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__})
        return super().__new__(own)

    def __init__(
        self,
        function: Callable[P, R],
        static_argnames: Sequence[str],
        donate: Sequence[str],
        threads: int | None = None,
        mode: ControlFlow = "rewrite",
        target: Device | None = None,
        tune: bool = False,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._static, self._donate = static_argnames, donate
        self._mode: ControlFlow = mode
        self._target = target
        self._tune = tune
        self._threads = None if threads is None else checked(threads)
        self._programs: dict[Request, list[Program | Effectful]] = {}
        # By the structure of the arguments, and by that with the arrays' types: the first is quicker to look up.
        self._latest: dict[Hashable, _Latest] = {}
        self._known: dict[Hashable, Program] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", self._call(args, kwargs))

    def _call_anew(self, *args: Any, **kwargs: Any) -> Any:
        """What the compiled code calls with arguments that are not its own."""
        return self._call(args, kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        """What a compiled module, or another callable object, has beside its call: `parameters()`, `train()`."""
        if name == "_function" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._function, name)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._function, '__qualname__', self._function)!s}>"

    def __reduce__(self) -> str:
        """Copied and pickled as a function is: by its name."""
        return getattr(self._function, "__qualname__", repr(self))

    @functools.cached_property
    def signature(self) -> Signature:
        """The function's parameters and their specs; read at the first call, when annotations can be evaluated."""
        return Signature(self._function, self._static, self._donate)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if is_tracing():
            return self._traced(*args, **kwargs)
        leaves: list[Any] = []
        record: list[Hashable] = []
        self.signature.scan(args, kwargs, leaves, record)
        structure = tuple(record)
        if wants_gradient(leaves):
            return self._call_with_checks(self.signature.bind(args, kwargs), None, as_tensors=True)
        latest = self._latest.get(structure)
        if latest is not None:
            operands = leaves if latest.takes_leaves else operands_of(leaves)
            returned = latest.program.entry(*operands)
            if returned is not NotImplemented:
                return latest.program.arranged(returned, as_tensors=latest.as_tensors)
        return self._call_with_others(args, kwargs, leaves, structure)

    def _traced(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the function inside a trace."""
        with in_mode(self._mode):
            return rewritten(self._function)(*args, **kwargs)

    def _call_with_others(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any], structure: Hashable
    ) -> Any:
        """A call with arrays of other types than those of the latest call with this structure."""
        operands = operands_of(leaves)
        as_tensors = any(isinstance(leaf, TensorValue) for leaf in leaves)
        key = (structure, array_kinds(operands))
        program = self._known.get(key)
        returned = NotImplemented if program is None else program.entry(*operands)
        if program is None or returned is NotImplemented:
            return self._call_with_checks(self.signature.bind(args, kwargs), key, as_tensors)
        takes_leaves = all(operand is leaf for operand, leaf in zip(operands, leaves, strict=True))
        self._latest[structure] = _Latest(program, takes_leaves, as_tensors)
        return program.arranged(returned, as_tensors=as_tensors)

    def _call_with_checks(self, arguments: Mapping[str, Any], key: Hashable | None, as_tensors: bool) -> Any:
        """A call of a kind not seen before, with arguments that must be made to fit, or that require gradients.

        Later calls whose arguments have `key` use the same program; None for those that always come here.
        """
        parts = self.signature.take_apart(arguments)
        arrays = self.signature.arrays(parts)
        target = None if self._target is None else usable_device(self._target)
        placing = placing_of(parts.leaves, target)
        request = self.signature.request(parts, [type_of(array) for array in arrays], placing)
        program = self._program(request)
        if isinstance(program, Effectful):
            return program.run(parts.leaves, arrays, as_tensors=as_tensors or not arrays)
        if key is not None:
            self._known[key] = program
        return program.run([on_device(array, program.device) for array in arrays], as_tensors=as_tensors)

    def _program(self, request: Request) -> Program | Effectful:
        with GRAPH.lock, COMPILING:  # in this order: what is recorded may be run by a trace
            program = next((each for each in self._programs.get(request, ()) if each.holds()), None)
            if program is None:
                with collector_paused():
                    traced = self._trace(request)
                if self._tune and traced.device is CPU:
                    tune_module(traced.module)
                program = compile_traced(traced) if traced.effects is None else Effectful(traced, self._threads)
                self._programs.setdefault(request, []).append(program)
        if isinstance(program, Effectful):
            return program
        direct = self._takes_arrays_as_they_are(request, program)
        entry = program.entry_or(self._call_anew, self._threads) if direct else cast("Any", Compiled).__call__
        type(self).__call__ = entry
        return program.with_threads(self._threads)

    def _takes_arrays_as_they_are(self, request: Request, program: Program) -> bool:
        """Whether the entry may be called with a call's own arguments.

        It takes any Python number for a scalar parameter, which is right only where a spec gives the scalar's type.
        """
        signature = self.signature
        return (
            program.device is CPU
            and signature.is_flat(request)
            and program.returns_as_compiled
            and all(
                type_.rank > 0 or name in signature.specs
                for (name, _), type_ in zip(request.trees, request.types, strict=True)
            )
        )

    def _trace(self, request: Request, *, captures: bool = True) -> Traced:
        def trace(placing: Placing) -> Traced:
            return trace_function(
                lambda leaves: self.signature.call(self._traced, request, leaves),
                self.signature.arguments(request),
                self.signature.name,
                self.__doc__ or "",
                Recorder() if captures else None,
                placing,
            )

        return placed(trace, request.placing)

    def with_threads(self, count: int) -> Compiled[P, R]:
        """The same function, nothing compiled anew, whose calls use up to `count` threads.

        `SpecError` where `count` is not from 1 to 256.
        """
        other = Compiled(self._function, self._static, self._donate, count, self._mode, self._target, self._tune)
        other._programs = self._programs
        return other

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The program for arguments like these: specs, arrays, or nothing where annotations give all specs.

        `SpecError` where specs are missing or the arguments do not fit them.
        """
        signature = self.signature
        if not args and not kwargs and signature.signature.parameters:
            if not signature.specified():
                missing = [name for name in signature.signature.parameters if name not in signature.specs]
                raise SpecError(
                    f"{signature.name}: argument `{missing[0]}` has no spec",
                    mend=f"annotate it, as in `{missing[0]}: tn.f32[32, 784]`, or give specs or example arguments",
                )
            kwargs = dict(signature.specs)
        parts = signature.take_apart(signature.bind(args, kwargs))
        target = None if self._target is None else named_device(self._target)
        request = signature.request(parts, example_types(parts), placing_of(parts.leaves, target))
        return Lowered(self._trace(request, captures=False))

    def export(self, path: str | Path, *args: Any, target: str = "native", **kwargs: Any) -> Path:
        """Write the library for arguments like these to `path` and its C header beside it; returns the path.

        `target` is that of `tn.export`.  Both files appear whole or not at all.  `RequestError` where they cannot be
        written; else as `lower`.
        """
        return write_artifact(self.lower(*args, **kwargs).module, Path(path), target)


class Lowered:
    """A traced program, not yet compiled: `module` is its tensor IR."""

    def __init__(self, traced: Traced) -> None:
        self._traced = traced

    @property
    def module(self) -> Module:
        return self._traced.module

    @property
    def results(self) -> Tree:
        """How the results are arranged."""
        return self._traced.results

    def text(self, stage: str = "tensor") -> str:
        """The program as text: `tensor` IR (StableHLO), `loops`, `llvm` IR or `asm`, which is PTX for a GPU."""
        if stage not in STAGES:
            raise ArgumentError(f"there is no stage {stage!r}", mend=f"the stages are {', '.join(STAGES)}")
        if stage == "tensor":
            return print_module(self.module)
        device = self._traced.device
        if device is not CPU:
            return gpu_compiler().stage_text(self.module, stage, target=gpu_target(device))
        machine = targets.host()
        return compiler().stage_text(self.module, stage, target=machine, tuning=known_tuning(machine))

    def compile(self) -> Callable[..., Any]:
        """The program as native code: takes its leaves as dense arrays, in order; gives what the function gives."""
        program = compile_traced(self._traced)

        def run(*arrays: Any) -> Any:
            return program.run([on_device(array, program.device) for array in arrays], as_tensors=False)

        return run

    def __repr__(self) -> str:
        return f"<lowered {self._traced.function.name}>"


@overload
def compile(  # noqa: A001 - what PyTorch calls it
    function: Callable[P, R],
    *,
    static_argnames: Sequence[str] = (),
    donate: Sequence[str] = (),
    threads: int | None = None,
    control_flow: ControlFlow = "rewrite",
    target: Device | str | None = None,
    tune: bool = False,
) -> Compiled[P, R]: ...
@overload
def compile(  # noqa: A001
    function: None = None,
    *,
    static_argnames: Sequence[str] = (),
    donate: Sequence[str] = (),
    threads: int | None = None,
    control_flow: ControlFlow = "rewrite",
    target: Device | str | None = None,
    tune: bool = False,
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(  # noqa: A001
    function: Callable[P, R] | None = None,
    *,
    static_argnames: Sequence[str] = (),
    donate: Sequence[str] = (),
    threads: int | None = None,
    control_flow: ControlFlow = "rewrite",
    target: Device | str | None = None,
    tune: bool = False,
) -> Compiled[P, R] | Callable[[Callable[P, R]], Compiled[P, R]]:
    """Compile `function`; a decorator, with or without arguments.

    `static_argnames` names the parameters whose values are part of the program (hashable; a new value compiles
    anew).  `donate` names those whose arrays may be overwritten: results of the same type are written to their
    memory.  Parameters may be tensors, Python numbers (rank-0 tensors), or pytrees of both.  Annotations that are
    specs are checked at every call.  All-NumPy arguments give NumPy results, a `Tensor` among them gives Tensors.
    `threads` is how many threads a call may use, where that is not to be the process's number; `with_threads` gives
    the same for a function that is compiled already.  With `control_flow` "rewrite" Python's `if`, `while` and `for`
    over traced values are part of the program; with "python" they are refused.  A call runs where its tensors are, or
    on the `target` "cpu", "cuda" or "cuda:1", to which its arguments are copied.  With `tune` the first call
    on the CPU measures what decides how fast the kernels are, which takes seconds to minutes, and keeps it for all
    later compilations on this machine, as `tenfold tune` does.
    """
    if control_flow not in ("rewrite", "python"):
        raise ArgumentError(
            f"compile: control_flow is {control_flow!r}", where=here(), mend="give 'rewrite' or 'python'"
        )
    static = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    donated = (donate,) if isinstance(donate, str) else tuple(donate)
    device = None if target is None else _device_named(target)
    if function is None:
        return lambda given: Compiled(given, static, donated, threads, control_flow, device, tune)
    if not callable(function):
        raise ArgumentError(f"compile: {function!r} is no function", where=here())
    return Compiled(function, static, donated, threads, control_flow, device, tune)


def _device_named(target: Device | str) -> Device:
    """The CPU or a GPU, whether or not there is one; `ArgumentError` for other devices."""
    device = Device(target)
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"compile: target is {target!r}", where=here(), mend="give 'cpu', 'cuda' or 'cuda:1'")
    return device
