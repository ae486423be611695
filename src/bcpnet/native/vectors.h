/* Vectors of the widest kind that the including file is compiled for (GCC and Clang vector extensions). */
#ifndef BCPNET_VECTORS_H
#define BCPNET_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

typedef float vfloat __attribute__((vector_size(4 * LANES)));
typedef int32_t vint __attribute__((vector_size(4 * LANES)));
typedef uint8_t vbyte __attribute__((vector_size(LANES)));
/* The same in memory, at any address. */
typedef float vfloat_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint8_t vbyte_memory __attribute__((vector_size(LANES), aligned(1), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vfloat load(const float *from) { return *(const vfloat_memory *)from; }
INLINE void store(float *to, vfloat v) { *(vfloat_memory *)to = v; }
INLINE vfloat splat(float x) { return x - (vfloat){0}; }

/* The larger of each pair, and the smaller: compilers do not find these instructions behind comparisons. */
#if defined(__AVX512F__) && LANES == 16
INLINE vfloat vmax(vfloat a, vfloat b) { return (vfloat)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vfloat vmin(vfloat a, vfloat b) { return (vfloat)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__) && LANES == 8
INLINE vfloat vmax(vfloat a, vfloat b) { return (vfloat)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vfloat vmin(vfloat a, vfloat b) { return (vfloat)_mm256_min_ps((__m256)a, (__m256)b); }
#elif defined(__SSE2__) && LANES == 4
INLINE vfloat vmax(vfloat a, vfloat b) { return (vfloat)_mm_max_ps((__m128)a, (__m128)b); }
INLINE vfloat vmin(vfloat a, vfloat b) { return (vfloat)_mm_min_ps((__m128)a, (__m128)b); }
#else
INLINE vfloat vmax(vfloat a, vfloat b)
{
    vint larger = a > b;
    return (vfloat)((larger & (vint)a) | (~larger & (vint)b));
}
INLINE vfloat vmin(vfloat a, vfloat b)
{
    vint smaller = a < b;
    return (vfloat)((smaller & (vint)a) | (~smaller & (vint)b));
}
#endif

#endif
