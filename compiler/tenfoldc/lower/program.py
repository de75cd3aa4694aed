"""The lowering stage: a function and its fusion plan in, a program of loop kernels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.core import Function, Operation, Region, Value, walk
from tenfoldc.ir.groups import Group, GroupKind, Plan
from tenfoldc.ir.op import Kind
from tenfoldc.loops.ir import Buffer, Kernel, Program, Statement
from tenfoldc.lower.ahead import with_constants_made, without_unread
from tenfoldc.lower.anchor import AnchorContext
from tenfoldc.lower.control import lower_branches, lower_stack, lower_while
from tenfoldc.lower.copying import copy_value, lower_update
from tenfoldc.lower.donation import protect_donated
from tenfoldc.lower.rules import Rules
from tenfoldc.lower.sharing import Sharing
from tenfoldc.lower.storage import Destination, Storage, reshaped
from tenfoldc.ops.control import WHILE
from tenfoldc.ops.movement import DYNAMIC_UPDATE_SLICE
from tenfoldc.ops.tapes import EMPTY_STACK, TAPE_READ, TAPE_WRITE

_NAMED_OPERATIONS = 3
"""Operations that a kernel's name mentions."""


def lower(function: Function, plan: Plan, rules: Rules) -> Program:
    """The kernels of `function`, one per group that computes something, and copies for results that none computes.

    Parameters and results are buffers in the function's order; a result that is a parameter, a constant, a view or
    another result is copied.  Raises `UnsupportedError` for an op that has no lowering.
    """
    region = function.body
    types = region.type
    names = function.parameter_names or tuple(f"arg{number}" for number in range(len(types.parameters)))
    result_names = function.result_names or tuple(f"result{number}" for number in range(len(types.results)))
    parameters = tuple(Buffer(n, t.dtype, t.sizes) for n, t in zip(names, types.parameters, strict=True))
    results = tuple(Buffer(n, t.dtype, t.sizes) for n, t in zip(result_names, types.results, strict=True))
    lowering = _Lowering(plan.nested, rules, parameters)
    lowering.storage.buffers.update(zip(region.parameters, parameters, strict=True))
    lowering.storage.note_readers(walk(region), region.results)
    wanted = [Destination(value, target) for value, target in zip(region.results, results, strict=True)]
    kernels = lowering.region(region, wanted, frozenset(), plan)
    storage = lowering.storage
    program = Program(
        function.name,
        parameters,
        results,
        tuple(storage.temporaries),
        storage.constants,
        tuple(kernels),
        function.donated,
        tuple(storage.tapes),
    )
    return protect_donated(without_unread(program), storage)


class _Lowering:
    """The lowering of one function: what all of its regions share."""

    def __init__(self, nested: Mapping[Region, Plan], rules: Rules, parameters: Sequence[Buffer]) -> None:
        self.nested = nested
        self.rules = rules
        self.storage = Storage(parameters)
        self._kernels = 0

    def region(
        self,
        region: Region,
        wanted: Sequence[Destination],
        mutable: Set[Value] = frozenset(),
        plan: Plan | None = None,
    ) -> list[Kernel]:
        """The kernels of a region, which leave its results where they are `wanted`.

        `mutable` are parameters whose memory the region may overwrite once it has read them.
        """
        groups = (self.nested[region] if plan is None else plan).groups
        self.storage.define_constants(region.operations)
        sharing = Sharing(region, groups, mutable)
        copied = self._assign(wanted, sharing)
        kernels = [kernel for group in groups for kernel in self._group(group, sharing)]
        for destination in copied:
            value, target = destination.value, destination.target
            if not self._is_home(destination):
                kernels.append(self._kernel("copy", copy_value(self.storage, value, target), ()))
        return kernels

    def _assign(self, wanted: Sequence[Destination], sharing: Sharing) -> list[Destination]:
        """Let results be computed where they are wanted; gives those that must be copied there."""
        copied: list[Destination] = []
        buffers = self.storage.buffers
        for destination in wanted:
            root, target = sharing.root(destination.value), destination.target
            if root in sharing.written and root not in buffers:
                same = root.type.sizes == target.shape
                buffers[root] = target if same else reshaped(target, root.type.sizes)
            else:
                copied.append(destination)
        return copied

    def _is_home(self, destination: Destination) -> bool:
        memory = self.storage.buffers.get(destination.value)
        return memory is not None and destination.home is not None and memory.storage is destination.home.storage

    def _group(self, group: Group, sharing: Sharing) -> list[Kernel]:
        for value in group.results:
            self._share(value, sharing)
        if group.kind is GroupKind.VIEW:
            return []
        before = len(self.rules.decisions.made)
        if group.kind is GroupKind.NEST:
            statements, scratch = self.rules.nest(group, self.storage)
        elif group.blocks is not None:
            statements, scratch = self.rules.row_blocks(group, group.blocks, self.storage)
        else:
            assert group.anchor is not None
            statements, scratch = self._anchor(group, group.anchor, sharing)
        if not statements:
            return []
        kernel = self._kernel(_describe(group), statements, scratch, group)
        return [replace(kernel, decisions=tuple(self.rules.decisions.made[before:]))]

    def _share(self, value: Value, sharing: Sharing) -> None:
        """Give `value` the memory of the value that it views or replaces."""
        source = sharing.source.get(value)
        if source is None:
            return
        memory = self.storage.buffer(source)
        same = memory.shape == value.type.sizes
        self.storage.buffers[value] = memory if same else reshaped(memory, value.type.sizes)

    def _anchor(
        self, group: Group, anchor: Operation, sharing: Sharing
    ) -> tuple[Sequence[Statement], Sequence[Buffer]]:
        if anchor.op is WHILE:
            return lower_while(anchor, self.storage, sharing, self.region)
        if anchor.op in (EMPTY_STACK, TAPE_READ, TAPE_WRITE):
            return lower_stack(anchor, self.storage), ()
        if anchor.op.kind is Kind.CONTROL:
            return lower_branches(anchor, self.storage, self.region)
        context = AnchorContext(group, anchor, self.storage)
        for value in group.results:
            self.storage.result(value)
        if anchor.op is DYNAMIC_UPDATE_SLICE:
            in_place = anchor.results[0] in sharing.source
            return lower_update(anchor, context, in_place), context.scratch_buffers
        rule = self.rules.operations.get(anchor.op.name)
        if rule is None:
            where = "" if anchor.location is None else str(anchor.location)
            raise UnsupportedError(f"{anchor.op.mnemonic}: no code is generated for this op", where=where)
        return rule(anchor, context), context.scratch_buffers

    def _kernel(
        self, name: str, statements: Sequence[Statement], scratch: Sequence[Buffer], group: Group | None = None
    ) -> Kernel:
        self._kernels += 1
        location = None if group is None else group.operations[-1].location
        kernel = Kernel(
            f"k{self._kernels - 1}_{name}",
            tuple(statements),
            tuple(scratch),
            "" if location is None else str(location),
        )
        return with_constants_made(kernel, self.storage)


def _describe(group: Group) -> str:
    """A kernel's name: its anchor, or the first of its operations."""
    if group.anchor is not None:
        return group.anchor.op.mnemonic
    return "_".join(list(dict.fromkeys(op.op.mnemonic for op in group.operations))[:_NAMED_OPERATIONS])
