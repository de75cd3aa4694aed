"""Programs on one NVIDIA GPU, in Tenfold, PyTorch, torch.compile and JAX, in turns on the same card."""
