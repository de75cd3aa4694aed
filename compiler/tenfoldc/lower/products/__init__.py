"""Products of matrices, which dot_general and convolution become: packed, blocked for caches, tiled for registers."""
