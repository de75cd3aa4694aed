"""Which GPUs there are, and what is said where there are none."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
from stand_in_device import StandInDevice

from tenfold_rt.cuda import devices
from tenfold_rt.cuda.driver import open_driver
from tenfold_rt.errors import DeviceError


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def test_devices_that_stand_in_are_used() -> None:
    first, second = StandInDevice(), StandInDevice(index=1)
    with devices.standing_in([first, second]):
        assert devices.gpu_available()
        assert devices.device_count() == 2
        assert devices.device(1) is second


def test_a_device_that_there_is_not() -> None:
    with devices.standing_in([StandInDevice()]), pytest.raises(DeviceError, match="no device cuda:1; there is only"):
        devices.device(1)


def test_there_may_be_none() -> None:
    with devices.standing_in([]):
        assert devices.why_unavailable() == "there is no GPU of NVIDIA's"
        assert not devices.gpu_available()


@pytest.mark.skipif(has_driver(), reason="this machine has NVIDIA's driver")
def test_without_a_driver_every_use_says_so() -> None:
    pytest.importorskip("cuda.bindings.driver")
    for _ in range(2):
        with pytest.raises(DeviceError, match="no driver for NVIDIA's GPUs"):
            devices.device(0)
    assert "no driver" in devices.why_unavailable()


def test_without_the_package_the_mend_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(DeviceError, match=r"cuda-python.*pip install 'tenfold\[cuda\]'"):
        open_driver()


def test_the_runtime_is_imported_without_the_package() -> None:
    code = "import tenfold_rt.cuda.run, tenfold_rt.cuda.devices, sys; sys.exit('cuda.bindings' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
