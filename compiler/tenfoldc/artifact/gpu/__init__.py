"""A plan for GPUs as a library: LLVM IR of the code of the CPU that finds the driver, loads kernels and starts them.

`interface` is the whole of it.  The kernels are data of the library.
"""

from tenfoldc.artifact.gpu.interface import Images, interface

__all__ = ["Images", "interface"]
