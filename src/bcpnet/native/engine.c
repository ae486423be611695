/* Runs a list of layers, their tiles dealt to threads as these come free. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "aligned.h"
#include "jobs.h"
#include "kernels.h"
#include "layers.h"

#include "check.inc"

enum { SPINS_IN_JOB = 4000, SPINS_BETWEEN = 20000 };

struct Pool {
    int workers;
    pthread_t *threads;
    pid_t owner;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    Job *job;
    atomic_int generation, active, stop;
};

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

static int tiles_of(const void *of)
{
    const Layer *layer = of;
    int down = (layer->out_height + layer->tile_height - 1) / layer->tile_height;
    return down * ((layer->out_width + layer->tile_width - 1) / layer->tile_width);
}

static void work(const Job *job, void *scratch)
{
    for (int i = 0; i < job->count; i++) {
        const void *layer = job->layers + (size_t)i * job->layer_bytes;
        int tiles = job->tiles_of(layer);
        for (int tile; (tile = atomic_fetch_add(&job->next[i], 1)) < tiles;) {
            job->run_tile(job->kernels, layer, tile, scratch);
            atomic_fetch_add(&job->done[i], 1);
        }
        for (int spins = 0; atomic_load(&job->done[i]) < tiles; spins++)
            relax(spins);
    }
}

static int grow(void **scratch, size_t *room, const Job *job)
{
    if (job->scratch_bytes > *room || !*scratch) {
        free_aligned(*scratch);
        *room = 0;
        *scratch = allocate_aligned((job->scratch_bytes / 64 + 2) * 64);
        if (!*scratch)
            return 0;
        *room = job->scratch_bytes;
    }
    return 1;
}

static void *serve(void *argument)
{
    Pool *pool = argument;
    void *scratch = NULL;
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
    free_aligned(scratch);
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

int bcpnet_do_job(Pool *pool, Job *job)
{
    void *scratch = NULL;
    size_t room = 0;
    job->next = calloc(2 * (size_t)job->count, sizeof *job->next);
    int ready = job->next && grow(&scratch, &room, job);
    if (ready) {
        job->done = job->next + job->count;
        int shared = pool && pool->workers && pool->owner == getpid();
        if (shared) {
            pthread_mutex_lock(&pool->mutex);
            pool->job = job;
            atomic_fetch_add(&pool->generation, 1);
            pthread_cond_broadcast(&pool->wake);
            pthread_mutex_unlock(&pool->mutex);
        }
        work(job, scratch);
        if (shared) {
            pthread_mutex_lock(&pool->mutex);
            pool->job = NULL;
            pthread_mutex_unlock(&pool->mutex);
            for (int spins = 0; atomic_load(&pool->active); spins++)
                relax(spins);
        }
    }
    free(job->next);
    free_aligned(scratch);
    return ready;
}

/* Bytes of a layer, by which Python knows that its structures are those of this library. */
int bcpnet_layer_bytes(void) { return (int)sizeof(Layer); }

static void run_tile(const void *kernels, const void *layer, int tile, void *scratch)
{
    ((const Kernels *)kernels)->layer_tile(layer, tile, scratch);
}

/* Computes the layers one after the other: DONE; NO_MEMORY for the scratch space; or REFUSED, with nothing done, where a
   layer would leave its memory. */
int bcpnet_run(const Kernels *kernels, Pool *pool, const Layer *layers, int count)
{
    size_t floats = 0;
    for (int i = 0; i < count; i++) {
        if (!layer_fits(&layers[i], kernels->lanes))
            return REFUSED;
        size_t of_layer = scratch_of(&layers[i], (size_t)kernels->lanes);
        floats = of_layer > floats ? of_layer : floats;
    }
    Job job = {.kernels = kernels, .layers = (const char *)layers, .layer_bytes = sizeof *layers, .count = count,
               .scratch_bytes = floats * sizeof(float), .tiles_of = tiles_of, .run_tile = run_tile};
    return bcpnet_do_job(pool, &job) ? DONE : NO_MEMORY;
}
