"""Frozen dataclasses behave as those of `dataclasses` do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

from tenfold_rt.frozen import frozen


@dataclasses.dataclass(frozen=True, slots=True)
class _TheirBase:
    first: int
    second: Any = "two"


@dataclasses.dataclass(frozen=True, slots=True)
class _Theirs(_TheirBase):
    """Documented."""

    third: list[int] = dataclasses.field(default_factory=list[int])
    fourth: str = dataclasses.field(default="four", compare=False, repr=False)


@frozen
class _OurBase:
    first: int
    second: Any = "two"


@frozen
class _Ours(_OurBase):
    """Documented."""

    third: list[int] = dataclasses.field(default_factory=list[int])
    fourth: str = dataclasses.field(default="four", compare=False, repr=False)


@frozen(eq=False)
class _Node:
    children: tuple[Any, ...]


@frozen
class _One:
    value: Any


@frozen
class _Completed:
    size: int
    strides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "strides", self.strides or (1,) * self.size)


@frozen
class _Nothing:
    """No fields."""


@frozen
class _Case:
    """Compared in its own way."""

    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Case) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())

    def __repr__(self) -> str:
        return self.name


def test_fields_are_given_in_order_or_by_name() -> None:
    ours = _Ours(1, third=[3])
    assert (ours.first, ours.second, ours.third, ours.fourth) == (1, "two", [3], "four")
    assert _Ours(1).third is not _Ours(1).third
    assert inspect.signature(_Ours).parameters.keys() == inspect.signature(_Theirs).parameters.keys()
    for wrong in (lambda: _Ours(), lambda: _Ours(1, 2, [], "", 5), lambda: _Ours(1, fifth=5)):  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"_Ours\.__init__"):
            wrong()


def test_fields_can_be_completed() -> None:
    assert _Completed(2) == _Completed(2, (1, 1))


def test_functions_of_dataclasses_work() -> None:
    ours, theirs = _Ours(1, (2, 3)), _Theirs(1, (2, 3))
    assert [field.name for field in dataclasses.fields(ours)] == [field.name for field in dataclasses.fields(theirs)]
    assert dataclasses.astuple(ours) == dataclasses.astuple(theirs)
    assert dataclasses.replace(ours, first=5) == _Ours(5, (2, 3))
    assert _Ours.__match_args__ == _Theirs.__match_args__
    assert _Ours.__doc__ == "Documented."


def test_instances_are_compared_hashed_and_shown_by_their_fields() -> None:
    first, second = _OurBase(1, (2,)), _OurBase(1, (2,))
    assert first == second
    assert hash(first) == hash(second) == hash(_TheirBase(1, (2,)))
    assert first != _OurBase(1, (3,))
    assert first != _TheirBase(1, (2,))
    assert _Ours(1, fourth="another") == _Ours(1)
    assert _Nothing() == _Nothing()
    assert repr(_Ours(1)) == repr(_Theirs(1)).replace("Theirs", "Ours")
    with pytest.raises(TypeError, match="unhashable"):
        hash(_Ours(1))


def test_a_field_is_compared_as_an_element_of_a_tuple_is() -> None:
    array = np.arange(3)
    assert _One(array) == _One(array)
    assert hash(_One(4)) == hash((4,))


def test_what_a_class_defines_is_kept() -> None:
    assert _Case("Name") == _Case("nAME")
    assert len({_Case("Name"), _Case("nAME")}) == 1
    assert repr(_Case("Name")) == "Name"


def test_nodes_are_compared_by_identity() -> None:
    one, other = _Node(()), _Node(())
    assert one != other
    assert len({one, other}) == 2


def test_a_node_within_itself_is_shown() -> None:
    children: list[Any] = []
    node = _Node((children,))
    children.append(node)
    assert repr(node) == "_Node(children=([...],))"


def test_fields_cannot_be_changed() -> None:
    ours = _Ours(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'first'"):
        ours.first = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="'first'"):
        del ours.first
    with pytest.raises(dataclasses.FrozenInstanceError, match="'other'"):
        ours.other = 2  # type: ignore[attr-defined]
    assert not hasattr(ours, "__dict__")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_equal(copied: Any) -> None:
    ours = _Ours(1, (2,), [3], "5")
    assert copied(ours) == ours
    assert copied(ours).fourth == "5"
