"""Index arithmetic in normal form: sums of multiples of axes, quotients and remainders, with known ranges.

Element rules write an index as they find it; composed, a reshape of a slice of a transpose becomes a tangle of
products, quotients, clamps and comparisons.  The algebra knows how far every axis runs and brings such an
expression into one form: equal indices become one and the same expression, `(i * 8 + j) / 8` becomes `i` where j < 8,
and a clamp that never acts disappears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Axis, Call, Constant, Expr, Load, Primitive

_UNKNOWN = (-(2**62), 2**62)


class Affine(NamedTuple):
    """`constant` plus the sum of coefficient times atom; an atom is any expression that is not such a sum."""

    terms: tuple[tuple[Expr, int], ...]
    constant: int

    def coefficient(self, atom: Expr) -> int:
        """The coefficient of `atom`, 0 where it does not occur."""
        return next((coefficient for term, coefficient in self.terms if term is atom), 0)


class IndexAlgebra:
    """Normal forms of i64 expressions over axes whose extents were declared."""

    def __init__(self) -> None:
        self._forms: dict[Expr, Affine] = {}
        self._expressions: dict[Affine, Expr] = {}
        self._atoms: dict[tuple[Primitive, tuple[Expr, ...]], Expr] = {}
        self._ranges: dict[Expr, tuple[int, int]] = {}
        self._serial: dict[Expr, int] = {}

    def declare(self, axis: Axis, extent: int) -> Axis:
        """Let `axis` run from 0 to `extent` - 1."""
        self._ranges[axis] = (0, max(extent - 1, 0))
        return axis

    def simplify(self, expression: Expr) -> Expr:
        """The normal form; equal forms are the same object."""
        return self.expression(self.form(expression))

    def simplify_all(self, index: Iterable[Expr]) -> tuple[Expr, ...]:
        return tuple(self.simplify(expression) for expression in index)

    def range_of(self, form: Affine) -> tuple[int, int]:
        """The least and the greatest value, as far as known."""
        low = high = form.constant
        for atom, coefficient in form.terms:
            bounds = [bound * coefficient for bound in self._ranges.get(atom, _UNKNOWN)]
            low, high = low + min(bounds), high + max(bounds)
        return low, high

    def expression(self, form: Affine) -> Expr:
        """The expression of a form: the largest strides first, the constant last."""
        known = self._expressions.get(form)
        if known is not None:
            return known
        result: Expr = scalar.index(0)
        for atom, coefficient in sorted(form.terms, key=lambda term: -abs(term[1])):
            result = scalar.add(result, scalar.mul(atom, scalar.index(coefficient)))
        result = scalar.add(result, scalar.index(form.constant))
        self._expressions[form] = result
        self._forms[result] = form
        return result

    def form(self, expression: Expr) -> Affine:
        """The normal form of an i64 expression."""
        known = self._forms.get(expression)
        if known is None:
            known = self._forms[expression] = self._find_form(expression)
        return known

    def offset(self, index: Sequence[Expr], shape: Sequence[int]) -> Affine:
        """The row-major position of `index` in memory of `shape`."""
        total, stride = Affine((), 0), 1
        for position, size in zip(reversed(index), reversed(shape), strict=True):
            if size != 1:
                total = self._sum(total, self.form(position), stride)
            stride *= size
        return total

    def decide(self, condition: Expr) -> bool | None:
        """Whether a comparison of indices, or a conjunction of such, holds everywhere or nowhere; None if neither."""
        if isinstance(condition, Constant):
            return bool(condition.value)
        if not isinstance(condition, Apply):
            return None
        if condition.primitive is Primitive.AND and condition.dtype.is_bool:
            verdicts = [self.decide(operand) for operand in condition.operands]
            return False if False in verdicts else (None if None in verdicts else True)
        test = _TESTS.get(condition.primitive)
        if test is None or condition.operands[0].dtype != dtypes.i64:
            return None
        difference = self._sum(self.form(condition.operands[0]), self.form(condition.operands[1]), -1)
        return test(*self.range_of(difference))

    def _find_form(self, expression: Expr) -> Affine:
        if isinstance(expression, Constant):
            return Affine((), int(expression.value))
        if not isinstance(expression, Apply) or expression.dtype != dtypes.i64:
            return self._atom_form(expression)
        rule = _RULES.get(expression.primitive)
        return self._atom_form(expression) if rule is None else rule(self, expression)

    def _atom_form(self, atom: Expr) -> Affine:
        self._serial.setdefault(atom, len(self._serial))
        return Affine(((atom, 1),), 0)

    def _new_atom(self, primitive: Primitive, forms: Sequence[Affine], bounds: tuple[int, int]) -> Affine:
        if bounds[0] == bounds[1]:
            return Affine((), bounds[0])
        operands = tuple(self.expression(form) for form in forms)
        key = (primitive, operands)
        atom = self._atoms.get(key)
        if atom is None:
            atom = self._atoms[key] = Apply(primitive, operands, dtypes.i64)
            self._ranges[atom] = bounds
            self._forms[atom] = self._atom_form(atom)
        return self._forms[atom]

    def _sum(self, left: Affine, right: Affine, factor: int = 1) -> Affine:
        """`left` + `factor` * `right`, with quotients and remainders of one dividend put together again."""
        coefficients = dict(left.terms)
        for atom, coefficient in right.terms:
            coefficients[atom] = coefficients.get(atom, 0) + factor * coefficient
        total = self._collect(coefficients, left.constant + factor * right.constant)
        for atom, coefficient in total.terms:
            if not (isinstance(atom, Apply) and atom.primitive is Primitive.REM):
                continue
            dividend, divisor = (self.form(operand) for operand in atom.operands)
            quotient = self._quotient(dividend, divisor.constant)
            if len(quotient.terms) == 1 and quotient.constant == 0:
                whole, scale = quotient.terms[0]
                if scale == 1 and coefficients.get(whole, 0) == coefficient * divisor.constant:
                    del coefficients[whole], coefficients[atom]
                    return self._sum(self._collect(coefficients, total.constant), dividend, coefficient)
        return total

    def _collect(self, coefficients: dict[Expr, int], constant: int) -> Affine:
        terms = [(atom, coefficient) for atom, coefficient in coefficients.items() if coefficient]
        terms.sort(key=lambda term: self._serial[term[0]])
        return Affine(tuple(terms), constant)

    def _add(self, expression: Apply) -> Affine:
        left, right = expression.operands
        return self._sum(self.form(left), self.form(right))

    def _subtract(self, expression: Apply) -> Affine:
        left, right = expression.operands
        return self._sum(self.form(left), self.form(right), -1)

    def _negate(self, expression: Apply) -> Affine:
        return self._sum(Affine((), 0), self.form(expression.operands[0]), -1)

    def _multiply(self, expression: Apply) -> Affine:
        left, right = (self.form(operand) for operand in expression.operands)
        if left.terms and right.terms:
            return self._new_atom(Primitive.MUL, (left, right), _UNKNOWN)
        variable, factor = (left, right.constant) if left.terms else (right, left.constant)
        return self._sum(Affine((), 0), variable, factor)

    def _divide(self, expression: Apply) -> Affine:
        left, right = (self.form(operand) for operand in expression.operands)
        if right.terms or right.constant <= 0 or self.range_of(left)[0] < 0:
            return self._new_atom(Primitive.DIV, (left, right), _UNKNOWN)
        return self._quotient(left, right.constant)

    def _split(self, form: Affine, divisor: int) -> tuple[Affine, Affine]:
        """`form` as `divisor` * whole + rest, where rest takes the terms that `divisor` does not divide."""
        whole = tuple((atom, c // divisor) for atom, c in form.terms if c % divisor == 0)
        rest = tuple((atom, c) for atom, c in form.terms if c % divisor)
        return Affine(whole, form.constant // divisor), Affine(rest, form.constant % divisor)

    def _quotient(self, form: Affine, divisor: int) -> Affine:
        whole, rest = self._split(form, divisor)
        low, high = self.range_of(rest)
        if low < 0:
            whole, rest = Affine((), 0), form
            low, high = self.range_of(form)
        if 0 <= low and high < divisor:
            return whole
        return self._sum(whole, self._quotient_atom(rest, divisor, (low // divisor, high // divisor)))

    def _quotient_atom(self, form: Affine, divisor: int, bounds: tuple[int, int]) -> Affine:
        if form.constant == 0 and len(form.terms) == 1 and form.terms[0][1] == 1:
            atom = form.terms[0][0]
            if isinstance(atom, Apply) and atom.primitive in (Primitive.DIV, Primitive.REM):
                inner, by = (self.form(operand) for operand in atom.operands)
                if not by.terms and by.constant > 0 and atom.primitive is Primitive.DIV:
                    return self._quotient(inner, by.constant * divisor)
                if not by.terms and by.constant % divisor == 0 and atom.primitive is Primitive.REM:
                    return self._remainder_of(self._quotient(inner, divisor), by.constant // divisor)
        return self._new_atom(Primitive.DIV, (form, Affine((), divisor)), bounds)

    def _remainder(self, expression: Apply) -> Affine:
        left, right = (self.form(operand) for operand in expression.operands)
        if right.terms or right.constant <= 0 or self.range_of(left)[0] < 0:
            return self._new_atom(Primitive.REM, (left, right), _UNKNOWN)
        return self._remainder_of(left, right.constant)

    def _remainder_of(self, form: Affine, divisor: int) -> Affine:
        _, rest = self._split(form, divisor)
        low, high = self.range_of(rest)
        if low < 0:
            rest = form
            low, high = self.range_of(form)
        if 0 <= low and high < divisor:
            return rest
        if rest.constant == 0 and len(rest.terms) == 1 and rest.terms[0][1] == 1:
            atom = rest.terms[0][0]
            if isinstance(atom, Apply) and atom.primitive is Primitive.REM:
                inner, by = (self.form(operand) for operand in atom.operands)
                if not by.terms and by.constant % divisor == 0:
                    return self._remainder_of(inner, divisor)
        return self._new_atom(Primitive.REM, (rest, Affine((), divisor)), (0, divisor - 1))

    def _extreme(self, expression: Apply) -> Affine:
        left, right = (self.form(operand) for operand in expression.operands)
        (low, high), (other_low, other_high) = self.range_of(left), self.range_of(right)
        if expression.primitive is Primitive.MIN:
            if high <= other_low:
                return left
            if other_high <= low:
                return right
            return self._new_atom(Primitive.MIN, (left, right), (min(low, other_low), min(high, other_high)))
        if low >= other_high:
            return left
        if other_low >= high:
            return right
        return self._new_atom(Primitive.MAX, (left, right), (max(low, other_low), max(high, other_high)))


_RULES: dict[Primitive, Callable[[IndexAlgebra, Apply], Affine]] = {
    Primitive.ADD: IndexAlgebra._add,  # pyright: ignore[reportPrivateUsage]
    Primitive.SUB: IndexAlgebra._subtract,  # pyright: ignore[reportPrivateUsage]
    Primitive.NEG: IndexAlgebra._negate,  # pyright: ignore[reportPrivateUsage]
    Primitive.MUL: IndexAlgebra._multiply,  # pyright: ignore[reportPrivateUsage]
    Primitive.DIV: IndexAlgebra._divide,  # pyright: ignore[reportPrivateUsage]
    Primitive.REM: IndexAlgebra._remainder,  # pyright: ignore[reportPrivateUsage]
    Primitive.MIN: IndexAlgebra._extreme,  # pyright: ignore[reportPrivateUsage]
    Primitive.MAX: IndexAlgebra._extreme,  # pyright: ignore[reportPrivateUsage]
}


def _all_or_none(always: bool, never: bool) -> bool | None:
    return True if always else (False if never else None)


_TESTS: dict[Primitive, Callable[[int, int], bool | None]] = {
    Primitive.LT: lambda low, high: _all_or_none(high < 0, low >= 0),
    Primitive.LE: lambda low, high: _all_or_none(high <= 0, low > 0),
    Primitive.GT: lambda low, high: _all_or_none(low > 0, high <= 0),
    Primitive.GE: lambda low, high: _all_or_none(low >= 0, high < 0),
}
"""What the range of x - y says of `x < y` and the like."""


def dependencies(roots: Iterable[Expr]) -> list[Expr]:
    """Every expression that `roots` are computed from, themselves included, each once; iterative, as chains are long."""
    seen: dict[Expr, None] = {}
    pending = list(roots)
    while pending:
        expression = pending.pop()
        if expression in seen:
            continue
        seen[expression] = None
        if isinstance(expression, Load):
            pending.extend(expression.index)
        elif isinstance(expression, Apply | Call):
            pending.extend(expression.operands)
    return list(seen)
