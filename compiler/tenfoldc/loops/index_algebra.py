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
from tenfoldc.loops.ir import Apply, Axis, Constant, Expr, Primitive

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

    def declare(self, axis: Axis, extent: int | None) -> Axis:
        """Let `axis` run from 0 to `extent` - 1, or, where that is None, as far as it will."""
        self._ranges[axis] = (0, _UNKNOWN[1] if extent is None else (extent - 1 if extent else 1))
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
        operands = [self.form(operand) for operand in expression.operands]
        match expression.primitive, operands:
            case Primitive.ADD, [left, right]:
                return self._sum(left, right)
            case Primitive.SUB, [left, right]:
                return self._sum(left, right, -1)
            case Primitive.NEG, [operand]:
                return self._sum(Affine((), 0), operand, -1)
            case Primitive.MUL, [left, right]:
                return self._product(left, right)
            case (Primitive.DIV | Primitive.REM | Primitive.MIN | Primitive.MAX) as primitive, [left, right]:
                return self._bounded(primitive, left, right)
            case _:
                return self._atom_form(expression)

    def _atom_form(self, atom: Expr) -> Affine:
        low, high = self._ranges.get(atom, _UNKNOWN)
        if low == high:
            return Affine((), low)
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

    def _product(self, left: Affine, right: Affine) -> Affine:
        if left.terms and right.terms:
            return self._new_atom(Primitive.MUL, (left, right), _UNKNOWN)
        variable, factor = (left, right.constant) if left.terms else (right, left.constant)
        return self._sum(Affine((), 0), variable, factor)

    def _bounded(self, primitive: Primitive, left: Affine, right: Affine) -> Affine:
        if primitive in (Primitive.MIN, Primitive.MAX):
            return self._extreme(primitive, left, right)
        if right.terms or right.constant <= 0 or self.range_of(left)[0] < 0:
            return self._new_atom(primitive, (left, right), _UNKNOWN)
        rule = self._quotient if primitive is Primitive.DIV else self._remainder
        return rule(left, right.constant)

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
        if low >= 0 and high < divisor:
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
                    return self._remainder(self._quotient(inner, divisor), by.constant // divisor)
        return self._new_atom(Primitive.DIV, (form, Affine((), divisor)), bounds)

    def _remainder(self, form: Affine, divisor: int) -> Affine:
        _, rest = self._split(form, divisor)
        low, high = self.range_of(rest)
        if low < 0:
            rest = form
            low, high = self.range_of(form)
        if low >= 0 and high < divisor:
            return rest
        if rest.constant == 0 and len(rest.terms) == 1 and rest.terms[0][1] == 1:
            atom = rest.terms[0][0]
            if isinstance(atom, Apply) and atom.primitive is Primitive.REM:
                inner, by = (self.form(operand) for operand in atom.operands)
                if not by.terms and by.constant % divisor == 0:
                    return self._remainder(inner, divisor)
        return self._new_atom(Primitive.REM, (rest, Affine((), divisor)), (0, divisor - 1))

    def _extreme(self, primitive: Primitive, left: Affine, right: Affine) -> Affine:
        (low, high), (other_low, other_high) = self.range_of(left), self.range_of(right)
        left_is_least, right_is_least = high <= other_low, other_high <= low
        if left_is_least or right_is_least:
            return left if left_is_least == (primitive is Primitive.MIN) else right
        choose = min if primitive is Primitive.MIN else max
        return self._new_atom(primitive, (left, right), (choose(low, other_low), choose(high, other_high)))


def _all_or_none(always: bool, never: bool) -> bool | None:
    return True if always else (False if never else None)


_TESTS: dict[Primitive, Callable[[int, int], bool | None]] = {
    Primitive.LT: lambda low, high: _all_or_none(high < 0, low >= 0),
    Primitive.LE: lambda low, high: _all_or_none(high <= 0, low > 0),
    Primitive.GT: lambda low, high: _all_or_none(low > 0, high <= 0),
    Primitive.GE: lambda low, high: _all_or_none(low >= 0, high < 0),
}
"""What the range of x - y says of `x < y` and the like."""
