/* What each CPU level offers: the same functions, compiled for its vectors. */
#ifndef BCPNET_KERNELS_H
#define BCPNET_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "layers.h"

typedef struct {
    const char *level;  /* "avx512", "avx2" or "baseline" */
    int lanes, widest;  /* floats in a vector; vectors in the widest panel of a product's weights */
    void (*layer_tile)(const Layer *layer, int tile, float *scratch);
} Kernels;

#if defined(__x86_64__) || defined(__i386__)
extern const Kernels kernels_avx512, kernels_avx2;
#endif
extern const Kernels kernels_baseline;

#endif
