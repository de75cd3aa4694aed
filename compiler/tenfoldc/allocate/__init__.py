"""Allocation: where temporaries live."""

from tenfoldc.allocate.arena import allocate as allocate
