"""Programs for NVIDIA's GPUs at run time: plans that the compiler made, the devices that carry them out, and memory."""
