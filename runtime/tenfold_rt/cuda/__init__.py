"""Programs for NVIDIA's GPUs: what the compiler leaves, and how it is run."""
