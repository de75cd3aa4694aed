"""Schedules of learning rates, with PyTorch's names, settings and sequences of rates."""

from tenfold.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from tenfold.optim.lr_scheduler.cosines import CosineAnnealingLR, CosineAnnealingWarmRestarts
from tenfold.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from tenfold.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tenfold.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tenfold.optim.lr_scheduler.schedule import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
