"""Contractions on a GPU: dot_general and convolution as products of matrices, in tiles, by rows, or plain."""

from tenfoldc.gpu.lower.products.contraction import lower_convolution as lower_convolution
from tenfoldc.gpu.lower.products.contraction import lower_dot_general as lower_dot_general
