/* Aim a planet at a distance with the library that samples/n_body.py wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/n_body samples/n_body.c \
 *        -L build/n_body -ln_body -Wl,-rpath,build/n_body -lm -o build/n_body/n_body
 *     build/n_body/n_body
 *
 * Prints what the Python program prints.
 */
#include "n_body.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODIES = 4 };

static const double TARGET = 1.25;

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", n_body_status(status));
        exit(1);
    }
}

int main(void) {
    const double positions[BODIES][2] = {{0.0, 0.0}, {1.0, 0.0}, {0.0, 1.5}, {-2.0, 0.0}};
    double velocities[BODIES][2] = {{0.0, 0.0}, {0.0, 1.0}, {-1 / sqrt(1.5), 0.0}, {0.0, -1 / sqrt(2.0)}};
    double last_positions[BODIES][2], last_velocities[BODIES][2], energy[2];
    check(simulate(&positions[0][0], &velocities[0][0], &last_positions[0][0], &last_velocities[0][0], energy));
    printf("energy %.12f, at the end %.12f\n", energy[0], energy[1]);
    for (int turn = 0; turn < 5; turn++) {
        double distance, by_velocities[BODIES][2];
        check(aim(&positions[0][0], &velocities[0][0], &distance, &by_velocities[0][0]));
        const double *direction = by_velocities[2];
        printf("last distance %.10f, by velocity %.8f %.8f\n", distance, direction[0], direction[1]);
        double squared = direction[0] * direction[0] + direction[1] * direction[1];
        for (int i = 0; i < 2; i++) velocities[2][i] += (TARGET - distance) * direction[i] / squared;
    }
    return 0;
}
