"""The loop IR: kernels as loop nests over buffers, with scalar expressions; and the mathematics of scalars."""
