"""Program transformations, tensor IR to tensor IR: derivatives forward and backward, and batching.

Each takes a region and emits the transformed program into a builder, through the rules of the op records.  What
comes out is ordinary IR, so the transformations apply to their own results, in any order and to any depth.
"""

from tenfoldc.transform.jvp import jvp
from tenfoldc.transform.vjp import Pullback, vjp
from tenfoldc.transform.vmap import vmap

__all__ = ["Pullback", "jvp", "vjp", "vmap"]
