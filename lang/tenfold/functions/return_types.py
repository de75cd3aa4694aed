"""What functions with several results give: named tuples, which print as PyTorch's do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = ["Extremes", "aminmax", "cummax", "cummin", "kthvalue", "max", "median", "min", "mode", "nanmedian"]
__all__ += ["slogdet", "sort", "topk"]


def _printed(named: Any) -> str:
    fields = ",\n".join(f"{name}={value!r}" for name, value in zip(named._fields, named, strict=True))
    return f"torch.return_types.{type(named).__name__}(\n{fields})"


class Extremes(NamedTuple):
    """Elements chosen along an axis: the values, and their indices along it (i64)."""

    values: Tensor
    indices: Tensor

    def __repr__(self) -> str:
        return _printed(self)


class max(Extremes):  # noqa: N801, A001 - PyTorch's name
    """What `tn.max` along an axis gives."""

    __slots__ = ()


class min(Extremes):  # noqa: N801, A001
    """What `tn.min` along an axis gives."""

    __slots__ = ()


class median(Extremes):  # noqa: N801
    """What `tn.median` along an axis gives."""

    __slots__ = ()


class nanmedian(Extremes):  # noqa: N801
    """What `tn.nanmedian` along an axis gives."""

    __slots__ = ()


class mode(Extremes):  # noqa: N801
    """What `tn.mode` gives."""

    __slots__ = ()


class kthvalue(Extremes):  # noqa: N801
    """What `tn.kthvalue` gives."""

    __slots__ = ()


class sort(Extremes):  # noqa: N801
    """What `tn.sort` gives."""

    __slots__ = ()


class topk(Extremes):  # noqa: N801
    """What `tn.topk` gives."""

    __slots__ = ()


class cummax(Extremes):  # noqa: N801
    """What `tn.cummax` gives."""

    __slots__ = ()


class cummin(Extremes):  # noqa: N801
    """What `tn.cummin` gives."""

    __slots__ = ()


class aminmax(NamedTuple):  # noqa: N801
    """What `tn.aminmax` gives: the smallest and the largest elements."""

    min: Tensor
    max: Tensor

    def __repr__(self) -> str:
        return _printed(self)


class slogdet(NamedTuple):  # noqa: N801
    """What `tn.slogdet` gives: the sign of the determinant, and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor

    def __repr__(self) -> str:
        return _printed(self)
