"""The back end for NVIDIA's GPUs: tensor IR in, a plan of kernels in PTX out."""

from tenfoldc.gpu.pipeline import compile_plan as compile_plan
