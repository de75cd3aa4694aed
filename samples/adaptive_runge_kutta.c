/* Integrate an oscillator, with derivatives, by the library that samples/adaptive_runge_kutta.py wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/adaptive_runge_kutta samples/adaptive_runge_kutta.c \
 *        -L build/adaptive_runge_kutta -ladaptive_runge_kutta -Wl,-rpath,build/adaptive_runge_kutta \
 *        -o build/adaptive_runge_kutta/adaptive_runge_kutta
 *     build/adaptive_runge_kutta/adaptive_runge_kutta
 *
 * Prints what the Python program prints.
 */
#include "adaptive_runge_kutta.h"

#include <stdio.h>
#include <stdlib.h>

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", adaptive_runge_kutta_status(status));
        exit(1);
    }
}

int main(void) {
    const double initial[2] = {2.0, 0.0}, stiffness[3] = {0.5, 2.0, 8.0};
    for (int i = 0; i < 3; i++) {
        double mu = stiffness[i], state[2], by_initial[2], by_mu;
        int64_t attempts;
        check(solve(initial, &mu, state, &attempts));
        check(sensitivities(initial, &mu, by_initial, &by_mu));
        printf("mu %.1f: %lld steps to x %.10f, x' %.10f\n", mu, (long long)attempts, state[0], state[1]);
        printf("  dx by x(0) %.8f, by x'(0) %.8f, by mu %.8f\n", by_initial[0], by_initial[1], by_mu);
    }
    return 0;
}
