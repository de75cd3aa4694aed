"""Optimisers with PyTorch's names, settings and state dicts, and schedules of their learning rates."""

from tenfold.optim import lr_scheduler
from tenfold.optim.adagrad import Adadelta, Adagrad
from tenfold.optim.adam import Adam, AdamW
from tenfold.optim.adam_variants import Adamax, NAdam, RAdam
from tenfold.optim.lbfgs import LBFGS
from tenfold.optim.optimizer import Optimizer
from tenfold.optim.rmsprop import RMSprop
from tenfold.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
]
