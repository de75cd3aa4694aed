"""Methods of tensors that are functions of `tenfold.functions`, with the tensor as their first argument."""

from __future__ import annotations

from tenfold.functions import (
    arithmetic,
    elementwise,
    indexing,
    joining,
    linear_algebra,
    neural,
    reductions,
    shapes,
    sorting,
)
from tenfold.tracing import TensorValue


class Methods(TensorValue):
    """The functions that are methods of the same names."""

    __slots__ = ()

    abs = elementwise.abs
    clone = elementwise.clone
    exp = elementwise.exp
    log = elementwise.log
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    sin = elementwise.sin
    cos = elementwise.cos
    tanh = elementwise.tanh
    sigmoid = elementwise.sigmoid
    erf = elementwise.erf
    sign = elementwise.sign
    floor = elementwise.floor
    ceil = elementwise.ceil
    round = elementwise.round
    isfinite = elementwise.isfinite
    isnan = elementwise.isnan
    isinf = elementwise.isinf

    add = arithmetic.add
    sub = subtract = arithmetic.subtract
    mul = multiply = arithmetic.multiply
    div = divide = arithmetic.divide
    pow = arithmetic.pow
    square = arithmetic.square
    reciprocal = arithmetic.reciprocal
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    clamp = arithmetic.clamp
    clip = arithmetic.clip
    logical_not = arithmetic.logical_not

    sum = reductions.sum
    prod = reductions.prod
    mean = reductions.mean
    var = reductions.var
    std = reductions.std
    max = reductions.max
    min = reductions.min
    amax = reductions.amax
    amin = reductions.amin
    argmax = reductions.argmax
    argmin = reductions.argmin
    any = reductions.any
    all = reductions.all
    logsumexp = reductions.logsumexp
    cumsum = sorting.cumsum
    cumprod = sorting.cumprod
    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk

    reshape = view = shapes.reshape
    flatten = shapes.flatten
    ravel = shapes.ravel
    permute = shapes.permute
    transpose = shapes.transpose
    swapaxes = shapes.swapaxes
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    expand = shapes.expand
    broadcast_to = shapes.broadcast_to
    split = shapes.split
    chunk = shapes.chunk
    unbind = joining.unbind
    flip = shapes.flip
    roll = shapes.roll
    diagonal = shapes.diagonal
    take = indexing.take
    gather = indexing.gather

    matmul = linear_algebra.matmul
    dot = linear_algebra.dot
    softmax = neural.softmax
    log_softmax = neural.log_softmax
    relu = neural.relu
