"""The pretty forms of StableHLO's text that are data: which words stand for which attributes.

The printer and the parser share this page.  `%1 = stablehlo.transpose %0, dims = [1, 0] : ...` says `dims`
for `permutation`; an op without attributes and without regions needs no entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenfold_rt.dtypes import DType

KEYWORDS: Mapping[str, Mapping[str, str]] = {
    "stablehlo.broadcast_in_dim": {"dims": "broadcast_dimensions"},
    "stablehlo.cholesky": {"lower": "lower"},
    "stablehlo.concatenate": {"dim": "dimension"},
    "stablehlo.dynamic_slice": {"sizes": "slice_sizes"},
    "stablehlo.iota": {"dim": "iota_dimension"},
    "stablehlo.pad": {"low": "edge_padding_low", "high": "edge_padding_high", "interior": "interior_padding"},
    "stablehlo.reverse": {"dims": "dimensions"},
    "stablehlo.transpose": {"dims": "permutation"},
}
"""Word to attribute, in the order printed, of the ops whose pretty form is `op operands, word = value`."""

WINDOW: Mapping[str, str] = {
    "stride": "window_strides",
    "pad": "padding",
    "lhs_dilate": "lhs_dilation",
    "rhs_dilate": "rhs_dilation",
    "reverse": "window_reversal",
}
"""What stands in `window = {...}` of a convolution."""


def natural_comparison(dtype: DType) -> str:
    """How a comparison reads elements of `dtype` unless told otherwise; the text says so in any case."""
    if dtype.is_float or dtype.is_complex:
        return "FLOAT"
    return "SIGNED" if dtype.is_signed else "UNSIGNED"
