"""`tn.device`: names of places for tensors, and which of them there are."""

from __future__ import annotations

import pytest

import tenfold as tn
from tenfold.device import usable_device
from tenfold_rt.cuda import devices
from tenfold_rt.errors import ArgumentError, DeviceError, UnsupportedError

MADE = [("cpu",), ("cpu:0",), ("cuda",), ("cuda:12",), ("cuda", 1), ("cpu", 0), ("mps",), ("meta",)]
REFUSED = [("gpu",), ("",), ("cuda:",), ("cuda:01",), ("cpu:x",), ("cuda:1", 1), ("cuda", -1)]


def test_a_device_has_a_type_and_an_index() -> None:
    device = tn.device("cuda:1")
    assert (device.type, device.index, str(device)) == ("cuda", 1, "cuda:1")
    assert repr(device) == "device(type='cuda', index=1)"
    assert repr(tn.device(type="cpu")) == "device(type='cpu')"
    assert tn.device(device) == tn.device("cuda", 1) == device
    assert len({tn.device("cpu"), tn.device("cpu"), tn.device("cpu:0")}) == 2


def test_a_device_is_not_its_name() -> None:
    assert tn.device("cpu") != "cpu"


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_names_no_device_is_refused(arguments) -> None:
    with pytest.raises(ArgumentError, match="device") as error:
        tn.device(*arguments)
    assert isinstance(error.value, RuntimeError)


@pytest.mark.parametrize("arguments", [*MADE, *REFUSED])
def test_devices_are_those_of_torch(arguments) -> None:
    torch = pytest.importorskip("torch")
    try:
        theirs = torch.device(*arguments)
    except RuntimeError:
        assert arguments in REFUSED
    else:
        ours = tn.device(*arguments)
        assert (repr(ours), str(ours), ours.index) == (repr(theirs), str(theirs), theirs.index)


def test_tensors_can_be_on_the_cpu() -> None:
    assert usable_device("cpu:0") == tn.device("cpu")
    assert tn.ones(2, device="cpu:0").device == tn.device("cpu")
    with pytest.raises(UnsupportedError, match="no back end for mps"):
        usable_device(tn.device("mps"))


def test_where_there_is_no_gpu_the_error_says_why() -> None:
    with devices.standing_in([]), pytest.raises(DeviceError, match="no device cuda:1; there are none"):
        tn.ones(2).to("cuda:1")


def test_there_may_be_no_accelerator() -> None:
    with devices.standing_in([]):
        check_without_accelerator()


def check_without_accelerator() -> None:
    assert (tn.cuda.is_available(), tn.cuda.device_count()) == (False, 0)
    seed = tn.initial_seed()
    tn.cuda.manual_seed(seed + 1)
    tn.cuda.manual_seed_all(seed + 1)
    assert tn.initial_seed() == seed
    assert (tn.accelerator.is_available(), tn.accelerator.device_count()) == (False, 0)
    assert tn.accelerator.current_accelerator() is None
    device = tn.accelerator.current_accelerator().type if tn.accelerator.is_available() else "cpu"
    assert usable_device(device) == tn.device("cpu")
