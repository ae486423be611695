/* What each CPU level offers: the same functions, compiled for its vectors. */
#ifndef BCPNET_KERNELS_H
#define BCPNET_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *level; /* "avx512", "avx2" or "baseline" */
} Kernels;

#if defined(__x86_64__) || defined(__i386__)
extern const Kernels kernels_avx512, kernels_avx2;
#endif
extern const Kernels kernels_baseline;

/* Those of the best level that this CPU has. */
const Kernels *kernels(void);

#endif
