"""C names made from any names: identifiers, free of keywords and of each other."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tenfold_rt import dtypes
from tenfold_rt.c_names import argument_names, library_names
from tenfold_rt.manifest import Buffer, Entry, GpuCode, Manifest

NAMES = st.one_of(st.text(max_size=8), st.sampled_from(["int", "add", "add_ctx", "add_2", "exp", "_x", "x__y", "ctx"]))


def names_of(*entries: str, library: str = "demo") -> tuple[str, ...]:
    manifest = Manifest(library, "0", "", "", (), tuple(Entry(name, (), ()) for name in entries))
    return tuple(entry.plain for entry in library_names(manifest).entries)


def test_plain_names_are_kept() -> None:
    assert names_of("step", "train_epoch", "f32") == ("step", "train_epoch", "f32")


def test_names_that_c_cannot_have_are_mended() -> None:
    assert names_of("<lambda>", "train.step", "9lives", "größe", "") == (
        "lambda",
        "train_step",
        "n9lives",
        "gr_e",
        "entry",
    )


def test_keywords_and_library_functions_get_a_number() -> None:
    assert names_of("class", "exp", "y0", "main") == ("class_2", "exp_2", "y0_2", "main_2")


def test_an_entry_s_other_functions_are_kept_clear_too() -> None:
    assert names_of("step", "step_ctx", "step_workspace") == ("step", "step_ctx_2", "step_workspace_2")
    assert names_of("demo_status") == ("demo_status_2",)


def test_a_library_for_gpus_has_one_more_function_for_each_entry() -> None:
    code = GpuCode("sm_80", ("ptx",), ())
    manifest = Manifest("demo", "0", "", "", (), tuple(Entry(name, (), ()) for name in ("f", "f_device")), code)
    assert [entry.device for entry in library_names(manifest).entries] == ["f_device", "f_device_2_device"]
    assert len(library_names(manifest).exported()) == 3 + 4 * 2


def test_context_is_not_an_argument_s_name() -> None:
    entry = Entry("f", (Buffer("ctx", dtypes.f32, ()), Buffer("x", dtypes.f32, ())), (Buffer("x", dtypes.f32, ()),))
    assert argument_names(entry) == ("ctx_2", "x", "x_2")
    stream = Entry("f", (Buffer("stream", dtypes.f32, ()),), ())
    assert argument_names(stream) == ("stream_2",)


def test_no_name_of_a_family_holds_two_underscores() -> None:
    assert names_of("step_", "0_") == ("step", "n0")


@given(st.lists(NAMES, max_size=6), NAMES)
def test_names_are_identifiers_and_differ(entries: list[str], library: str) -> None:
    manifest = Manifest(library, "0", "", "", (), tuple(Entry(name, (), ()) for name in entries))
    exported = library_names(manifest).exported()
    assert len(exported) == 3 + 3 * len(entries)
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) and "__" not in name for name in exported)
    assert library_names(manifest).exported() == exported
