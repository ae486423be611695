/* Vectors of the widest kind that the including file is compiled for (GCC and Clang vector extensions). */
#ifndef BCPNET_VECTORS_H
#define BCPNET_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The instruction sets behind LANES. (Clang leaves __AVX2__ and its like undefined in level_*.c.) */
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define WITH_AVX512 (LANES == 16)
#define WITH_AVX2 (LANES >= 8)
#else
#define WITH_AVX512 0
#define WITH_AVX2 0
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef float vfloat __attribute__((vector_size(4 * LANES)));
typedef int32_t vint __attribute__((vector_size(4 * LANES)));
/* The same in memory, at any address. */
typedef float vfloat_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vfloat load(const float *from) { return *(const vfloat_memory *)from; }
INLINE void store(float *to, vfloat v) { *(vfloat_memory *)to = v; }
INLINE vfloat splat(float x) { return x - (vfloat){0}; }

/* The larger of each pair, and the smaller: compilers do not find these instructions behind comparisons. */
#if WITH_AVX512
INLINE vfloat vmax(vfloat a, vfloat b) { return (vfloat)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vfloat vmin(vfloat a, vfloat b) { return (vfloat)_mm512_min_ps((__m512)a, (__m512)b); }
#elif WITH_AVX2
INLINE vfloat vmax(vfloat a, vfloat b) { return (vfloat)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vfloat vmin(vfloat a, vfloat b) { return (vfloat)_mm256_min_ps((__m256)a, (__m256)b); }
#elif defined(__SSE2__)
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

/* LANES bytes as integers; and back, what is over 255 as 255. GCC moves them one by one if left to itself. */
#if WITH_AVX512
INLINE vint load_bytes(const uint8_t *from) { return (vint)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from)); }
INLINE void store_bytes(uint8_t *to, vint v) { _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8((__m512i)v)); }
#elif WITH_AVX2
INLINE vint load_bytes(const uint8_t *from) { return (vint)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from)); }
INLINE void store_bytes(uint8_t *to, vint v)
{
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(words, words));
}
#elif defined(__SSE2__)
INLINE vint load_bytes(const uint8_t *from)
{
    int32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), _mm_setzero_si128());
    return (vint)_mm_unpacklo_epi16(words, _mm_setzero_si128());
}
INLINE void store_bytes(uint8_t *to, vint v)
{
    __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
    int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(to, &bytes, sizeof bytes);
}
#elif defined(__aarch64__)
INLINE vint load_bytes(const uint8_t *from)
{
    uint32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    return (vint)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))));
}
INLINE void store_bytes(uint8_t *to, vint v)
{
    uint16x4_t words = vqmovun_s32((int32x4_t)v);
    uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(words, words))), 0);
    memcpy(to, &bytes, sizeof bytes);
}
#else
typedef uint8_t vbyte __attribute__((vector_size(LANES)));
INLINE vint load_bytes(const uint8_t *from)
{
    vbyte bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, vint);
}
INLINE void store_bytes(uint8_t *to, vint v)
{
    vint over = v > 255;
    vbyte bytes = __builtin_convertvector((over & 255) | (~over & v), vbyte);
    memcpy(to, &bytes, sizeof bytes);
}
#endif

#endif
