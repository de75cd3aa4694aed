"""One scalar primitive as LLVM instructions, for every dtype that has it.

Nothing written here becomes a call to a library: where the target lacks an instruction, arithmetic takes
its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc.emit import halves
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.scalar_types import literal, overload, register_type
from tenfoldc.loops.ir import Apply, Primitive
from tenfoldc.target import Target


@frozen
class _Site:
    """One primitive to write: where, for which target, its node and its operands' names."""

    text: FunctionText
    target: Target
    node: Apply
    operands: Sequence[str]

    @property
    def source(self) -> DType:
        """The dtype of the last operand; all but SELECT's condition share it."""
        return self.node.operands[-1].dtype

    def instruction(self, opcode: str, dtype: DType, *operands: str) -> str:
        return self.text.pure(f"{opcode} {register_type(dtype)} {', '.join(operands)}")

    def intrinsic(self, name: str, dtype: DType, *operands: str) -> str:
        """A call of `llvm.NAME`, all of whose operands and result are of `dtype`."""
        kind = register_type(dtype)
        arguments = ", ".join(f"{kind} {operand}" for operand in operands)
        return self.text.pure(f"call {kind} @llvm.{name}.{overload(dtype)}({arguments})")


_Writer: TypeAlias = Callable[[_Site], str]


def write_primitive(text: FunctionText, target: Target, node: Apply, operands: Sequence[str]) -> str:
    """The name of `node`'s value; `UnsupportedError` where its dtype does not have the primitive."""
    return _WRITERS[node.primitive](_Site(text, target, node, operands))


def _unsupported(site: _Site) -> UnsupportedError:
    return UnsupportedError(f"primitive {site.node.primitive.value} has no meaning for {site.source.name}")


def _arithmetic(floating: str, integer: str, boolean: str) -> _Writer:
    def write(site: _Site) -> str:
        if site.source.is_float:
            flag = " reassoc" if site.node.reassociate else ""
            return site.instruction(floating + flag, site.source, *site.operands)
        return site.instruction(boolean if site.source.is_bool else integer, site.source, *site.operands)

    return write


def _division(floating: str, signed: str, unsigned: str) -> _Writer:
    """`floating` is empty for a remainder: LLVM would call `fmod`."""

    def write(site: _Site) -> str:
        if site.source.is_bool or (site.source.is_float and not floating):
            raise _unsupported(site)
        if site.source.is_float:
            return site.instruction(floating, site.source, *site.operands)
        name = site.instruction(signed if site.source.is_signed else unsigned, site.source, *site.operands)
        if site.source == dtypes.i64 and site.operands[1].isdecimal():
            known = site.text.quotients if site.node.primitive is Primitive.DIV else site.text.remainders
            known[name] = (site.operands[0], int(site.operands[1]))
        return name

    return write


def _extremum(floating: str, signed: str, unsigned: str, boolean: str) -> _Writer:
    def write(site: _Site) -> str:
        if site.source.is_bool:
            return site.instruction(boolean, site.source, *site.operands)
        if site.source.is_float:
            return site.intrinsic(floating, site.source, *site.operands)
        return site.intrinsic(signed if site.source.is_signed else unsigned, site.source, *site.operands)

    return write


def _comparison(floating: str, signed: str, unsigned: str) -> _Writer:
    def write(site: _Site) -> str:
        if site.source.is_float:
            return site.instruction(f"fcmp {floating}", site.source, *site.operands)
        return site.instruction(f"icmp {signed if site.source.is_signed else unsigned}", site.source, *site.operands)

    return write


def _bitwise(opcode: str) -> _Writer:
    def write(site: _Site) -> str:
        if site.source.is_float:
            raise _unsupported(site)
        return site.instruction(opcode, site.source, *site.operands)

    return write


def _float_only(intrinsic: str) -> _Writer:
    def write(site: _Site) -> str:
        if not site.source.is_float:
            raise _unsupported(site)
        return site.intrinsic(intrinsic, site.source, *site.operands)

    return write


def _fused_multiply_add(site: _Site) -> str:
    return _fused(site, site.source, *site.operands)


def _fused(site: _Site, dtype: DType, x: str, y: str, z: str) -> str:
    if dtype.is_float and site.target.has_fma:
        return site.intrinsic("fma", dtype, x, y, z)
    multiply, add = ("fmul", "fadd") if dtype.is_float else ("mul", "add")
    return site.instruction(add, dtype, site.instruction(multiply, dtype, x, y), z)


