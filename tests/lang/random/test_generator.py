"""Generators: one seed gives one sequence, recorded or compiled, and every draw another part of it."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tenfold as tn
from tenfold.lazy.graph import GRAPH
from tenfold.nn import functional
from tenfold_rt.errors import ArgumentError, TraceError, UnsupportedError


def test_a_seed_gives_the_same_numbers_again() -> None:
    tn.manual_seed(3)
    first = [tn.rand(2).tolist() for _ in range(3)]
    tn.manual_seed(3)
    assert [tn.rand(2).tolist() for _ in range(3)] == first
    assert first[0] != first[1] != first[2]
    tn.manual_seed(4)
    assert tn.rand(2).tolist() != first[0]


def test_the_keys_are_those_of_fold_in() -> None:
    seed = 2**40 + 5
    tn.manual_seed(seed)
    for number in range(3):
        expected = tn.random.uniform(tn.random.fold_in(tn.random.key(seed), number), (4,))
        np.testing.assert_array_equal(tn.rand(4), expected)


def test_the_count_of_keys_has_64_bits() -> None:
    generator = tn.Generator().set_state(np.array([0, 9, 0, 2**32 - 1], np.uint32))
    last, first = tn.rand(3, generator=generator), tn.rand(3, generator=generator)
    assert generator.get_state().tolist() == [0, 9, 1, 1]
    assert last.tolist() != first.tolist() != tn.rand(3, generator=tn.Generator().manual_seed(9)).tolist()


def test_a_compiled_function_draws_the_sequence_that_recorded_calls_draw() -> None:
    compiled = tn.compile(lambda: (tn.rand(2), tn.randn(2)))
    tn.manual_seed(7)
    expected = [(tn.rand(2).tolist(), tn.randn(2).tolist()) for _ in range(3)]
    tn.manual_seed(7)
    drawn = [tuple(part.tolist() for part in compiled()) for _ in range(2)]
    assert [*drawn, (tn.rand(2).tolist(), tn.randn(2).tolist())] == expected


def test_a_compiled_function_may_seed() -> None:
    @tn.compile
    def draw() -> tn.Tensor:
        tn.manual_seed(5)
        return tn.rand(2)

    expected = draw().tolist()
    assert draw().tolist() == expected
    assert tn.initial_seed() == 5
    after = tn.rand(2).tolist()
    tn.manual_seed(5)
    assert [tn.rand(2).tolist(), tn.rand(2).tolist()] == [expected, after]


def test_compiled_dropout_takes_another_mask_in_every_call() -> None:
    compiled = tn.compile(lambda x: functional.dropout(x, 0.5))
    masks = {tuple(compiled(tn.ones(64)).tolist()) for _ in range(4)}
    assert len(masks) == 4
    assert all(set(mask) == {0.0, 2.0} for mask in masks)


def test_draws_are_recorded_and_nothing_is_run() -> None:
    _ = tn.rand(2).tolist()
    groups = GRAPH.counters.groups
    drawn = [tn.rand(3), tn.zeros(3).normal_(), functional.dropout(tn.ones(3))]
    assert GRAPH.counters.groups == groups
    _ = [each.tolist() for each in drawn]
    assert GRAPH.counters.groups == groups + 1


def test_loops_compile_nothing_after_their_first_turns() -> None:
    parameter = tn.zeros(3)

    def turn(number: int) -> float:
        parameter.uniform_(-number, number)
        return (functional.dropout(parameter + tn.randn(3)) + tn.rand(3)).sum().item()

    values = {turn(number) for number in (1, 2, 3)}
    compiled = GRAPH.counters.compiled
    values |= {turn(number) for number in range(4, 14)}
    assert GRAPH.counters.compiled == compiled
    assert len(values) == 13


def test_two_threads_draw_different_keys() -> None:
    generator = tn.Generator().manual_seed(1)
    compiled = tn.compile(lambda: generator.next_key())

    def draw(number: int) -> list[tuple[int, ...]]:
        give = compiled if number else generator.next_key
        return [tuple(give().tolist()) for _ in range(50)]

    with ThreadPoolExecutor(2) as pool:
        keys = [key for part in pool.map(draw, range(2)) for key in part]
    start = tn.random.key(1)
    assert set(keys) == {tuple(tn.random.fold_in(start, n).tolist()) for n in range(100)}


def test_states_are_given_and_taken_back() -> None:
    state = tn.get_rng_state()
    first = tn.rand(3).tolist()
    assert tn.rand(3).tolist() != first
    tn.set_rng_state(state)
    assert tn.rand(3).tolist() == first
    tn.set_rng_state(state)
    with tn.random.fork_rng():
        assert tn.rand(3).tolist() == first
    assert tn.rand(3).tolist() == first
    with pytest.raises(ArgumentError, match="a state is"):
        tn.set_rng_state(tn.zeros(4))


def test_generators_are_independent_and_copied_with_what_is_to_come() -> None:
    tn.manual_seed(0)
    expected = tn.rand(3).tolist()
    tn.manual_seed(0)
    generator = tn.Generator().manual_seed(8)
    _ = tn.rand(3, generator=generator)
    assert tn.rand(3).tolist() == expected
    copies = [copy.deepcopy(generator), pickle.loads(pickle.dumps(generator)), generator.clone_state()]
    following = tn.rand(3, generator=generator).tolist()
    for each in copies:
        assert each.initial_seed() == 8
        assert tn.rand(3, generator=each).tolist() == following
    assert tn.Generator().initial_seed() == tn.Generator("cpu").initial_seed()
    assert str(generator.device) == "cpu"


def test_seeds_without_a_seed_differ() -> None:
    first, second = tn.seed(), tn.seed()
    assert first != second == tn.initial_seed() == tn.default_generator.initial_seed()
    assert tn.manual_seed(-1).initial_seed() == 2**64 - 1
    assert tn.random.initial_seed() == 2**64 - 1


def test_what_no_generator_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 64 bits"):
        tn.manual_seed(2**64)
    with pytest.raises(UnsupportedError, match="mps"):
        tn.Generator("mps")
    with pytest.raises(TraceError, match="take a key"):
        tn.vmap(lambda x: x + tn.rand(()))(tn.zeros(3))
