"""Kernels and programs on the CPU, in Tenfold and in its peers: PyTorch, torch.compile and jax.jit."""
