"""Guards."""


def guard_registers(code, function, starts):
    pass
