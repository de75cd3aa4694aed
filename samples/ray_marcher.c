/* Draw a scene, and say how its brightness changes, by the library that samples/ray_marcher.py wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/ray_marcher samples/ray_marcher.c \
 *        -L build/ray_marcher -lray_marcher -Wl,-rpath,build/ray_marcher -o build/ray_marcher/ray_marcher
 *     build/ray_marcher/ray_marcher
 *
 * Prints what the Python program prints.
 */
#include "ray_marcher.h"

#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 64, HEIGHT = 28 };

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", ray_marcher_status(status));
        exit(1);
    }
}

int main(void) {
    static const char shades[] = " .:-=+*#%@";
    static double picture[HEIGHT][WIDTH];
    const double radius = 1.0, blend = 0.4, light[3] = {-0.6, 0.8, -0.7};
    double mean, by_blend, by_light[3], by_radius;
    check(draw(&blend, light, &radius, &picture[0][0]));
    for (int row = 0; row < HEIGHT; row++) {
        int end = 0;
        char line[WIDTH + 1];
        for (int column = 0; column < WIDTH; column++) {
            line[column] = shades[(int)(picture[row][column] * (sizeof shades - 2) + 0.5)];
            if (line[column] != ' ') end = column + 1;
        }
        line[end] = '\0';
        puts(line);
    }
    check(mean_brightness(&blend, light, &radius, &mean, &by_blend, by_light, &by_radius));
    printf("mean brightness %.8f, by radius %.8f, by blend %.8f, by light %.8f %.8f %.8f\n", mean, by_radius, by_blend,
           by_light[0], by_light[1], by_light[2]);
    return 0;
}
