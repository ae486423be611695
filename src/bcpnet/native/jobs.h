/* What the pool's threads do together: the tiles of a list of layers, one layer after the other. */
#ifndef BCPNET_JOBS_H
#define BCPNET_JOBS_H

#include <stdatomic.h>
#include <stddef.h>

typedef struct Pool Pool;

/* Layers of any kind. What is behind `next` and `done` belongs to the pool. */
typedef struct {
    const void *kernels;
    const char *layers; /* `count` of them, `layer_bytes` apart */
    size_t layer_bytes;
    int count;
    size_t scratch_bytes; /* what one thread needs beside a layer's tensors */
    int (*tiles_of)(const void *layer);
    void (*run_tile)(const void *kernels, const void *layer, int tile, void *scratch);
    atomic_int *next, *done; /* of each layer: the tile to take, and how many are finished */
} Job;

/* Does it, with the pool's threads where there is a pool: 1, or 0 with nothing done where memory is short. */
int bcpnet_do_job(Pool *pool, Job *job);

#endif
