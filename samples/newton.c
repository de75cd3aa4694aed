/* Solve Kepler's equation, with derivatives, by the library that samples/newton.py wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/newton samples/newton.c \
 *        -L build/newton -lnewton -Wl,-rpath,build/newton -o build/newton/newton
 *     build/newton/newton
 *
 * Prints what the Python program prints.
 */
#include "newton.h"

#include <stdio.h>
#include <stdlib.h>

enum { ORBITS = 5 };

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", newton_status(status));
        exit(1);
    }
}

static void show(const char *name, double solution, double by_e, double by_m) {
    printf("%-16s E %.10f  dE/de %.10f  dE/dM %.10f\n", name, solution, by_e, by_m);
}

int main(void) {
    double eccentricities[ORBITS], mean_anomalies[ORBITS], second[ORBITS][2][2];
    for (int i = 0; i < ORBITS; i++) {
        double solution, by_e, by_m;
        eccentricities[i] = 0.15 + 0.15 * i;
        mean_anomalies[i] = 0.5 + 0.5 * i;
        check(through_the_loop(&eccentricities[i], &mean_anomalies[i], &solution, &by_e, &by_m));
        show("through_the_loop", solution, by_e, by_m);
        check(by_the_theorem(&eccentricities[i], &mean_anomalies[i], &solution, &by_e, &by_m));
        show("by_the_theorem", solution, by_e, by_m);
    }
    check(of_many(eccentricities, mean_anomalies, &second[0][0][0]));
    for (int i = 0; i < ORBITS; i++)
        printf("second derivatives %.8f %.8f %.8f\n", second[i][0][0], second[i][0][1], second[i][1][1]);
    return 0;
}
