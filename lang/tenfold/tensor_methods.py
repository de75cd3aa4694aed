"""Methods of tensors that are functions of `tenfold.functions`, with the tensor as their first argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tenfold import specs
from tenfold.functions import (
    arithmetic,
    binary,
    compaction,
    creation,
    elementwise,
    factorizations,
    joining,
    linear_algebra,
    matrices,
    neural,
    parts,
    products,
    queries,
    reductions,
    running,
    scattering,
    shapes,
    sorting,
    special,
    statistics,
    taking,
)
from tenfold.random import sampling
from tenfold.specs import DTypeLike
from tenfold.tracing import Scalar, TensorLike, TensorValue

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


class Methods(TensorValue):
    """The functions that are methods of the same names, and methods that only arrange their arguments."""

    __slots__ = ()

    abs = elementwise.abs
    cbrt = elementwise.cbrt
    ceil = elementwise.ceil
    clone = elementwise.clone
    cos = elementwise.cos
    cosh = elementwise.cosh
    erf = elementwise.erf
    erfc = elementwise.erfc
    exp = elementwise.exp
    exp2 = elementwise.exp2
    expm1 = elementwise.expm1
    floor = elementwise.floor
    isfinite = elementwise.isfinite
    isinf = elementwise.isinf
    isnan = elementwise.isnan
    log = elementwise.log
    log10 = elementwise.log10
    log1p = elementwise.log1p
    log2 = elementwise.log2
    nan_to_num = elementwise.nan_to_num
    round = elementwise.round
    rsqrt = elementwise.rsqrt
    sigmoid = elementwise.sigmoid
    sign = elementwise.sign
    sin = elementwise.sin
    sinh = elementwise.sinh
    sqrt = elementwise.sqrt
    tan = elementwise.tan
    tanh = elementwise.tanh
    trunc = elementwise.trunc
    atan = elementwise.atan

    absolute = special.absolute
    acos = special.acos
    acosh = special.acosh
    arccos = special.arccos
    arccosh = special.arccosh
    arcsin = special.arcsin
    arcsinh = special.arcsinh
    arctan = special.arctan
    arctanh = special.arctanh
    asin = special.asin
    asinh = special.asinh
    atanh = special.atanh
    deg2rad = special.deg2rad
    digamma = special.digamma
    erfinv = special.erfinv
    fix = special.fix
    frac = special.frac
    isneginf = special.isneginf
    isposinf = special.isposinf
    isreal = special.isreal
    lgamma = special.lgamma
    logit = special.logit
    mvlgamma = special.mvlgamma
    positive = special.positive
    rad2deg = special.rad2deg
    sgn = special.sgn
    signbit = special.signbit
    sinc = special.sinc

    add = arithmetic.add
    arctan2 = arithmetic.arctan2
    atan2 = arithmetic.atan2
    bitwise_and = arithmetic.bitwise_and
    bitwise_left_shift = arithmetic.bitwise_left_shift
    bitwise_not = arithmetic.bitwise_not
    bitwise_or = arithmetic.bitwise_or
    bitwise_right_shift = arithmetic.bitwise_right_shift
    bitwise_xor = arithmetic.bitwise_xor
    clamp = arithmetic.clamp
    clamp_max = arithmetic.clamp_max
    clamp_min = arithmetic.clamp_min
    clip = arithmetic.clip
    div = arithmetic.div
    divide = arithmetic.divide
    eq = arithmetic.eq
    floor_divide = arithmetic.floor_divide
    fmod = arithmetic.fmod
    ge = arithmetic.ge
    greater = arithmetic.greater
    greater_equal = arithmetic.greater_equal
    gt = arithmetic.gt
    isclose = arithmetic.isclose
    le = arithmetic.le
    less = arithmetic.less
    less_equal = arithmetic.less_equal
    logical_and = arithmetic.logical_and
    logical_not = arithmetic.logical_not
    logical_or = arithmetic.logical_or
    logical_xor = arithmetic.logical_xor
    lt = arithmetic.lt
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    mul = arithmetic.mul
    multiply = arithmetic.multiply
    ne = arithmetic.ne
    neg = arithmetic.neg
    negative = arithmetic.negative
    not_equal = arithmetic.not_equal
    pow = arithmetic.pow
    reciprocal = arithmetic.reciprocal
    remainder = arithmetic.remainder
    square = arithmetic.square
    sub = arithmetic.sub
    subtract = arithmetic.subtract
    true_divide = arithmetic.true_divide

    addcdiv = binary.addcdiv
    addcmul = binary.addcmul
    copysign = binary.copysign
    float_power = binary.float_power
    fmax = binary.fmax
    fmin = binary.fmin
    gcd = binary.gcd
    heaviside = binary.heaviside
    hypot = binary.hypot
    lcm = binary.lcm
    ldexp = binary.ldexp
    lerp = binary.lerp
    logaddexp = binary.logaddexp
    logaddexp2 = binary.logaddexp2
    nextafter = binary.nextafter
    xlogy = binary.xlogy

    allclose = queries.allclose
    equal = queries.equal
    is_nonzero = queries.is_nonzero
    is_same_size = queries.is_same_size

    all = reductions.all
    amax = reductions.amax
    amin = reductions.amin
    any = reductions.any
    argmax = reductions.argmax
    argmin = reductions.argmin
    count_nonzero = reductions.count_nonzero
    logsumexp = reductions.logsumexp
    max = reductions.max
    mean = reductions.mean
    min = reductions.min
    norm = reductions.norm
    prod = reductions.prod
    std = reductions.std
    sum = reductions.sum
    var = reductions.var

    aminmax = statistics.aminmax
    corrcoef = statistics.corrcoef
    cov = statistics.cov
    dist = statistics.dist
    histc = statistics.histc
    median = statistics.median
    mode = statistics.mode
    nanmean = statistics.nanmean
    nanmedian = statistics.nanmedian
    nanquantile = statistics.nanquantile
    nansum = statistics.nansum
    quantile = statistics.quantile

    argsort = sorting.argsort
    cumprod = sorting.cumprod
    cumsum = sorting.cumsum
    kthvalue = sorting.kthvalue
    msort = sorting.msort
    sort = sorting.sort
    topk = sorting.topk

    cummax = running.cummax
    cummin = running.cummin
    diff = running.diff
    logcumsumexp = running.logcumsumexp

    broadcast_to = shapes.broadcast_to
    chunk = shapes.chunk
    diagonal = shapes.diagonal
    expand = shapes.expand
    flatten = shapes.flatten
    flip = shapes.flip
    moveaxis = shapes.moveaxis
    permute = shapes.permute
    ravel = shapes.ravel
    reshape = shapes.reshape
    roll = shapes.roll
    split = shapes.split
    squeeze = shapes.squeeze
    swapaxes = shapes.swapaxes
    tile = shapes.tile
    transpose = shapes.transpose
    unsqueeze = shapes.unsqueeze
    view = shapes.reshape

    as_strided = parts.as_strided
    diag = parts.diag
    diag_embed = parts.diag_embed
    diagflat = parts.diagflat
    expand_as = parts.expand_as
    fliplr = parts.fliplr
    flipud = parts.flipud
    movedim = parts.movedim
    narrow = parts.narrow
    repeat = parts.repeat
    reshape_as = parts.reshape_as
    rot90 = parts.rot90
    select = parts.select
    swapdims = parts.swapdims
    t = parts.t
    unflatten = parts.unflatten
    unfold = parts.unfold
    view_as = parts.view_as

    dsplit = joining.dsplit
    hsplit = joining.hsplit
    tensor_split = joining.tensor_split
    unbind = joining.unbind
    vsplit = joining.vsplit

    tril = creation.tril
    triu = creation.triu

    gather = taking.gather
    index_select = taking.index_select
    take = taking.take

    index_add = scattering.index_add
    index_copy = scattering.index_copy
    index_fill = scattering.index_fill
    index_put = scattering.index_put
    index_reduce = scattering.index_reduce
    masked_fill = scattering.masked_fill
    masked_scatter = scattering.masked_scatter
    scatter = scattering.scatter
    scatter_add = scattering.scatter_add
    scatter_reduce = scattering.scatter_reduce
    select_scatter = scattering.select_scatter
    slice_scatter = scattering.slice_scatter
    take_along_dim = scattering.take_along_dim

    argwhere = compaction.argwhere
    bincount = compaction.bincount
    masked_select = compaction.masked_select
    nonzero = compaction.nonzero
    repeat_interleave = compaction.repeat_interleave
    unique = compaction.unique
    unique_consecutive = compaction.unique_consecutive

    dot = linear_algebra.dot
    matmul = linear_algebra.matmul
    outer = linear_algebra.outer
    trace = linear_algebra.trace
    vdot = linear_algebra.vdot

    addbmm = products.addbmm
    addmm = products.addmm
    addmv = products.addmv
    addr = products.addr
    baddbmm = products.baddbmm
    bmm = products.bmm
    cross = products.cross
    ger = products.ger
    inner = products.inner
    kron = products.kron
    matrix_power = products.matrix_power
    mm = products.mm
    mv = products.mv

    cholesky = factorizations.cholesky
    cholesky_solve = factorizations.cholesky_solve

    det = matrices.det
    inverse = matrices.inverse
    logdet = matrices.logdet
    slogdet = matrices.slogdet

    log_softmax = neural.log_softmax
    relu = neural.relu
    softmax = neural.softmax

    bernoulli = sampling.bernoulli
    multinomial = sampling.multinomial

    def where(self, condition: TensorLike, other: TensorLike) -> Tensor:
        """This tensor where `condition` is true, else `other`."""
        return arithmetic.where(condition, cast("Tensor", self), other)

    def polygamma(self, n: int) -> Tensor:
        """The `n`-th derivative of `digamma` at each element."""
        return special.polygamma(n, cast("Tensor", self))

    def type_as(self, other: Tensor) -> Tensor:
        """This tensor with elements of the type that those of `other` have."""
        return elementwise.to(cast("Tensor", self), other.dtype)

    def new_zeros(self, *size: Any, dtype: DTypeLike | None = None, device: Any = None) -> Tensor:
        """Zeros of `size`, by default of this tensor's element type and on its device."""
        own = cast("Tensor", self)
        return creation.zeros(*size, dtype=own.dtype if dtype is None else dtype, device=device or own.device)

    def new_ones(self, *size: Any, dtype: DTypeLike | None = None, device: Any = None) -> Tensor:
        """Ones of `size`, by default of this tensor's element type and on its device."""
        own = cast("Tensor", self)
        return creation.ones(*size, dtype=own.dtype if dtype is None else dtype, device=device or own.device)

    def new_empty(self, *size: Any, dtype: DTypeLike | None = None, device: Any = None) -> Tensor:
        """A tensor of `size`, by default of this element type and device, whose values are not to be counted on."""
        return self.new_zeros(*size, dtype=dtype, device=device)

    def new_full(self, size: Any, fill_value: Scalar, dtype: DTypeLike | None = None, device: Any = None) -> Tensor:
        """A tensor of `size` with every element `fill_value`, by default of this tensor's element type and device."""
        own = cast("Tensor", self)
        return creation.full(size, fill_value, dtype=own.dtype if dtype is None else dtype, device=device or own.device)

    def double(self) -> Tensor:
        """This tensor with elements of `tn.double`."""
        return cast("Tensor", self).to(specs.f64)

    def half(self) -> Tensor:
        """This tensor with elements of `tn.half`."""
        return cast("Tensor", self).to(specs.f16)

    def bfloat16(self) -> Tensor:
        """This tensor with elements of `tn.bfloat16`."""
        return cast("Tensor", self).to(specs.bf16)

    def long(self) -> Tensor:
        """This tensor with elements of `tn.long`."""
        return cast("Tensor", self).to(specs.i64)

    def short(self) -> Tensor:
        """This tensor with elements of `tn.short`."""
        return cast("Tensor", self).to(specs.i16)

    def char(self) -> Tensor:
        """This tensor with elements of `tn.char`."""
        return cast("Tensor", self).to(specs.i8)

    def byte(self) -> Tensor:
        """This tensor with elements of `tn.byte`."""
        return cast("Tensor", self).to(specs.u8)

    def bool(self) -> Tensor:
        """This tensor with elements of `tn.bool`."""
        return cast("Tensor", self).to(specs.bool_)

    def int(self) -> Tensor:
        """This tensor with elements of `tn.int`."""
        return cast("Tensor", self).to(specs.i32)

    def float(self) -> Tensor:
        """This tensor with elements of `tn.float`."""
        return cast("Tensor", self).to(specs.f32)