def _product_error(site: _Site) -> str:
    """Without a fused instruction, from the exact product of f64 for f32, and of halves for f64 (Dekker, 1971)."""
    if not site.source.is_float:
        raise _unsupported(site)
    if site.target.has_fma:
        x, y, product = site.operands
        return site.intrinsic("fma", site.source, x, y, site.instruction("fneg", site.source, product))
    if site.source == dtypes.f32:
        x, y, product = (site.text.pure(f"fpext float {operand} to double") for operand in site.operands)
        exact = site.instruction("fmul", dtypes.f64, x, y)
        difference = site.instruction("fsub", dtypes.f64, exact, product)
        return site.text.pure(f"fptrunc double {difference} to float")
    (x, x_low), (y, y_low) = (_halved(site, operand) for operand in site.operands[:2])
    error = site.instruction("fsub", dtypes.f64, site.instruction("fmul", dtypes.f64, x, y), site.operands[2])
    for first, second in ((x, y_low), (x_low, y), (x_low, y_low)):
        error = site.instruction("fadd", dtypes.f64, error, site.instruction("fmul", dtypes.f64, first, second))
    return error


def _halved(site: _Site, x: str) -> tuple[str, str]:
    """An f64 as a sum of two of at most 27 bits."""
    bits = site.text.pure(f"bitcast double {x} to i64")
    coarse = site.text.pure(f"and i64 {bits}, {-(2**27)}")
    high = site.text.pure(f"bitcast i64 {coarse} to double")
    return high, site.instruction("fsub", dtypes.f64, x, high)


def _negate(site: _Site) -> str:
    if site.source.is_float:
        return site.instruction("fneg", site.source, *site.operands)
    return site.instruction("sub", site.source, literal(0, site.source), *site.operands)


def _absolute(site: _Site) -> str:
    if site.source.is_float:
        return site.intrinsic("fabs", site.source, *site.operands)
    if not site.source.is_signed:
        return site.operands[0]
    kind = register_type(site.source)
    return site.text.pure(f"call {kind} @llvm.abs.{kind}({kind} {site.operands[0]}, i1 false)")


def _not(site: _Site) -> str:
    if site.source.is_float:
        raise _unsupported(site)
    ones = literal(True if site.source.is_bool else -1, site.source)
    return site.instruction("xor", site.source, *site.operands, ones)


def _shift(signed: str, unsigned: str) -> _Writer:
    """A shift.  The back end for GPUs takes a guarded one by 64 bits for one by the lower 32: it is limited before."""

    def write(site: _Site) -> str:
        if not site.source.is_integer:
            raise _unsupported(site)
        x, count = site.operands
        if site.target.is_gpu and site.source.bits == 64:
            count = site.text.pure(f"call i64 @llvm.umin.i64(i64 {count}, i64 63)")
        return site.instruction(signed if site.source.is_signed else unsigned, site.source, x, count)

    return write


def _select(site: _Site) -> str:
    condition, on_true, on_false = site.operands
    kind = register_type(site.source)
    return site.text.pure(f"select i1 {condition}, {kind} {on_true}, {kind} {on_false}")


def _cast(site: _Site, opcode: str, to: DType) -> str:
    source, to_type = register_type(site.source), register_type(to)
    return site.text.pure(f"{opcode} {source} {site.operands[0]} to {to_type}")


def _convert_half(site: _Site) -> str:
    source, to, (x,) = site.source, site.node.dtype, site.operands
    if to == dtypes.f32:
        return halves.widened(site.text, site.target, source, x)
    if source == dtypes.f64:
        x = halves.rounded_to_odd(site.text, x)
    elif source != dtypes.f32:
        raise _unsupported(site)
    return halves.narrowed(site.text, site.target, to, x)


def _convert(site: _Site) -> str:
    source, to = site.source, site.node.dtype
    if source == to:
        return site.operands[0]
    if source.is_half or to.is_half:
        return _convert_half(site)
    if to.is_bool:
        zero = literal(0, source)
        return site.instruction("fcmp une" if source.is_float else "icmp ne", source, site.operands[0], zero)
    if source.is_float and to.is_float:
        return _cast(site, "fpext" if to.bits > source.bits else "fptrunc", to)
    if to.is_float:
        return _cast(site, "sitofp" if source.is_signed else "uitofp", to)
    if source.is_float:
        return _float_to_integer(site, to)
    if source.is_bool:
        return _cast(site, "zext", to)
    if to.bits == source.bits:
        return site.operands[0]
    if to.bits < source.bits:
        return _cast(site, "trunc", to)
    return _cast(site, "sext" if source.is_signed else "zext", to)


