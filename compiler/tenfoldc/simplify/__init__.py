"""Simplification: a module and an entry in; one function without calls, redundant or dead operations out.

    inline      the bodies of called functions in place of calls
    scan_sums   sums of products along the turns of a scan made one product after it
    scans       plain loops in place of those that stack what their turns give
    rewrite     one walk, each operation after its operands: rules of algebra, constants folded, equal ones shared
    dead        what no result needs is left out, loop carries included
    constants   large constants replaced by what the one operation that uses them makes of them
    products    small products, and sums of products, made one
    barriers    their operands in their place: nothing is shared after this

Each pass takes time proportional to the program.  Results keep every bit, save that the terms of a sum of products
may be added in another order: a rule that could turn -0.0 into 0.0 is none.  Operations that remain keep their
locations.
"""

from __future__ import annotations

from dataclasses import replace

from tenfoldc.ir.core import Function, Module
from tenfoldc.simplify.constants import with_constants_folded
from tenfoldc.simplify.dead import without_dead
from tenfoldc.simplify.inline import without_barriers, without_calls
from tenfoldc.simplify.products import with_merged_products
from tenfoldc.simplify.rewrite import rewritten
from tenfoldc.simplify.scan_sums import with_sums_after_scans
from tenfoldc.simplify.scans import without_scans


def simplify(module: Module, entry: str) -> Function:
    """Function `entry` of `module`, calling no other; its name, parameters, results and donations are kept.

    Raises `UnsupportedError` where functions call each other in a circle.
    """
    body = without_dead(rewritten(without_scans(with_sums_after_scans(without_calls(module, entry)))))
    body = without_dead(with_constants_folded(body))
    merged = with_merged_products(body)
    if merged is not body:
        body = without_dead(rewritten(merged))
    return replace(module[entry], body=without_barriers(body))
