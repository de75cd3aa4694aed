/* Classify handwritten digits, and train on them, with the library that samples/digits.py wrote.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -pedantic -I build/digits samples/digits.c \
 *        -L build/digits -ldigits -Wl,-rpath,build/digits -o build/digits/digits
 *     build/digits/digits build/digits
 *
 * Prints the accuracy of the trained weights on the test images, then starts from small weights of its own, trains
 * for some steps, and shows the loss fall.
 */
#include "digits.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = 64, HIDDEN = 128, CLASSES = 10, BATCH = 32, TEST = 360, TRAINING = 1437, STEPS = 200 };

typedef struct {
    float w1[PIXELS * HIDDEN], b1[HIDDEN], w2[HIDDEN * CLASSES], b2[CLASSES];
} network;

static network trained, fresh, velocity;
static float test_images[TEST * PIXELS], images[TRAINING * PIXELS];
static int32_t test_labels[TEST], labels[TRAINING], predicted[TEST];

static void read_file(const char *directory, const char *name, void *memory, size_t size, size_t count) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(memory, size, count, file) != count) {
        fprintf(stderr, "cannot read %s; run samples/digits.py first\n", path);
        exit(1);
    }
    fclose(file);
}

static void check(int32_t status) {
    if (status != TENFOLD_OK) {
        fprintf(stderr, "%s\n", digits_status(status));
        exit(1);
    }
}

static void show_accuracy(const network *n) {
    int correct = 0;
    check(predict(n->b1, n->b2, n->w1, n->w2, test_images, predicted));
    for (int i = 0; i < TEST; i++) correct += predicted[i] == test_labels[i];
    printf("test accuracy: %.2f%% of %d digits\n", 100.0 * correct / TEST, TEST);
}

/* Small, different numbers: a linear congruential generator is random enough to break the symmetry. */
static void fill(float *weights, size_t count, float scale) {
    static uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        weights[i] = scale * ((float)(state >> 8) / (float)(1 << 23) - 1.0f);
    }
}

static void train(network *n, network *v) {
    float loss = 0.0f;
    fill(n->w1, PIXELS * HIDDEN, 0.2f);
    fill(n->w2, HIDDEN * CLASSES, 0.2f);
    for (int step = 0; step < STEPS; step++) {
        int first = step * BATCH % (TRAINING - BATCH);
        float rate = 0.1f;
        /* The results that update a parameter may be written to the parameter itself. */
        check(train_step(n->b1, n->b2, n->w1, n->w2, v->b1, v->b2, v->w1, v->w2, images + first * PIXELS,
                         labels + first, &rate, n->b1, n->b2, n->w1, n->w2, v->b1, v->b2, v->w1, v->w2, &loss));
        if (step % 40 == 0 || step == STEPS - 1) printf("step %3d: loss %.4f\n", step, (double)loss);
    }
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "build/digits";
    read_file(directory, "w1.f32", trained.w1, sizeof(float), PIXELS * HIDDEN);
    read_file(directory, "b1.f32", trained.b1, sizeof(float), HIDDEN);
    read_file(directory, "w2.f32", trained.w2, sizeof(float), HIDDEN * CLASSES);
    read_file(directory, "b2.f32", trained.b2, sizeof(float), CLASSES);
    read_file(directory, "test_images.f32", test_images, sizeof(float), TEST * PIXELS);
    read_file(directory, "test_labels.i32", test_labels, sizeof(int32_t), TEST);
    read_file(directory, "train_images.f32", images, sizeof(float), TRAINING * PIXELS);
    read_file(directory, "train_labels.i32", labels, sizeof(int32_t), TRAINING);
    show_accuracy(&trained);
    train(&fresh, &velocity);
    show_accuracy(&fresh);
    return 0;
}
