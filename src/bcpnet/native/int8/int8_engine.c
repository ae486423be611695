/* Runs 8-bit networks: what Python calls, through ctypes. */
#include <stddef.h>
#include <string.h>

#include "../cpu.h"
#include "../jobs.h"
#include "../layers.h"
#include "int8_kernels.h"

#include "int8_check.inc"

static int runs_here(const Int8Kernels *these)
{
#ifdef BCPNET_AVX512VNNI
    if (these == &int8_kernels_avx512vnni)
        return cpu_has_avx512vnni();
#endif
#ifdef BCPNET_AVXVNNI
    if (these == &int8_kernels_avxvnni)
        return cpu_has_avxvnni();
#endif
#if defined(__x86_64__) || defined(__i386__)
    if (these == &int8_kernels_avx2)
        return cpu_has_avx2_fma();
#endif
#ifdef BCPNET_DOTPROD
    if (these == &int8_kernels_i8mm)
        return cpu_has_i8mm();
    if (these == &int8_kernels_dotprod)
        return cpu_has_dotprod();
#endif
    return these == &int8_kernels_baseline;
}

/* The kernels of a level, or the best for NULL; NULL where this CPU lacks them. */
const Int8Kernels *bcpnet_int8_kernels(const char *level)
{
    static const Int8Kernels *const best_first[] = {
#ifdef BCPNET_AVX512VNNI
        &int8_kernels_avx512vnni,
#endif
#ifdef BCPNET_AVXVNNI
        &int8_kernels_avxvnni,
#endif
#if defined(__x86_64__) || defined(__i386__)
        &int8_kernels_avx2,
#endif
#ifdef BCPNET_DOTPROD
        &int8_kernels_i8mm, &int8_kernels_dotprod,
#endif
        &int8_kernels_baseline,
    };
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++)
        if (runs_here(best_first[i]) && (!level || !strcmp(level, best_first[i]->level)))
            return best_first[i];
    return NULL;
}

const char *bcpnet_int8_level(const Int8Kernels *of) { return of->level; }
int bcpnet_int8_lanes(const Int8Kernels *of) { return of->lanes; }
int bcpnet_int8_less(const Int8Kernels *of) { return of->less; }
ptrdiff_t bcpnet_int8_multiply_adds(const Int8Kernels *of, ptrdiff_t count) { return of->multiply_adds(count); }

/* Bytes of a layer, by which Python knows that its structures are those of this library. */
int bcpnet_int8_layer_bytes(void) { return (int)sizeof(Int8Layer); }

/* Bytes that one thread needs beside a layer's tensors; a depthwise convolution does four columns at a time. */
static size_t scratch_of(const Int8Layer *layer, size_t lanes)
{
    size_t columns = (size_t)layer->tile_width, stride = (size_t)layer->stride, spare = 0;
    const size_t floats = layer->as_floats ? 4 * columns * (size_t)filled(layer->project.outputs, (int64_t)lanes) : 0;
    if (layer->kind != INT8_SEPARABLE)
        return floats;
    size_t channels = (size_t)filled(layer->channels, (int64_t)lanes), count = (columns - 1) * stride + 3;
    size_t window = 4 * channels * (count + 3 * stride), filtered = channels * (columns + 3);
    if (layer->front == INT8_FRAME)
        spare = 3 * (3 * (2 * count + 1) + 3);
    else if (layer->front == INT8_SUM)
        spare = (size_t)layer->n_sources * (count * (size_t)layer->pitch + 16);
    return window + filtered + (spare > floats ? spare : floats);
}

static int tiles_of(const void *of)
{
    const Int8Layer *layer = of;
    int down = (layer->out_height + layer->tile_height - 1) / layer->tile_height;
    return down * ((layer->out_width + layer->tile_width - 1) / layer->tile_width);
}

static void run_tile(const void *kernels, const void *layer, int tile, void *scratch)
{
    ((const Int8Kernels *)kernels)->layer_tile(layer, tile, scratch);
}

/* As bcpnet_run, for 8-bit networks. */
int bcpnet_int8_run(const Int8Kernels *kernels, Pool *pool, const Int8Layer *layers, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        if (!layer_fits(&layers[i], kernels->lanes))
            return REFUSED;
        size_t of_layer = scratch_of(&layers[i], (size_t)kernels->lanes);
        bytes = of_layer > bytes ? of_layer : bytes;
    }
    Job job = {.kernels = kernels, .layers = (const char *)layers, .layer_bytes = sizeof *layers, .count = count,
               .scratch_bytes = bytes, .tiles_of = tiles_of, .run_tile = run_tile};
    return bcpnet_do_job(pool, &job) ? DONE : NO_MEMORY;
}
