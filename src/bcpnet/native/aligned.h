/* Memory that starts at a multiple of 64 bytes, a cache line. Windows has functions of its own for it. */
#ifndef BCPNET_ALIGNED_H
#define BCPNET_ALIGNED_H

#include <stdlib.h>

#if defined(_WIN32)
#include <malloc.h>
static inline void *allocate_aligned(size_t bytes) { return _aligned_malloc(bytes, 64); }
static inline void free_aligned(void *memory) { _aligned_free(memory); }
#else
/* `bytes` is a multiple of 64. */
static inline void *allocate_aligned(size_t bytes) { return aligned_alloc(64, bytes); }
static inline void free_aligned(void *memory) { free(memory); }
#endif

#endif
