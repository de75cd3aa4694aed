"""Functions with a say in their own derivatives: `checkpoint`, `custom_jvp`, `custom_vjp`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

from tenfold import tree as pytree
from tenfold.control.regions import Leaves, Traced, require_same_tree, require_same_type, trace
from tenfold.eager import is_array
from tenfold.rewrite.convert import rewritten
from tenfold.tracing import current, here, is_scalar, lift, wrap
from tenfold.transforms.parts import callable_anywhere, name_of
from tenfold.tree import Tree
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import DeferredRegions, Region, captured
from tenfoldc.ir.op import Op
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.custom import CustomAttributes, floats


class _Operands:
    """The arguments of a call: tensors and numbers are operands, all else stays as it is."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._leaves, self.tree = pytree.flatten((args, kwargs))
        self.places = [n for n, leaf in enumerate(self._leaves) if is_array(leaf) or is_scalar(leaf)]
        self.values = [lift(self._leaves[place]) for place in self.places]
        for place in self.places:
            self._leaves[place] = None  # a program that is kept must not keep the tensors of its trace

    @property
    def types(self) -> list[TensorType]:
        return [value.type for value in self.values]

    def arguments(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with `tensors` for the operands."""
        leaves = list(self._leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        return pytree.unflatten(self.tree, leaves)

    def trace(self, function: Callable[..., Any], *, positional: bool = False) -> Traced:
        """`function` of these arguments as a region."""
        function = rewritten(function)

        def call(tensors: Sequence[Any]) -> object:
            args, kwargs = self.arguments(tensors)
            return function(*args) if positional else function(*args, **kwargs)

        return trace(call, self.types)


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, of which reverse mode keeps the arguments alone and computes the rest again on the way back.

    It trades time (one more run of `function`) for memory.  See `scan` for checkpoints within a loop.
    """

    def traced(*args: Any, **kwargs: Any) -> Any:
        operands = _Operands(args, kwargs)
        program = operands.trace(function)
        results = ops.checkpoint(operands.values, program.region, current().builder)
        return program.results.whole(results)

    return callable_anywhere(function, traced)


class _Custom:
    """What `custom_jvp` and `custom_vjp` make of a function; it is called as the function is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._call = callable_anywhere(function, lambda *args, **kwargs: self._traced(*args, **kwargs))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def _traced(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @property
    def _name(self) -> str:
        return name_of(self._function)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Operands:
        if kwargs:
            raise ArgumentError(
                f"{self._name}: a function with a derivative of its own takes no keyword arguments",
                where=here(),
                mend="give them by position",
            )
        return _Operands(args, {})


def _agreeing(name: str, what: str, given: Leaves, wanted: Leaves, label: str) -> None:
    require_same_tree(name, what, given.tree, label, wanted.tree)
    for leaf, own, other in zip(wanted.names("result"), given.types, wanted.types, strict=True):
        require_same_type(name, f"{leaf} of {what}", own, f"that of {label}", other)


class custom_jvp(_Custom):  # noqa: N801 - the field's name
    """A decorator for a function whose derivative the user gives, with `f.defjvp(rule)`.

    `rule(primals, tangents)`, tuples of arguments and their tangents, gives the result and its tangent, which must be
    linear in the tangents.  Reverse mode uses its transpose.  Tangents of integers and bools are None.
    """

    _rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Use `rule` from now on; gives `rule`, so that this serves as a decorator."""
        self._rule = rule
        return rule

    def _traced(self, *args: Any, **kwargs: Any) -> Any:
        operands = self._bound(args, kwargs)
        program = operands.trace(self._function)
        if self._rule is None:
            raise ArgumentError(f"{self._name}: custom_jvp has no rule", where=here(), mend="give one with defjvp")
        rules = DeferredRegions(lambda: (self._derivative(operands, program.results),))
        results = _emit(ops.CUSTOM_JVP, operands.values, program.region, rules)
        return program.results.whole(results)

    def _derivative(self, operands: _Operands, results: Leaves) -> Region:
        """The rule as a region: from operands and the tangents of floats to results and theirs."""
        rule = self._rule
        assert rule is not None
        moving = floats(operands.types)
        count = len(operands.values)

        def derivative(tensors: Sequence[Any]) -> object:
            tangents: list[Any] = [None] * count
            for place, tangent in zip(moving, tensors[count:], strict=True):
                tangents[place] = tangent
            primals, _ = operands.arguments(tensors[:count])
            moved, _ = operands.arguments(tangents)
            return rule(primals, moved)

        traced = trace(derivative, [*operands.types, *(operands.types[place] for place in moving)])
        return _closed(self._checked(traced, results))

    def _checked(self, rule: Traced, results: Leaves) -> Region:
        """The rule's region, which gives the results and the tangents of those that are floats."""
        if rule.results.tree.kind is not tuple or len(rule.results.tree.children) != 2:
            raise ArgumentError(f"{self._name}: the rule must return (result, tangent)", where=here())
        count = len(results.values)
        value, tangent = rule.results.tree.children
        values, tangents = rule.results.values[:count], rule.results.values[count:]
        weak = (False,) * count
        _agreeing(self._name, "the rule", Leaves(value, values, weak), results, "the function")
        _agreeing(self._name, "the rule's tangent", Leaves(tangent, tangents, weak), results, "the function")
        kept = (tangents[place].value for place in floats(results.types))
        return Region(rule.region.parameters, rule.region.operations, (*(v.value for v in values), *kept))


class custom_vjp(_Custom):  # noqa: N801 - the field's name
    """A decorator for a function whose reverse mode the user gives, with `f.defvjp(forward, backward)`.

    `forward(*args)` gives the result and residuals; `backward(residuals, cotangent)` gives a tuple, the cotangent of
    each argument (None for zero).  Forward mode is refused: `custom_jvp` serves both.
    """

    _rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Use the rules `forward` and `backward` from now on."""
        self._rules = forward, backward

    def _traced(self, *args: Any, **kwargs: Any) -> Any:
        operands = self._bound(args, kwargs)
        program = operands.trace(self._function)
        if self._rules is None:
            raise ArgumentError(f"{self._name}: custom_vjp has no rules", where=here(), mend="give them with defvjp")
        rules = DeferredRegions(lambda: self._both(operands, program.results))
        results = _emit(ops.CUSTOM_VJP, operands.values, program.region, rules)
        return program.results.whole(results)

    def _both(self, operands: _Operands, results: Leaves) -> tuple[Region, Region]:
        """The rules as regions."""
        assert self._rules is not None
        forward, backward = self._rules
        there = operands.trace(forward, positional=True)
        if there.results.tree.kind is not tuple or len(there.results.tree.children) != 2:
            raise ArgumentError(f"{self._name}: the forward rule must return (result, residuals)", where=here())
        value_tree, kept_tree = there.results.tree.children
        count = len(results.values)
        own = Leaves(value_tree, there.results.values[:count], (False,) * count)
        _agreeing(self._name, "the forward rule", own, results, "the function")
        back = self._backward(backward, operands, results, kept_tree, there.results.types[count:])
        return _closed(there.region), _closed(back)

    def _backward(
        self,
        backward: Callable[..., Any],
        operands: _Operands,
        results: Leaves,
        kept_tree: Tree,
        kept: Sequence[TensorType],
    ) -> Region:
        """From residuals and the cotangents of float results to those of float operands."""
        moved = floats(results.types)

        def pull(tensors: Sequence[Any]) -> object:
            cotangents: list[Any] = [None] * len(results.values)
            for place, cotangent in zip(moved, tensors[len(kept) :], strict=True):
                cotangents[place] = cotangent
            residuals = pytree.unflatten(kept_tree, tensors[: len(kept)])
            returned = backward(residuals, pytree.unflatten(results.tree, cotangents))
            return self._cotangents(returned, operands)

        return trace(pull, [*kept, *(results.types[place] for place in moved)]).region

    def _cotangents(self, returned: Any, operands: _Operands) -> list[Any]:
        """A cotangent for each operand that is of floats."""
        args_tree = operands.tree.children[0]
        if not isinstance(returned, tuple) or len(returned) != len(args_tree.children):  # pyright: ignore
            raise ArgumentError(
                f"{self._name}: the backward rule must return a tuple, one cotangent for each of the"
                f" {len(args_tree.children)} arguments",
                where=here(),
            )
        by_leaf: list[Any] = []
        for part, value in zip(args_tree.children, returned, strict=True):  # pyright: ignore
            leaves = [None] * part.leaves if value is None else pytree.flatten(cast("object", value), _is_none)[0]
            by_leaf += leaves
        found: list[Any] = []
        for place in floats(operands.types):
            type_, given = operands.types[place], by_leaf[operands.places[place]]
            var = ops.full(current().builder, type_, 0) if given is None else lift(given, type_.dtype)
            require_same_type(self._name, "a cotangent from the backward rule", var.type, "its argument", type_)
            found.append(wrap(var))
        return found


def _is_none(value: object) -> bool:
    return value is None


def _emit(op: Op[Any], operands: Sequence[Var], program: Region, rules: DeferredRegions) -> tuple[Var, ...]:
    return current().builder.emit(op, operands, CustomAttributes(rules), [_closed(program)])


def _closed(region: Region) -> Region:
    """`region`, which must not use values from around it: the rules know nothing of them."""
    if captured(region):
        raise ArgumentError(
            "a function with a derivative of its own uses a traced tensor from outside",
            where=here(),
            mend="give it as an argument",
        )
    return region
