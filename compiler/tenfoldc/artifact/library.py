"""The last step: object code in, a library out that C links to and Python loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenfold_rt.c_names import library_names
from tenfold_rt.manifest import Manifest
from tenfoldc.artifact import elf


def library(objects: Sequence[elf.Linkable], manifest: Manifest, data: Mapping[str, bytes] | None = None) -> bytes:
    """The shared object for `objects`, the module of one of which ended with `abi.interface(manifest, …)`.

    `data` holds large constants by symbol name; see `elf.link`, also for the errors.
    """
    names = library_names(manifest)
    return elf.link(*objects, soname=f"lib{names.prefix}.so", exports=names.exported(), data=data)
