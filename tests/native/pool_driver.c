/* The engine's pool with a kernel of its own, for ThreadSanitizer: every tile reads what all tiles of the layer before
   wrote. Exit code 0: every number was right. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernels.h"

enum { HEIGHT = 48, ROWS = 5, LAYERS = 7, ROUNDS = 60, WORKERS = 3 };

void *bcpnet_pool(int workers);
void bcpnet_pool_free(void *pool);
int bcpnet_run(const Kernels *kernels, void *pool, const Layer *layers, int count);

static void tile(const Layer *layer, int number, float *scratch)
{
    int first = number * layer->tile_height, end = first + layer->tile_height;
    for (int y = first; y < end && y < layer->out_height; y++) {
        scratch[0] = layer->sources[0].data[HEIGHT - 1 - y];
        layer->out[y] = scratch[0] + 1;
    }
}

static const Kernels kernels = {.level = "test", .lanes = 4, .widest = 3, .layer_tile = tile};

static void *caller(void *result)
{
    float maps[LAYERS + 1][HEIGHT + 4], weights[4] = {0}, bias[4] = {0};
    Layer layers[LAYERS];
    memset(layers, 0, sizeof layers);
    for (int i = 0; i < LAYERS; i++) {
        Layer *layer = &layers[i];
        layer->kind = POINTWISE, layer->front = FRONT_SUM, layer->kernel = layer->stride = 1;
        layer->out_height = HEIGHT, layer->out_width = 1, layer->tile_height = ROWS, layer->tile_width = 1;
        layer->n_sources = 1;
        layer->sources[0] = (Source){.data = maps[i], .floats = HEIGHT + 4, .height = HEIGHT, .width = 1};
        layer->project = (Product){.weights = weights, .bias = bias, .weights_floats = 4, .bias_floats = 4};
        layer->project.inputs = layer->project.outputs = 1;
        layer->out = maps[i + 1], layer->out_floats = HEIGHT;
    }
    int *good = result;
    for (int pools = 0; pools < 3 && *good; pools++) { /* threads that end, and start anew */
        void *pool = bcpnet_pool(WORKERS);
        for (int round = 0; round < ROUNDS && *good; round++) {
            for (int y = 0; y < HEIGHT; y++)
                maps[0][y] = (float)round;
            *good = bcpnet_run(&kernels, pool, layers, LAYERS) == DONE;
            for (int y = 0; y < HEIGHT; y++)
                *good = *good && maps[LAYERS][y] == (float)(round + LAYERS);
        }
        bcpnet_pool_free(pool);
    }
    return NULL;
}

int main(void)
{
    int good[2] = {1, 1};
    pthread_t other;
    if (pthread_create(&other, NULL, caller, &good[1]))
        return 2;
    caller(&good[0]);
    pthread_join(other, NULL);
    return good[0] && good[1] ? 0 : 1;
}
