/* Train the network of samples/lstm.py with the library that it wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/lstm samples/lstm.c \
 *        -L build/lstm -llstm -Wl,-rpath,build/lstm -o build/lstm/lstm
 *     build/lstm/lstm build/lstm
 *
 * Begins with the weights that the Python program began with, and prints what it prints.
 */
#include "lstm.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 256, BATCH = 16, HIDDEN = 12, TURNS = 51 };

typedef struct {
    float input[4 * HIDDEN], hidden[HIDDEN * 4 * HIDDEN], bias[4 * HIDDEN], out[HIDDEN];
} network;

static network weights, velocity;
static float series[(STEPS + 1) * BATCH];

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", lstm_status(status));
        exit(1);
    }
}

static void read_file(const char *directory, const char *name, float *numbers, size_t count) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.f32", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(numbers, sizeof *numbers, count, file) != count) {
        fprintf(stderr, "cannot read %s; run samples/lstm.py first\n", path);
        exit(1);
    }
    fclose(file);
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : ".";
    const float rate = 0.2f;
    network *n = &weights, *v = &velocity;
    read_file(directory, "input", n->input, 4 * HIDDEN);
    read_file(directory, "hidden", n->hidden, HIDDEN * 4 * HIDDEN);
    read_file(directory, "bias", n->bias, 4 * HIDDEN);
    read_file(directory, "out", n->out, HIDDEN);
    read_file(directory, "series", series, (STEPS + 1) * BATCH);
    for (int turn = 0; turn < TURNS; turn++) {
        float error;
        check(train_step(n->bias, n->hidden, n->input, n->out, v->bias, v->hidden, v->input, v->out, series, &rate,
                         n->bias, n->hidden, n->input, n->out, v->bias, v->hidden, v->input, v->out, &error));
        if (turn % 10 == 0) printf("turn %2d: error %.6f\n", turn, (double)error);
    }
    return 0;
}
