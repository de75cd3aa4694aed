"""Generators: keys one after another, as a seed determines them, for functions that are given no key.

A generator's state is a storage: two words of the seed, and two of a number, which of its keys comes next.  Drawing a
key is a recorded call that changes the state, or a part of the program that is being traced: a function that
`tn.compile` compiles takes the state as an input and gives it back, so that every call draws other numbers.
"""

from __future__ import annotations

import os
from collections.abc import Generator as Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.device import CPU, Device, default_device, usable_device
from tenfold.eager import tensor_function
from tenfold.functions.creation import filled
from tenfold.functions.elementwise import clone
from tenfold.lazy.graph import GRAPH
from tenfold.memory import on_device
from tenfold.placement import moved_value
from tenfold.random.threefry import seeded, threefry
from tenfold.tracing import Array, TensorLike, TensorValue, current, here, is_tracing, lift, wrap
from tenfold.values import Storage, Value
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, TraceError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_STATE = TensorType(dtypes.u32, (4,))
_SEED = 67280421310721
"""The seed of a generator that is given none, the same in every process, as in PyTorch."""


class Generator:
    """A sequence of keys that a seed determines: key n is `tn.random.fold_in(tn.random.key(seed), n)`.

    It draws for tensors on its `device`: `UnsupportedError` for one that there is no back end for.
    """

    __slots__ = ("_state", "device")

    def __init__(self, device: Device | str = CPU, seed: int = _SEED) -> None:
        self.device = usable_device(device)
        """Where the state is."""
        self._state = Storage(self._value(_started("Generator", seed)))

    def __repr__(self) -> str:
        return f"<tenfold.Generator on {self.device}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.get_state().cpu().numpy(), str(self.device))

    def manual_seed(self, seed: int) -> Generator:
        """Begin the sequence of a seed of up to 64 bits; `ArgumentError` for one with more."""
        state = _started("manual_seed", int(seed))
        with GRAPH.lock:
            self._become(wrap(lift(state)).value if is_tracing() else self._value(state))
        return self

    def seed(self) -> int:
        """Begin the sequence of a seed that nobody can guess, and give that."""
        chosen = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(chosen)
        return chosen

    def initial_seed(self) -> int:
        """The seed that the sequence began with, as a number without sign."""
        high, low, *_ = self.get_state().tolist()
        return high << 32 | low

    def get_state(self) -> Tensor:
        """A copy of the state, u32[4], which `set_state` takes."""
        with GRAPH.lock:
            return clone(TensorValue(self._state))

    def set_state(self, new_state: TensorLike) -> Generator:
        """Go on as after `new_state`; `ArgumentError` where that is no state."""
        with GRAPH.lock:
            given: Any = clone(new_state)
            value: Value = given.value if isinstance(given, TensorValue) else Value.of_array(given)
            if not value.is_traced:
                value = moved_value(value, self.device)
            if value.type != _STATE:
                raise ArgumentError(
                    f"set_state: a state is {_STATE}, not {value.type}", where=here(), mend="give what get_state gave"
                )
            self._become(value)
        return self

    def clone_state(self) -> Generator:
        """Another generator, with the same keys to come."""
        return Generator(self.device).set_state(self.get_state())

    def next_key(self) -> Tensor:
        """A key that was not given before.  `TraceError` in a branch, a loop or a transformed function."""
        with GRAPH.lock:
            state = TensorValue(self._state)
            if is_tracing() and not state.may_be_assigned():
                raise TraceError(
                    "random numbers without a key are drawn inside a branch, a loop, a transformed or an exported "
                    "function, where no generator can be changed",
                    where=here(),
                    mend="take a key as an argument and use the functions of tn.random",
                )
            key, following = _next(state)
            self._become(following.value)
            return key

    def _value(self, state: Array) -> Value:
        """A state in the memory of this generator's device."""
        return Value.of_array(on_device(state, self.device))

    def _become(self, state: Value) -> None:
        TensorValue(self._state).assign(state, None)


def _started(name: str, seed: int) -> Array:
    return np.concatenate([seeded(name, seed), np.zeros(2, np.uint32)])


def _restored(state: Array, device: str = "cpu") -> Generator:
    return Generator(device).set_state(state)


@tensor_function
def _next(state: TensorLike) -> tuple[Tensor, Tensor]:
    """The next key, and the state after it."""
    words = lift(state)
    seed, high, low = (_part(words, *ends) for ends in ((0, 2), (2, 3), (3, 4)))
    drawn = ops.concatenate(threefry(seed, high, low), 0)
    low = ops.add(low, filled((1,), 1, dtypes.u32))
    carry = ops.compare(low, filled((1,), 0, dtypes.u32), Direction.EQ)
    following = ops.concatenate([seed, ops.add(high, ops.convert(carry, dtypes.u32)), low], 0)
    return wrap(drawn), wrap(following)


def _part(words: Var, start: int, stop: int) -> Var:
    return ops.slice_(words, (start,), (stop,))


default_generator = Generator()
"""What is drawn from where no generator is given; its first seed is another one in every process."""
default_generator.seed()


_OF_GPUS: dict[Device, Generator] = {}
"""The default generators of GPUs."""

_CHOSEN: list[int] = []
"""The seed that the user gave last, for default generators that are made after that."""


def generator_of(device: Device) -> Generator:
    """What is drawn from on a device where no generator is given."""
    if device is CPU:
        return default_generator
    found = _OF_GPUS.get(device)
    if found is None:
        seed = _CHOSEN[-1] if _CHOSEN else int.from_bytes(os.urandom(8), "little")
        found = _OF_GPUS[device] = Generator(device, seed)
    return found


def next_key(generator: Generator | None = None, like: object = None) -> Tensor:
    """The next key of `generator`, or of the default one of the device that `like` is on, if that is a tensor.

    By default that is the device which tensors are made on.
    """
    if generator is not None:
        return generator.next_key()
    if is_tracing():
        return generator_of(current().device).next_key()
    return generator_of(like.ref.kind.device if isinstance(like, TensorValue) else default_device()).next_key()


def manual_seed(seed: int) -> Generator:
    """Let random numbers that are drawn without a key be those of `seed` from now on; gives the CPU's generator."""
    chosen = default_generator.manual_seed(seed)
    manual_seed_of_gpus(seed)
    return chosen


def manual_seed_of_gpus(seed: int) -> None:
    """As `manual_seed`, for numbers that are drawn on GPUs."""
    _CHOSEN[:] = [int(seed)]
    for generator in _OF_GPUS.values():
        generator.manual_seed(seed)


def seed() -> int:
    """Let the default generator begin with a seed that nobody can guess, and give that."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator began with."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """A copy of the default generator's state."""
    return default_generator.get_state()


def set_rng_state(new_state: TensorLike) -> None:
    """Let the default generator go on as after `new_state`."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(enabled: bool = True) -> Iterator[None]:
    """After the block, the default generator goes on as if nothing had been drawn inside."""
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)
