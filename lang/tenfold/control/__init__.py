"""Control flow over traced values, as functions of functions: branches and loops of one compiled program."""
