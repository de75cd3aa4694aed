"""Loops whose number of turns only the compiled code knows: the body is traced once, its variables are the carry.

What a variable's type is may show only after a turn (a Python number takes the type that the body gives it; a variable
that is first assigned in the body has none before), so the body is traced until types no longer change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenfold import tree as pytree
from tenfold.control.regions import holds
from tenfold.gradients.calls import tensors_of
from tenfold.promotion import convert, promote_types, type_of
from tenfold.rewrite.cells import Cells
from tenfold.rewrite.conditions import condition
from tenfold.rewrite.paths import as_var, described, is_numeric, named, same
from tenfold.rewrite.signals import MISSING, NORMAL, Kind, Signal, Unset, content
from tenfold.tracing import Trace, current, here, is_scalar, lift, wrap
from tenfold.tree import Tree
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Region
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction

_COUNT = TensorType(dtypes.i64)


@frozen
class Turns:
    """What decides how often a loop turns, and what each turn gets.

    `test` is the condition, None where there is none; `count` the number of turns where it is known when the loop
    begins, and `item` gives a turn's item from its number; or the items are the elements of a `stack`.  `surely` is
    whether there is a first turn.
    """

    test: Callable[[], Any] | None = None
    count: Any = None
    item: Callable[[Any], Any] | None = None
    stack: Var | None = None
    surely: bool = False

    @property
    def endless(self) -> bool:
        """Whether only a jump out of its body ends the loop."""
        return self.test is None and self.count is None


@dataclass(slots=True)
class _Carried:
    """A variable in a loop: its leaves, which are traced (None in `fixed`) or fixed values, and how the traced begin.

    `weak` are those that begin as Python numbers, which `numbers` has, None for others.  It is `unset` where it may
    have no value when the loop begins.
    """

    name: str
    tree: Tree
    fixed: list[Any]
    values: list[Var]
    weak: list[bool]
    numbers: list[Any]
    unset: bool

    @staticmethod
    def of(name: str, value: Any, unset: bool) -> _Carried:
        leaves, tree = pytree.flatten(value)
        numeric = [leaf for leaf in leaves if is_numeric(leaf)]
        fixed = [MISSING if is_numeric(leaf) else leaf for leaf in leaves]
        numbers = [leaf if is_scalar(leaf) else None for leaf in numeric]
        weak = list(map(is_scalar, numeric))
        return _Carried(name, tree, fixed, [lift(leaf) for leaf in numeric], weak, numbers, unset)

    def arranged(self, tensors: Sequence[Any]) -> Any:
        remaining = iter(tensors)
        return pytree.unflatten(self.tree, [next(remaining) if leaf is MISSING else leaf for leaf in self.fixed])

    def following(self, value: Any) -> list[Var]:
        """The traced leaves of `value`, what a turn leaves in the variable, in the innermost trace."""
        leaves, tree = pytree.flatten(value)
        if tree != self.tree:
            self._refuse(self.name, described(value), "of another structure")
        found: list[Var] = []
        for label, leaf, fixed in zip(pytree.names(tree, self.name), leaves, self.fixed, strict=True):
            if fixed is MISSING and is_numeric(leaf):
                before = self.values[len(found)]
                found.append(
                    as_var(leaf, type_of(leaf) if before.rank else _common(leaf, before, self.weak[len(found)]))
                )
            elif fixed is MISSING or not same(leaf, fixed):
                self._refuse(label, described(leaf), "a number" if fixed is MISSING else described(fixed))
        return found

    def _refuse(self, label: str, after: str, before: str) -> None:
        raise ArgumentError(
            f"{named(label)} is {after} after a turn of the loop and {before} before it",
            where=here(),
            mend="only numbers and tensors can change from turn to turn of a loop over traced values",
        )

    def grow(self, types: Sequence[TensorType]) -> bool:
        """Take the `types` that a turn gives, scalars growing to hold both; whether one grew.

        `ShapeError` or `DTypeError` where others differ.
        """
        grew = False
        labels = pytree.names(self.tree, self.name)
        labels = [label for label, leaf in zip(labels, self.fixed, strict=True) if leaf is MISSING]
        for number, (label, type_, value) in enumerate(zip(labels, types, list(self.values), strict=True)):
            message = f"{named(label)} is {type_} after a turn of the loop and {value.type} before it"
            if type_.shape != value.shape:
                raise ShapeError(message, where=here(), mend="keep the shape the same")
            if type_.rank and type_.dtype != value.dtype:
                raise DTypeError(message, where=here(), mend=f"convert one of them, as in x.to(tn.{value.dtype.name})")
            if type_.dtype != value.dtype:
                begun = self.numbers[number]
                grown = convert(value, type_.dtype) if begun is None else lift(begun, type_.dtype)
                self.values[number], self.weak[number] = grown, False
                grew = True
        return grew


def _common(leaf: Any, before: Var, weak: bool) -> TensorType:
    """The type of a scalar that is `leaf` after a turn; `weak` where a Python number, which yields, was before it."""
    type_ = type_of(leaf)
    if type_.rank or (is_scalar(leaf) and holds(leaf, before.dtype)):
        return before.type if not type_.rank else type_
    yields = weak and _family(type_.dtype) >= _family(before.dtype)
    return type_ if yields else type_.with_dtype(promote_types(type_.dtype, before.dtype))


def _family(dtype: DType) -> int:
    return 0 if dtype.is_bool else 1 if dtype.is_integer else 2


@dataclass(slots=True)
class _Turn:
    """A traced turn: parameters, what follows in each carried variable, its signal, and variables at its end."""

    trace: Trace
    parameters: list[Var]
    following: list[list[Var]]
    signal: Signal
    ends: dict[str, Any]
    returned: Any


@dataclass(slots=True)
class CompiledLoop:
    """A loop over traced values; `run` traces it and emits it."""

    turns: Turns
    body: Callable[..., Signal | None]
    cells: Cells
    names: Sequence[str]
    carried: list[_Carried] = field(default_factory=list[_Carried])
    before: dict[str, Any] = field(default_factory=dict[str, Any])

    def run(self) -> Signal:
        """Emit the loop; variables hold what its last turn left in them."""
        self.before = self.cells.read()
        self.names = [name for name in self.names if name in self.before]
        for name in self.names:
            value = self.before[name]
            if content(value) is not MISSING:
                self.carried.append(_Carried.of(name, content(value), isinstance(value, Unset)))
        turn = self._settled()
        returned = None if turn.returned is MISSING else _zeros("return", turn.returned)
        exits = [kind for kind in (Kind.BREAK, Kind.RETURN) if kind in turn.signal.kinds]
        if self.turns.endless and not exits:
            raise ArgumentError("the loop never ends: nothing leaves it", where=here(), mend="break under a condition")
        results = self._emit(turn, returned, bool(exits))
        return self._finished(turn, returned, results, exits)

    # --- tracing ------------------------------------------------------------------------------------

    def _settled(self) -> _Turn:
        turn = self._traced_turn()
        while self._changed(turn):
            turn = self._traced_turn()
        return turn

    def _state(self, tensors: Sequence[Any]) -> dict[str, Any]:
        """The variables when a turn begins, with `tensors` for what is traced."""
        state, remaining = dict(self.before), iter(tensors)
        for variable in self.carried:
            value = variable.arranged([next(remaining) for _ in variable.values])
            state[variable.name] = Unset(variable.name, self._why(variable.name), value) if variable.unset else value
        return state

    def _why(self, name: str) -> str:
        return f"`{name}` is assigned only in the body of the loop at {here()}, which may not have run"

    def _traced_turn(self) -> _Turn:
        watch = self.cells.watched()
        with Trace() as trace:
            parameter = trace.builder.parameter
            counted = self.turns.count is not None and self.turns.stack is None
            number = [parameter(_COUNT)] if counted else []
            leaves = [parameter(value.type) for variable in self.carried for value in variable.values]
            stack = self.turns.stack
            element = [] if stack is None else [parameter(stack.type.with_shape(stack.type.shape[1:]))]
            self.cells.write(self._state([wrap(leaf) for leaf in leaves]))
            items = [wrap(each) for each in element] if self.turns.item is None else [self.turns.item(wrap(number[0]))]
            signal = self.body(*items) or NORMAL
            watch.refuse_changes("the loop")
            ends = self.cells.read()
            following = [variable.following(self._end(variable, ends)) for variable in self.carried]
            returned = signal.value if Kind.RETURN in signal.kinds else MISSING
            return _Turn(trace, [*number, *leaves, *element], following, signal, ends, returned)

    def _end(self, variable: _Carried, ends: Mapping[str, Any]) -> Any:
        value = content(ends[variable.name])
        if value is MISSING:
            raise ArgumentError(
                f"`{variable.name}` has no value after a turn of the loop", where=here(), mend="do not delete it"
            )
        return value

    def _changed(self, turn: _Turn) -> bool:
        """Take over the types that a turn gives; whether any changed."""
        changed = [
            variable.grow([var.type for var in following])
            for variable, following in zip(self.carried, turn.following, strict=True)
        ]
        known = {variable.name for variable in self.carried}
        fresh = [name for name in self.names if name not in known and content(turn.ends[name]) is not MISSING]
        for name in fresh:
            self.carried.append(_zeros(name, content(turn.ends[name])))
        return any(changed) or bool(fresh)

    # --- emitting -----------------------------------------------------------------------------------

    def _emit(self, turn: _Turn, returned: _Carried | None, exits: bool) -> list[Var]:
        """The loop; gives the kind of its end where it has `exits`, then the carry, then what is returned."""
        values = [value for variable in self.carried for value in variable.values]
        following = [var for each in turn.following for var in each]
        stack = self.turns.stack
        if stack is not None:
            body = turn.trace.builder.region(turn.parameters, following)
            return list(ops.scan(values, [stack], body, turns=stack.sizes[0]))
        with turn.trace:
            body = self._body(turn, following, returned, exits)
        first = [] if self.turns.count is None else [lift(0)]
        flags = [lift(int(Kind.NORMAL))] if exits else []
        carry = [*first, *flags, *values, *([] if returned is None else returned.values)]
        if not carry:
            raise ArgumentError("the loop changes no variable, so it does nothing or never ends", where=here())
        results = ops.while_(carry, self._condition([var.type for var in carry], exits), body)
        return list(results[len(first) :])

    def _body(self, turn: _Turn, following: Sequence[Var], returned: _Carried | None, exits: bool) -> Region:
        parameters, results = list(turn.parameters), list(following)
        builder = turn.trace.builder
        head = 0 if self.turns.count is None else 1
        if exits:
            kind = lift(turn.signal.number)
            again = ops.compare(kind, lift(int(Kind.CONTINUE)), Direction.EQ)
            parameters.insert(head, builder.parameter(_COUNT))
            results.insert(0, ops.select(again, lift(int(Kind.NORMAL)), kind))
        if head:
            results.insert(0, ops.add(turn.parameters[0], lift(1)))
        if returned is not None:
            parameters += [builder.parameter(value.type) for value in returned.values]
            results += returned.following(turn.returned)
        return builder.region(parameters, results)

    def _condition(self, types: Sequence[TensorType], exits: bool) -> Region:
        with Trace() as trace:
            parameters = [trace.builder.parameter(type_) for type_ in types]
            rest = list(parameters)
            tests: list[Var] = []
            if self.turns.count is not None:
                tests.append(ops.compare(rest.pop(0), lift(self.turns.count), Direction.LT))
            if exits:
                tests.append(ops.compare(rest.pop(0), lift(int(Kind.NORMAL)), Direction.EQ))
            if self.turns.test is not None:
                self.cells.write(self._state([wrap(var) for var in rest]))
                tests.append(condition(self.turns.test()))
            test = tests[0]
            for other in tests[1:]:
                test = ops.and_(test, other)
            return trace.builder.region(parameters, [test])

    # --- afterwards ---------------------------------------------------------------------------------

    def _finished(self, turn: _Turn, returned: _Carried | None, results: list[Var], exits: Sequence[Kind]) -> Signal:
        tensors: list[Any] = list(tensors_of(results))
        kind = tensors.pop(0) if exits else None
        kinds = self._kinds(turn, exits)
        after = self._state(tensors)
        for variable in self.carried:
            value = content(after[variable.name])
            unset = variable.name in kinds.get(Kind.NORMAL, kinds.get(Kind.BREAK, ()))
            after[variable.name] = Unset(variable.name, self._why(variable.name), value) if unset else value
        for name, value in self.before.items():
            carried = any(variable.name == name for variable in self.carried)
            if not carried and turn.ends[name] is not value:
                whys = turn.ends[name].why if isinstance(turn.ends[name], Unset) else ""
                after[name] = Unset(name, whys or self._why(name))
        self.cells.write(after)
        count = sum(len(variable.values) for variable in self.carried)
        value = MISSING if returned is None else returned.arranged(tensors[count:])
        return Signal(kinds, kind if len(kinds) > 1 else None, value, frozenset(v.name for v in self.carried))

    def _kinds(self, turn: _Turn, exits: Sequence[Kind]) -> dict[Kind, frozenset[str]]:
        """How the loop ends, and which variables have no value then."""
        again = [kind for kind in turn.signal.kinds if kind not in exits]
        lost: set[str] = set()
        early: set[str] = set()
        for variable in self.carried:
            unset = any(turn.signal.unset(kind, variable.name, turn.ends) for kind in again)
            if unset and not variable.unset:
                self._end(variable, {variable.name: Unset(variable.name)})
            if unset or (variable.unset and not self.turns.surely):
                lost.add(variable.name)
            if Kind.BREAK in exits and turn.signal.unset(Kind.BREAK, variable.name, turn.ends):
                early.add(variable.name)
        kinds = {} if self.turns.endless else {Kind.NORMAL: frozenset(lost)}
        if Kind.BREAK in exits:
            kinds[Kind.BREAK] = frozenset(early)
        if Kind.RETURN in exits:
            kinds[Kind.RETURN] = frozenset()
        return kinds


def _zeros(name: str, value: Any) -> _Carried:
    """A variable that has no value before the loop, of the type of `value`, which a turn gave it."""
    leaves, tree = pytree.flatten(value)
    builder = current().builder
    numeric = [leaf for leaf in leaves if is_numeric(leaf)]
    fixed = [MISSING if is_numeric(leaf) else leaf for leaf in leaves]
    values = [ops.full(builder, type_of(leaf), 0) for leaf in numeric]
    return _Carried(name, tree, fixed, values, list(map(is_scalar, numeric)), [None] * len(numeric), unset=True)
