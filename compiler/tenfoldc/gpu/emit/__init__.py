"""LLVM text and PTX for launches."""

from tenfoldc.gpu.emit.kernels import KernelText as KernelText
from tenfoldc.gpu.emit.kernels import kernel_text as kernel_text
from tenfoldc.gpu.emit.ptx import compile_ptx as compile_ptx