def _float_to_integer(site: _Site, to: DType) -> str:
    """The integer next towards zero, else the nearest that there is; 0 for NaN.

    LLVM does this for x86 element by element, so that vectors are made of what vectors have.
    """
    source, (x,) = site.source, site.operands
    name = "fptosi" if to.is_signed else "fptoui"
    is_wide = to.bits == 64 or (source.bits == 64 and to == dtypes.u32)
    if not site.target.triple.startswith("x86_64") or (is_wide and not _rounds_in_hardware(site.target)):
        kind, operand = register_type(to), f"{register_type(source)} {x}"
        return site.text.pure(f"call {kind} @llvm.{name}.sat.{overload(to)}.{overload(source)}({operand})")
    float_type, integer_type = register_type(source), register_type(to)
    bits = to.bits - 1 if to.is_signed else to.bits
    beyond = max(0, bits - (24 if source.bits == 32 else 53))
    least, most = -(1 << bits) if to.is_signed else 0, (1 << bits) - (1 << beyond)
    is_number = site.instruction("fcmp ord", source, x, x)
    inside = site.text.pure(f"select i1 {is_number}, {float_type} {x}, {float_type} {literal(0.0, source)}")
    for comparison, limit in (("ogt", literal(float(least), source)), ("olt", literal(float(most), source))):
        is_within = site.instruction(f"fcmp {comparison}", source, inside, limit)
        inside = site.text.pure(f"select i1 {is_within}, {float_type} {inside}, {float_type} {limit}")
    if is_wide:
        result = _wide_integer(site, inside, to)
    elif to.bits < 32:
        result = _narrow_integer(site, site.text.pure(f"fptosi {float_type} {inside} to i32"), to)
    else:
        result = site.text.pure(f"{name} {float_type} {inside} to {integer_type}")
    if not beyond:
        return result
    # the largest integer is no float, and the next larger one is
    is_above = site.instruction("fcmp oge", source, x, literal(float(1 << bits), source))
    return site.text.pure(
        f"select i1 {is_above}, {integer_type} {literal((1 << bits) - 1, to)}, {integer_type} {result}"
    )


def _narrow_integer(site: _Site, x: str, to: DType) -> str:
    """An i32 in the range of a shorter type as one; said so again, LLVM takes instructions that hold it there."""
    text = site.text
    least, most = (-(1 << to.bits - 1), (1 << to.bits - 1) - 1) if to.is_signed else (0, (1 << to.bits) - 1)
    x = text.pure(f"call i32 @llvm.smax.i32(i32 {x}, i32 {least})")
    x = text.pure(f"call i32 @llvm.smin.i32(i32 {x}, i32 {most})")
    return text.pure(f"trunc i32 {x} to {register_type(to)}")


def _wide_integer(site: _Site, x: str, to: DType) -> str:
    """The integer of 64 bits, or of 32 without a sign, next towards zero of a float in its range.

    A number below 2^51 added to 3 * 2^51 has itself in its lower bits: so come the upper and the lower half.
    """
    text, f64 = site.text, dtypes.f64
    shift = literal(3.0 * 2.0**51, f64)
    x = x if site.source == f64 else text.pure(f"fpext float {x} to double")
    whole = site.intrinsic("trunc", f64, x)

    def bits(value: str) -> str:
        return text.pure(f"bitcast double {site.instruction('fadd', f64, value, shift)} to i64")

    if to.bits == 32:
        return text.pure(f"trunc i64 {bits(whole)} to i32")
    upper = site.intrinsic("floor", f64, site.instruction("fmul", f64, whole, literal(2.0**-32, f64)))
    lower = _fused(site, f64, upper, literal(-(2.0**32), f64), whole)
    high = text.pure(f"shl i64 {bits(upper)}, 32")
    return text.pure(f"or i64 {high}, {text.pure(f'and i64 {bits(lower)}, 4294967295')}")


def _bitcast(site: _Site) -> str:
    source, to = site.source, site.node.dtype
    if source.bits != to.bits:
        raise UnsupportedError(f"a bitcast keeps the width, unlike {source.name} to {to.name}")
    if register_type(source) == register_type(to):
        return site.operands[0]
    if source.is_bool or to.is_bool:
        return _convert(site)
    return _cast(site, "bitcast", to)


def _rounds_in_hardware(target: Target) -> bool:
    return not target.triple.startswith(("x86_64", "i386", "i686")) or "sse4.1" in target.features


