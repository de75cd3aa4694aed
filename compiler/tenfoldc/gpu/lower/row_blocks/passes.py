"""Which pass over the columns folds and adds up what.

What needs the result of a fold waits for the pass after it, unless it has an online form (`online`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.row_blocks.elements import ChainElements, Fold, Sum
from tenfoldc.gpu.lower.row_blocks.online import Online, online
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Constant, Expr, Local, RowFold
from tenfoldc.loops.traversal import expressions
from tenfoldc.lower.folding import neutral
from tenfoldc.ops.reducer import Reducer, recognise


@frozen(eq=False)
class PlacedSum:
    """A sum in its pass: `element` is added up, after what was added up before is multiplied by `factor`."""

    sum: Sum
    element: Expr
    factor: Expr | None
    total: Local
    finished: Expr


class Passes:
    """The folds and sums along the columns, by pass."""

    def __init__(self, chain: ChainElements, sums: Sequence[Sum]) -> None:
        self._chain = chain
        self._wide = (chain.column, *chain.products)
        self._at: dict[Local, int] = {}
        self._row_folds: dict[Local, RowFold] = {}
        folds: dict[int, list[RowFold]] = {}
        placed: dict[int, list[PlacedSum]] = {}
        for fold in chain.folds:
            number, row_fold = self._place(fold)
            self._at[fold.result], self._row_folds[fold.result] = number, row_fold
            folds.setdefault(number, []).append(row_fold)
        for each in sums:
            number, own = self._place_sum(each)
            placed.setdefault(number, []).append(own)
        numbers = sorted({*folds, *placed})
        self.folds = [folds.get(number, []) for number in numbers]
        self.sums = [placed.get(number, []) for number in numbers]

    def _after(self, roots: Iterable[Expr]) -> int:
        """The first pass in which all folds that `roots` need are complete."""
        return max((self._at[e] + 1 for e in expressions(roots) if isinstance(e, Local) and e in self._at), default=0)

    def _online(self, element: Expr) -> Online | None:
        found = online(element, self._chain.folds, self._wide)
        return found if found is not None and found.leader.result in self._at else None

    def _place(self, fold: Fold) -> tuple[int, RowFold]:
        chain, dtype = self._chain, fold.result.dtype
        lhs, rhs, part, value, current = (Local(n, dtype) for n in ("lhs", "rhs", "part", "before", "current"))
        element, number, before = fold.element, self._after((fold.element,)), value
        form = self._online(element) if self._is_sum_from_zero(fold) else None
        total = Local("total", dtypes.f32)
        if form is not None and form.finish(total) is total:
            leader = self._row_folds[form.leader.result]
            number, element = self._at[leader.result], form.numerator(leader.current)
            before = scalar.mul(value, form.factor(leader.value, leader.current))
        row_fold = RowFold(
            element=element,
            neutral=neutral(fold.operation),
            lhs=lhs,
            rhs=rhs,
            combined=chain.combined(fold, lhs, rhs),
            part=part,
            value=value,
            init=fold.init,
            next=chain.combined(fold, before, part),
            current=current,
            result=fold.result,
        )
        return number, row_fold

    def _is_sum_from_zero(self, fold: Fold) -> bool:
        is_sum = recognise(fold.operation.regions[0]) is Reducer.SUM and fold.result.dtype == dtypes.f32
        return is_sum and isinstance(fold.init, Constant) and fold.init.value == 0

    def _place_sum(self, each: Sum) -> tuple[int, PlacedSum]:
        total = Local("total", dtypes.f32)
        form = self._online(each.element)
        if form is not None:
            leader, finished = self._row_folds[form.leader.result], form.finish(total)
            number = self._at[leader.result]
            if self._after((finished,)) <= number + 1:
                factor = form.factor(leader.value, leader.current)
                return number, PlacedSum(each, form.numerator(leader.current), factor, total, finished)
        return self._after((each.element,)), PlacedSum(each, each.element, None, total, total)
