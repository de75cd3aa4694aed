"""A `libcuda.so.1` for programs that a test starts: kernels are run by the interpreter of PTX, in the test's process.

    with FakeGpu(directory) as gpu:
        subprocess.run(program, env={**os.environ, **gpu.environment})
    gpu.launches, gpu.leaked()

`failing` has results that functions give instead of doing their work; `cubins` has the PTX that machine code was made
of, where the fake is to take it: what is not there is said to be for another GPU.
"""

from fake_libcuda.server import FakeGpu, Launched

__all__ = ["FakeGpu", "Launched"]
