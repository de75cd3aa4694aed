"""Allocation: where temporaries live."""

from tenfoldc.allocate.arena import allocate as allocate
from tenfoldc.allocate.usage import Usage as Usage
from tenfoldc.allocate.usage import usage as usage
