"""Transformations of checkpoints and of programs with derivatives of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenfold_rt.errors import UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import NO_ATTRIBUTES, DeferredRegions, Operation, Region, Value
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.custom import (
    CHECKPOINT,
    CUSTOM_JVP,
    CUSTOM_VJP,
    OPTIMIZATION_BARRIER,
    CustomAttributes,
    floats,
    rule_for_jvp,
    rules_for_vjp,
)
from tenfoldc.transform import batch, forward, reverse
from tenfoldc.transform.activity import dependent, has_tangent, is_anything
from tenfoldc.transform.batch import Batch
from tenfoldc.transform.forward import Forward
from tenfoldc.transform.replay import Replay
from tenfoldc.transform.reverse import Cotangents, Pull, Reverse


def _float_values(values: Sequence[Value]) -> list[Value]:
    return [values[place] for place in floats([value.type for value in values])]


def _types(operation: Operation) -> tuple[list[TensorType], list[TensorType]]:
    return [value.type for value in operation.operands], [value.type for value in operation.results]


def _rules(operation: Operation) -> CustomAttributes:
    assert isinstance(operation.attributes, CustomAttributes)
    return operation.attributes


def _rule_for_jvp(operation: Operation) -> Region:
    return rule_for_jvp(*_types(operation), _rules(operation))


# --- forward mode ---------------------------------------------------------------------------------


def _jvp_checkpoint(walk: Forward, operation: Operation) -> None:
    """A checkpoint of the derivative."""
    (region,) = operation.regions
    moving = [place for place, operand in enumerate(operation.operands) if operand in walk.tangents]
    active = dependent(region, [region.parameters[place] for place in moving], has_tangent)
    inner = Forward(walk.replay.inside(), {}, active, walk.rules)
    parameters = inner.parameters(region.parameters, moving)
    inner.repeat(region)
    moved = inner.moving(region.results)
    again = inner.replay.builder.region(parameters, inner.doubled(region.results, moved))
    operands = walk.doubled(operation.operands, moving)
    results = walk.replay.builder.emit(CHECKPOINT, operands, NO_ATTRIBUTES, [again])
    walk.define(operation.results, moved, results)


def _jvp_custom(walk: Forward, operation: Operation) -> None:
    """The rule that the user gave."""
    rule = _rule_for_jvp(operation)
    tangents = [walk.some_tangent(value) for value in _float_values(operation.operands)]
    results = walk.replay.builder.inline(rule, [*walk.replay.vars(operation.operands), *tangents])
    walk.define(operation.results, floats([value.type for value in operation.results]), results)


def _jvp_custom_vjp(walk: Forward, operation: Operation) -> None:
    raise UnsupportedError(
        "custom_vjp: the function has a rule for reverse mode alone",
        mend="give the derivative with tn.custom_jvp, which serves both modes",
    )


def _jvp_barrier(walk: Forward, operation: Operation) -> None:
    moving = walk.moving(operation.operands)
    results = ops.optimization_barrier(walk.doubled(operation.operands, moving))
    walk.define(operation.results, moving, results)


JVP_RULES: forward.Rules = {
    CHECKPOINT: _jvp_checkpoint,
    CUSTOM_JVP: _jvp_custom,
    CUSTOM_VJP: _jvp_custom_vjp,
    OPTIMIZATION_BARRIER: _jvp_barrier,
}

# --- reverse mode ---------------------------------------------------------------------------------


def _vjp_checkpoint(walk: Reverse, operation: Operation) -> Pull:
    """Keep the operands alone; the pullback computes the rest again."""
    (region,) = operation.regions
    operands = walk.replay.repeat(operation).operands

    def pull(builder: Builder, outgoing: Sequence[Var | None]) -> Iterable[tuple[Value, Var | None]]:
        arguments = ops.optimization_barrier([builder.var(operand.value) for operand in operands])
        sources = [p for p, o in zip(region.parameters, operation.operands, strict=True) if o in walk.active]
        found = _pulled(walk, builder, region, arguments, sources, outgoing)
        return zip(operation.operands, map(found.get, region.parameters), strict=True)

    return pull


def _pulled(
    walk: Reverse,
    builder: Builder,
    region: Region,
    arguments: Sequence[Var],
    sources: Sequence[Value],
    cotangents: Sequence[Var | None],
) -> Cotangents:
    """The cotangents of `sources`, which are parameters of a closed region, from those of its results."""
    active = dependent(region, sources, has_tangent)
    inner = Reverse(Replay.of(builder, region, arguments), active, walk.rules, {})
    inner.forward(region)
    found = Cotangents(builder, inner)
    found.add(zip(region.results, cotangents, strict=True))
    inner.pull(found)
    return found


def _vjp_custom_jvp(walk: Reverse, operation: Operation) -> Pull:
    """The transpose of the rule, which is linear in the tangents: its pullback to them, wherever they are."""
    (program,) = operation.regions
    operands = walk.replay.vars(operation.operands)
    walk.replay.define(operation.results, walk.replay.builder.inline(program, operands))

    def pull(builder: Builder, outgoing: Sequence[Var | None]) -> Iterable[tuple[Value, Var | None]]:
        rule = _rule_for_jvp(operation)
        tangents = rule.parameters[len(operands) :]
        zeros = [ops.full(builder, tangent.type, 0) for tangent in tangents]
        arguments = [*(builder.var(operand.value) for operand in operands), *zeros]
        moved = floats([value.type for value in operation.results])
        cotangents = [*[None] * len(operation.results), *(outgoing[place] for place in moved)]
        found = _pulled(walk, builder, rule, arguments, tangents, cotangents)
        return zip(_float_values(operation.operands), map(found.get, tangents), strict=True)

    return pull


def _vjp_custom(walk: Reverse, operation: Operation) -> Pull:
    """The rules that the user gave."""
    there, back = rules_for_vjp(*_types(operation), _rules(operation))
    count = len(operation.results)
    operands = walk.replay.vars(operation.operands)
    computed = walk.replay.builder.inline(there, operands)
    walk.replay.define(operation.results, computed[:count])

    def pull(builder: Builder, outgoing: Sequence[Var | None]) -> Iterable[tuple[Value, Var | None]]:
        given = [builder.var(var.value) for var in computed[count:]]
        for place in floats([value.type for value in operation.results]):
            cotangent = outgoing[place]
            given.append(ops.full(builder, operation.results[place].type, 0) if cotangent is None else cotangent)
        return zip(_float_values(operation.operands), builder.inline(back, given), strict=True)

    return pull


def _vjp_barrier(walk: Reverse, operation: Operation) -> Pull:
    walk.replay.repeat(operation)
    return lambda _, outgoing: zip(operation.operands, outgoing, strict=True)


VJP_RULES: reverse.Rules = {
    CHECKPOINT: _vjp_checkpoint,
    CUSTOM_JVP: _vjp_custom_jvp,
    CUSTOM_VJP: _vjp_custom,
    OPTIMIZATION_BARRIER: _vjp_barrier,
}

# --- batching -------------------------------------------------------------------------------------


def _vmap_custom(walk: Batch, operation: Operation) -> None:
    """The same, of batches: all operands, results and what the regions exchange have a batch axis."""
    regions = [_batched(walk, region) for region in operation.regions]
    operands = [walk.batched(operand) for operand in operation.operands]
    attributes = operation.attributes
    if isinstance(attributes, CustomAttributes):
        rules = attributes.regions
        attributes = CustomAttributes(DeferredRegions(lambda: tuple(_batched(walk, region) for region in rules())))
    results = walk.replay.builder.emit(operation.op, operands, attributes, regions)
    walk.define(operation.results, results, [True] * len(results))


def _batched(walk: Batch, region: Region) -> Region:
    expected = dependent(region, region.parameters, is_anything)
    inner = Batch(walk.replay.inside(), set(), expected, walk.size, walk.rules)
    builder = inner.replay.builder
    parameters = [builder.parameter(p.type.with_shape((walk.size, *p.type.shape))) for p in region.parameters]
    inner.define(region.parameters, parameters, [True] * len(parameters))
    inner.repeat(region)
    return builder.region(parameters, [inner.batched(result) for result in region.results])


def _vmap_barrier(walk: Batch, operation: Operation) -> None:
    flags = [operand in walk.carried for operand in operation.operands]
    results = ops.optimization_barrier(walk.replay.vars(operation.operands))
    walk.define(operation.results, results, flags)


VMAP_RULES: batch.Rules = {
    CHECKPOINT: _vmap_custom,
    CUSTOM_JVP: _vmap_custom,
    CUSTOM_VJP: _vmap_custom,
    OPTIMIZATION_BARRIER: _vmap_barrier,
}
