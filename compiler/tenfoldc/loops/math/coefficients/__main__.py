"""`python -m tenfoldc.loops.math.coefficients [NAME...]` prints the coefficients of the fits named, or of all."""

import sys

from tenfoldc.loops.math.coefficients.fits import FITS

for name in sys.argv[1:] or FITS:
    print(name, *FITS[name].compute(), sep="\n    ")
