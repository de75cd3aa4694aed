/* Learn the noise of a series and track it, with the library that samples/kalman_filter.py wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/kalman_filter samples/kalman_filter.c \
 *        -L build/kalman_filter -lkalman_filter -Wl,-rpath,build/kalman_filter -lm -o build/kalman_filter/kalman_filter
 *     build/kalman_filter/kalman_filter build/kalman_filter
 *
 * Climbs as the Python program does, and prints where that leads.
 */
#include "kalman_filter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 200, TURNS = 100 };

static double measured[STEPS], states[STEPS][2];

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", kalman_filter_status(status));
        exit(1);
    }
}

static void read_series(const char *directory) {
    char path[4096];
    snprintf(path, sizeof path, "%s/measured.f64", directory);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(measured, sizeof *measured, STEPS, file) != STEPS) {
        fprintf(stderr, "cannot read %s; run samples/kalman_filter.py first\n", path);
        exit(1);
    }
    fclose(file);
}

int main(int argc, char **argv) {
    double log_noises[2] = {0.0, 0.0}, gradient[2], likelihood;
    read_series(argc > 1 ? argv[1] : ".");
    for (int turn = 0; turn < TURNS; turn++) {
        check(likelihood_gradient(log_noises, measured, gradient));
        for (int i = 0; i < 2; i++) log_noises[i] += 0.002 * gradient[i];
    }
    check(track(log_noises, measured, &states[0][0], &likelihood));
    printf("noises %.8f and %.8f, likelihood %.8f\n", exp(log_noises[0]), exp(log_noises[1]), likelihood);
    printf("last state %.8f %.8f\n", states[STEPS - 1][0], states[STEPS - 1][1]);
    return 0;
}