def _rounding(intrinsic: str, correct: Callable[[_Site, str, str], str]) -> _Writer:
    """A rounding function.  Without the instruction: add and subtract 2^(mantissa bits), then `correct`."""

    def write(site: _Site) -> str:
        if not site.source.is_float:
            raise _unsupported(site)
        (x,) = site.operands
        if _rounds_in_hardware(site.target):
            return site.intrinsic(intrinsic, site.source, x)
        limit = literal(2.0 ** (23 if site.source.bits == 32 else 52), site.source)
        magnitude = site.intrinsic("fabs", site.source, x)
        shifted = site.instruction("fadd", site.source, magnitude, limit)
        nearest = site.instruction("fsub", site.source, shifted, limit)
        nearest = site.intrinsic("copysign", site.source, nearest, x)
        rounded = site.intrinsic("copysign", site.source, correct(site, nearest, x), x)
        is_small = site.instruction("fcmp olt", site.source, magnitude, limit)
        kind = register_type(site.source)
        return site.text.pure(f"select i1 {is_small}, {kind} {rounded}, {kind} {x}")

    return write


def _step_if(site: _Site, comparison: str, nearest: str, bound: str, step: float) -> str:
    wrong = site.instruction(f"fcmp {comparison}", site.source, nearest, bound)
    stepped = site.instruction("fadd", site.source, nearest, literal(step, site.source))
    kind = register_type(site.source)
    return site.text.pure(f"select i1 {wrong}, {kind} {stepped}, {kind} {nearest}")


def _toward_zero(site: _Site, nearest: str, x: str) -> str:
    sizes = [site.intrinsic("fabs", site.source, value) for value in (nearest, x)]
    return _step_if(site, "ogt", sizes[0], sizes[1], -1.0)


def _count(intrinsic: str, flag: str) -> _Writer:
    def write(site: _Site) -> str:
        if not site.source.is_integer:
            raise _unsupported(site)
        kind = register_type(site.source)
        return site.text.pure(f"call {kind} @llvm.{intrinsic}.{kind}({kind} {site.operands[0]}{flag})")

    return write


_WRITERS: dict[Primitive, _Writer] = {
    Primitive.ADD: _arithmetic("fadd", "add", "or"),
    Primitive.SUB: _arithmetic("fsub", "sub", "xor"),
    Primitive.MUL: _arithmetic("fmul", "mul", "and"),
    Primitive.DIV: _division("fdiv", "sdiv", "udiv"),
    Primitive.REM: _division("", "srem", "urem"),
    Primitive.FMA: _fused_multiply_add,
    Primitive.PRODUCT_ERROR: _product_error,
    Primitive.NEG: _negate,
    Primitive.ABS: _absolute,
    Primitive.MAX: _extremum("maximum", "smax", "umax", "or"),
    Primitive.MIN: _extremum("minimum", "smin", "umin", "and"),
    Primitive.SQRT: _float_only("sqrt"),
    Primitive.FLOOR: _rounding("floor", lambda site, nearest, x: _step_if(site, "ogt", nearest, x, -1.0)),
    Primitive.CEIL: _rounding("ceil", lambda site, nearest, x: _step_if(site, "olt", nearest, x, 1.0)),
    Primitive.TRUNC: _rounding("trunc", _toward_zero),
    Primitive.ROUND_EVEN: _rounding("roundeven", lambda site, nearest, x: nearest),
    Primitive.COPYSIGN: _float_only("copysign"),
    Primitive.AND: _bitwise("and"),
    Primitive.OR: _bitwise("or"),
    Primitive.XOR: _bitwise("xor"),
    Primitive.NOT: _not,
    Primitive.SHL: _shift("shl", "shl"),
    Primitive.SHR: _shift("ashr", "lshr"),
    Primitive.EQ: _comparison("oeq", "eq", "eq"),
    Primitive.NE: _comparison("une", "ne", "ne"),
    Primitive.LT: _comparison("olt", "slt", "ult"),
    Primitive.LE: _comparison("ole", "sle", "ule"),
    Primitive.GT: _comparison("ogt", "sgt", "ugt"),
    Primitive.GE: _comparison("oge", "sge", "uge"),
    Primitive.SELECT: _select,
    Primitive.CONVERT: _convert,
    Primitive.BITCAST: _bitcast,
    Primitive.POPCOUNT: _count("ctpop", ""),
    Primitive.COUNT_LEADING_ZEROS: _count("ctlz", ", i1 false"),
}
