"""Data sets, the order in which they are read, and batches of them: PyTorch's `torch.utils.data`.

A `Dataset` gives samples by number, or one after another; a `Sampler` gives the numbers; a `DataLoader` collates
samples into batches, ahead of time in worker threads where there are `num_workers`.
"""

from tenfold.utils.data.collation import default_collate, default_convert
from tenfold.utils.data.datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tenfold.utils.data.loader import DataLoader
from tenfold.utils.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tenfold.utils.data.workers import WorkerInfo, get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]
