/* Runs a list of layers, their tiles dealt to threads as these come free. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels.h"
#include "layers.h"

#include "check.inc"

enum { SPINS_IN_JOB = 4000, SPINS_BETWEEN = 20000 };

typedef struct {
    const Kernels *kernels;
    const Layer *layers;
    int count;
    atomic_int *next, *done; /* of each layer: the tile to take, and how many are finished */
} Job;

typedef struct {
    int workers;
    pthread_t *threads;
    pid_t owner;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    Job *job;
    atomic_int generation, active, stop;
} Pool;

typedef struct {
    Pool *pool;
    float *scratch;
    size_t room;
} Worker;

static void relax(int spins)
{
    if (spins % 64 == 63 && spins > SPINS_IN_JOB)
        sched_yield();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static size_t whole(size_t channels, size_t lanes) { return (channels + lanes - 1) / lanes * lanes; }

/* Floats that one thread needs beside a layer's tensors. */
static size_t scratch_of(const Layer *layer, size_t lanes)
{
    if (layer->kind == GATE)
        return 2 * whole((size_t)layer->channels, lanes) + whole((size_t)layer->expand.outputs, lanes);
    size_t columns = (size_t)layer->tile_width, channels = whole((size_t)layer->channels, lanes);
    size_t count = (columns - 1) * (size_t)layer->stride + (size_t)layer->kernel;
    return ((size_t)layer->kernel * count + columns) * channels + 9 * (2 * count + 1) + lanes;
}

static int tiles_of(const Layer *layer)
{
    int down = (layer->out_height + layer->tile_height - 1) / layer->tile_height;
    return down * ((layer->out_width + layer->tile_width - 1) / layer->tile_width);
}

static void work(const Job *job, float *scratch)
{
    for (int i = 0; i < job->count; i++) {
        const Layer *layer = &job->layers[i];
        int tiles = tiles_of(layer);
        for (int tile; (tile = atomic_fetch_add(&job->next[i], 1)) < tiles;) {
            job->kernels->layer_tile(layer, tile, scratch);
            atomic_fetch_add(&job->done[i], 1);
        }
        for (int spins = 0; atomic_load(&job->done[i]) < tiles; spins++)
            relax(spins);
    }
}

static int grow(float **scratch, size_t *room, const Job *job)
{
    size_t need = 0;
    for (int i = 0; i < job->count; i++) {
        size_t of_layer = scratch_of(&job->layers[i], (size_t)job->kernels->lanes);
        need = of_layer > need ? of_layer : need;
    }
    if (need > *room || !*scratch) {
        free(*scratch);
        *room = 0;
        size_t bytes = (need * sizeof(float) / 64 + 2) * 64;
        *scratch = aligned_alloc(64, bytes);
        if (!*scratch)
            return 0;
        *room = need;
    }
    return 1;
}

static void *serve(void *argument)
{
    Pool *pool = argument;
    float *scratch = NULL;
    size_t room = 0;
    int seen = 0;
    for (;;) {
        for (int spins = 0; spins < SPINS_BETWEEN && atomic_load(&pool->generation) == seen; spins++)
            relax(0);
        pthread_mutex_lock(&pool->mutex);
        while (atomic_load(&pool->generation) == seen && !atomic_load(&pool->stop))
            pthread_cond_wait(&pool->wake, &pool->mutex);
        seen = atomic_load(&pool->generation);
        Job *job = pool->job;
        if (job)
            atomic_fetch_add(&pool->active, 1);
        int stop = atomic_load(&pool->stop);
        pthread_mutex_unlock(&pool->mutex);
        if (stop)
            break;
        if (job) {
            if (grow(&scratch, &room, job)) /* without memory the others do the work */
                work(job, scratch);
            atomic_fetch_sub(&pool->active, 1);
        }
    }
    free(scratch);
    return NULL;
}

/* Threads beside the caller's own; NULL where they cannot be had. */
Pool *bcpnet_pool(int workers)
{
    Pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->owner = getpid();
    pool->threads = calloc((size_t)workers + 1, sizeof *pool->threads);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (; pool->threads && pool->workers < workers; pool->workers++)
        if (pthread_create(&pool->threads[pool->workers], NULL, serve, pool))
            break;
    return pool;
}

void bcpnet_pool_free(Pool *pool)
{
    if (pool->owner == getpid()) { /* after a fork they exist in the parent alone */
        pthread_mutex_lock(&pool->mutex);
        atomic_store(&pool->stop, 1);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
        for (int i = 0; i < pool->workers; i++)
            pthread_join(pool->threads[i], NULL);
    }
    free(pool->threads);
    free(pool);
}

/* Bytes of a layer, by which Python knows that its structures are those of this library. */
int bcpnet_layer_bytes(void) { return (int)sizeof(Layer); }

/* Computes the layers one after the other: DONE; NO_MEMORY for the scratch space; or REFUSED, with nothing done, where a
   layer would leave its memory. */
int bcpnet_run(const Kernels *kernels, Pool *pool, const Layer *layers, int count)
{
    for (int i = 0; i < count; i++)
        if (!layer_fits(&layers[i], kernels->lanes))
            return REFUSED;
    float *scratch = NULL;
    size_t room = 0;
    Job job = {.kernels = kernels, .layers = layers, .count = count};
    job.next = calloc(2 * (size_t)count, sizeof *job.next);
    int ready = job.next && grow(&scratch, &room, &job);
    if (ready) {
        job.done = job.next + count;
        int shared = pool && pool->workers && pool->owner == getpid();
        if (shared) {
            pthread_mutex_lock(&pool->mutex);
            pool->job = &job;
            atomic_fetch_add(&pool->generation, 1);
            pthread_cond_broadcast(&pool->wake);
            pthread_mutex_unlock(&pool->mutex);
        }
        work(&job, scratch);
        if (shared) {
            pthread_mutex_lock(&pool->mutex);
            pool->job = NULL;
            pthread_mutex_unlock(&pool->mutex);
            for (int spins = 0; atomic_load(&pool->active); spins++)
                relax(spins);
        }
    }
    free(job.next);
    free(scratch);
    return ready ? DONE : NO_MEMORY;
}
