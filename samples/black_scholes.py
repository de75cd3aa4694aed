"""Price European call options, and get their Greeks by differentiating the price.

    python samples/black_scholes.py

The formula is Black and Scholes (1973).  Delta, vega, theta and rho are first derivatives of one compiled
price; gamma is a derivative of a derivative.  Each is checked against its closed form.
"""

from __future__ import annotations

import math

import numpy as np

import tenfold as tn

OPTIONS = 100_000


def normal_cdf(x):
    return 0.5 * (1 + tn.erf(x / math.sqrt(2)))


def call_price(spot, strike, years, rate, volatility):
    """The price of a European call, elementwise."""
    spread = volatility * tn.sqrt(years)
    d1 = (tn.log(spot / strike) + (rate + volatility**2 / 2) * years) / spread
    return spot * normal_cdf(d1) - strike * tn.exp(-rate * years) * normal_cdf(d1 - spread)


def total(spot, strike, years, rate, volatility):
    """The sum of all prices, whose gradient holds each option's own: none depends on another's inputs."""
    return tn.sum(call_price(spot, strike, years, rate, volatility))


def total_delta(*inputs):
    return tn.sum(tn.grad(total)(*inputs))


@tn.compile
def price_and_greeks(spot, strike, years, rate, volatility):
    """Price, delta, vega, theta, rho and gamma of each option, in one native call."""
    inputs = (spot, strike, years, rate, volatility)
    delta, by_years, rho, vega = tn.grad(total, argnums=(0, 2, 3, 4))(*inputs)
    gamma = tn.grad(total_delta)(*inputs)
    return {
        "price": call_price(*inputs),
        "delta": delta,
        "vega": vega,
        "theta": -by_years,
        "rho": rho,
        "gamma": gamma,
    }


def closed_form(spot, strike, years, rate, volatility):
    """The textbook formulas (Hull, Options, Futures, and Other Derivatives), to check against."""
    spread = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + volatility**2 / 2) * years) / spread
    d2 = d1 - spread
    cdf = np.vectorize(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))))
    density = np.exp(-(d1**2) / 2) / math.sqrt(2 * math.pi)
    present = strike * np.exp(-rate * years)
    return {
        "price": spot * cdf(d1) - present * cdf(d2),
        "delta": cdf(d1),
        "vega": spot * density * np.sqrt(years),
        "theta": -spot * density * volatility / (2 * np.sqrt(years)) - rate * present * cdf(d2),
        "rho": years * present * cdf(d2),
        "gamma": density / (spot * spread),
    }


def main() -> None:
    rng = np.random.default_rng(0)
    inputs = (
        rng.uniform(80, 120, OPTIONS),
        rng.uniform(80, 120, OPTIONS),
        rng.uniform(0.25, 2, OPTIONS),
        rng.uniform(0.0, 0.1, OPTIONS),
        rng.uniform(0.1, 0.5, OPTIONS),
    )
    ours, expected = price_and_greeks(*inputs), closed_form(*inputs)
    for name, values in ours.items():
        error = np.max(np.abs(values - expected[name]) / (1 + np.abs(expected[name])))
        print(f"{name:6s} of the first option {values[0]:10.5f}   largest error {error:.1e}")
        if error > 1e-10:
            raise SystemExit(f"{name} disagrees with its closed form")


if __name__ == "__main__":
    main()
