"""Gradients of tensors that remember how they were computed: `tn.autograd`, named as PyTorch's."""

from tenfold.autograd import functional
from tenfold.autograd.checking import gradcheck, gradgradcheck
from tenfold.autograd.function import Function
from tenfold.gradients.backward import backward, grad
from tenfold.gradients.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
