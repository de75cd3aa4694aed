"""Control flow: loops whose trip count is data, and branches, around the statements of their regions; tapes.

A region's kernels become statements of the kernel that holds it.  The carry of a `while` lives in the memory of its
results; what a turn computes is written straight over it where nothing of the last turn is read any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TypeAlias

from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.loops import scalar
from tenfoldc.loops.aliasing import may_share
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Buffer, Expr, If, Kernel, Load, ReadTape, Statement, Store, While, WriteTape
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import owners, stored
from tenfoldc.lower.copying import copy_buffer, copy_value
from tenfoldc.lower.elements import Elements
from tenfoldc.lower.filling import fills_from
from tenfoldc.lower.sharing import Sharing, unchanged
from tenfoldc.lower.storage import Destination, Storage
from tenfoldc.ops.arithmetic import ADD
from tenfoldc.ops.comparison import COMPARE, CompareAttributes, Direction
from tenfoldc.ops.control import IF
from tenfoldc.ops.loops import is_tape
from tenfoldc.ops.tapes import EMPTY_STACK, TAPE_WRITE

LowerRegion: TypeAlias = Callable[[Region, Sequence[Destination], Set[Value]], Sequence[Kernel]]
Lowered: TypeAlias = tuple[list[Statement], list[Buffer]]


def lower_branches(operation: Operation, storage: Storage, lower_region: LowerRegion) -> Lowered:
    """An `if` or a `case`: the branches write the same results; a `case` out of range takes the last."""
    memory = [storage.result(result) for result in operation.results]
    scratch: list[Buffer] = []
    branches: list[tuple[Statement, ...]] = []
    for region in operation.regions:
        wanted = [Destination(value, target) for value, target in zip(region.results, memory, strict=True)]
        with storage.repeating(False):
            statements, used = _flatten(lower_region(region, wanted, frozenset()))
        branches.append(tuple(statements))
        scratch.extend(used)
    selector = Elements(storage, IndexAlgebra(), ()).read(operation.operands[0], ())
    if operation.op is IF:
        return [If(selector, branches[0], branches[1])], scratch
    chosen = branches[-1]
    for number, branch in reversed(list(enumerate(branches[:-1]))):
        is_chosen = scalar.equal(selector, scalar.constant(number, selector.dtype))
        chosen = (If(is_chosen, branch, chosen),)
    return list(chosen), scratch


def lower_while(operation: Operation, storage: Storage, sharing: Sharing, lower_region: LowerRegion) -> Lowered:
    """A `while`: its operands are copied into the carry's memory, unless they are there, then the turns are taken.

    A condition that takes loops is worked out at the beginning of each turn, which then does nothing where it fails.
    """
    condition, body = operation.regions
    constant_parts = dict(unchanged(operation))
    carry: dict[int, Buffer] = {}
    statements: list[Statement] = []
    for number, (operand, result) in enumerate(zip(operation.operands, operation.results, strict=True)):
        if result in constant_parts or is_tape(operand.type):
            storage.alias(condition.parameters[number], operand)
            storage.alias(body.parameters[number], operand)
            if is_tape(operand.type):
                storage.alias(result, operand)
            continue
        state = storage.result(result)
        carry[number] = state
        storage.buffers[condition.parameters[number]] = storage.buffers[body.parameters[number]] = state
        if result not in sharing.source:
            statements.extend(copy_value(storage, operand, state))
    turn, scratch = _turn(body, carry, storage, lower_region)
    ahead = fills_from(storage.parameters, turn, scratch)  # parameters keep their values: all turns would do the same
    statements += ahead
    turn = [statement for statement in turn if statement not in ahead]
    test = _scalar_condition(condition, storage)
    if test is not None:
        return [*statements, While((), test, tuple(turn), _known_turns(operation, storage))], scratch
    flag = storage.temporary(condition.results[0].type.dtype, ())
    check, used = _flatten(lower_region(condition, [Destination(condition.results[0], flag)], frozenset()))
    start = Store(flag, (), scalar.constant(True, flag.dtype))
    loop = While((), Load(flag, ()), (*check, If(Load(flag, ()), tuple(turn))))
    return [*statements, start, loop], [*scratch, *used]


def lower_stack(operation: Operation, storage: Storage) -> list[Statement]:
    """A new stack, which is as it is, or an element moved to or from a tape."""
    result, operands = operation.results[0], operation.operands
    if operation.op is EMPTY_STACK:
        storage.buffers[result] = storage.tape() if is_tape(result.type) else storage.result(result)
        return []
    place = Elements(storage, IndexAlgebra(), ()).read(operands[-1], ())
    if operation.op is TAPE_WRITE:
        storage.alias(result, operands[0])
        return [WriteTape(storage.buffers[operands[0]], place, storage.buffer(operands[1]))]
    return [ReadTape(storage.buffers[operands[0]], place, storage.result(result))]


def _scalar_condition(region: Region, storage: Storage) -> Expr | None:
    """A condition that only computes with scalars, as an expression; None where it takes loops."""
    for operation in region.operations:
        if operation.op.element is None or any(result.type.rank for result in operation.results):
            return None
    storage.define_constants(region.operations)
    return Elements(storage, IndexAlgebra(), region.operations).read(region.results[0], ())


def _known_turns(operation: Operation, storage: Storage) -> int | None:
    """How many turns a `while` takes that counts by one from one constant to another; None for all others."""
    condition, body = operation.regions
    test = _defining(condition, condition.results[0])
    if test is None or test.op is not COMPARE or test.operands[0] not in condition.parameters:
        return None
    assert isinstance(test.attributes, CompareAttributes)
    number = condition.parameters.index(test.operands[0])
    addition = _defining(body, body.results[number])
    is_count = test.operands[0].type.dtype.is_integer and test.attributes.comparison_direction is Direction.LT
    if not is_count or addition is None or addition.op is not ADD or body.parameters[number] not in addition.operands:
        return None
    (step,) = [value for value in addition.operands if value is not body.parameters[number]] or [body.results[number]]
    first, one, end = (storage.splat(value) for value in (operation.operands[number], step, test.operands[1]))
    if first is None or one is None or end is None or one.value != 1:
        return None
    return max(0, int(end.value) - int(first.value))


def _defining(region: Region, value: Value) -> Operation | None:
    """The operation of a region that computes `value`."""
    return next((operation for operation in region.operations if value in operation.results), None)


def _turn(body: Region, carry: Mapping[int, Buffer], storage: Storage, lower_region: LowerRegion) -> Lowered:
    """One turn: the body's statements, which leave the next carry in the carry's memory."""
    following = {number: storage.temporary(state.dtype, state.shape) for number, state in carry.items()}
    wanted = [Destination(body.results[number], following[number], home=carry[number]) for number in carry]
    mutable = {body.parameters[number] for number in carry}
    with storage.repeating(True):
        statements, scratch = _flatten(lower_region(body, wanted, mutable))
    written = owners(stored(statements))
    overwritten: dict[Buffer, Buffer] = {}
    copies: list[Statement] = []
    for number, state in carry.items():
        target = following[number]
        if target.storage not in written or may_share(statements, state, target):
            overwritten[target] = state
            storage.temporaries.remove(target)
        else:
            copies.extend(copy_buffer(storage, target, state))
    return [*BufferReplacer(overwritten).statements(statements), *copies], scratch


def _flatten(kernels: Sequence[Kernel]) -> Lowered:
    """The statements of several kernels one after the other, and all their scratch memory."""
    statements = [statement for kernel in kernels for statement in kernel.body]
    return statements, [buffer for kernel in kernels for buffer in kernel.scratch]
