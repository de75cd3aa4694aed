"""Products of matrices in tiles: what the threads of a block do to bring, multiply and hand on a tile."""
