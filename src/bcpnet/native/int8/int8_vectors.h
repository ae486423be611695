/* 8-bit products and packing on vectors of LANES 32-bit numbers; the including file says which instructions there are. */
#ifndef BCPNET_INT8_VECTORS_H
#define BCPNET_INT8_VECTORS_H

#include "../vectors.h"

#if defined(WITH_DOTPROD)
enum { LESS = 128 };
#else
enum { LESS = 0 };
#endif

typedef uint32_t vuint __attribute__((vector_size(4 * LANES)));

INLINE vint load_ints(const void *from)
{
    vint v;
    memcpy(&v, from, sizeof v);
    return v;
}
INLINE void store_ints(void *to, vint v) { memcpy(to, &v, sizeof v); }

/* Channels, filled up to whole vectors. */
static int whole(int channels) { return (channels + LANES - 1) / LANES * LANES; }

INLINE vint splat_int(int32_t x) { return x - (vint){0}; }

/* The same 4 bytes in every lane. */
INLINE vint splat_bytes(const uint8_t *from)
{
    int32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
#if WITH_AVX512
    return (vint)_mm512_set1_epi32(bytes);
#elif WITH_AVX2
    return (vint)_mm256_set1_epi32(bytes);
#else
    return splat_int(bytes);
#endif
}

/* sum + the four products of each lane, unsigned bytes (less LESS) times signed ones of at most 64. */
INLINE vint dot(vint sum, vint bytes, vint weights)
{
#if WITH_AVX512
    return (vint)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)bytes, (__m512i)weights);
#elif WITH_AVX2 && defined(WITH_AVXVNNI)
    return (vint)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)bytes, (__m256i)weights);
#elif WITH_AVX2 /* pairs add up in 16 bits, which saturate: 2 * 64 * 255 does not */
    __m256i pairs = _mm256_maddubs_epi16((__m256i)bytes, (__m256i)weights);
    return sum + (vint)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif defined(__SSE2__)
    __m128i zero = _mm_setzero_si128(), u = (__m128i)bytes, s = (__m128i)weights;
    __m128i low = _mm_madd_epi16(_mm_unpacklo_epi8(u, zero), _mm_srai_epi16(_mm_unpacklo_epi8(s, s), 8));
    __m128i high = _mm_madd_epi16(_mm_unpackhi_epi8(u, zero), _mm_srai_epi16(_mm_unpackhi_epi8(s, s), 8));
    __m128 a = _mm_castsi128_ps(low), b = _mm_castsi128_ps(high);
    return sum + (vint)_mm_shuffle_ps(a, b, 0x88) + (vint)_mm_shuffle_ps(a, b, 0xdd);
#elif defined(WITH_I8MM)
    return (vint)vusdotq_s32((int32x4_t)sum, (uint8x16_t)bytes, (int8x16_t)weights);
#elif defined(WITH_DOTPROD) /* the bytes less LESS */
    int8x16_t less = (int8x16_t)veorq_u8((uint8x16_t)bytes, vdupq_n_u8(LESS));
    return (vint)vdotq_s32((int32x4_t)sum, less, (int8x16_t)weights);
#elif defined(__aarch64__)
    uint8x16_t u = (uint8x16_t)bytes;
    int8x16_t s = (int8x16_t)weights;
    int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(u))), vmovl_s8(vget_low_s8(s)));
    int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(u))), vmovl_s8(vget_high_s8(s)));
    return sum + (vint)vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
#else
    uint8_t u[4 * LANES];
    int8_t s[4 * LANES];
    memcpy(u, &bytes, sizeof u);
    memcpy(s, &weights, sizeof s);
    for (int i = 0; i < 4 * LANES; i++)
        sum[i / 4] += u[i] * s[i];
    return sum;
#endif
}

/* a * b + c, rounded once. */
INLINE vfloat fused(vfloat a, vfloat b, vfloat c)
{
#if WITH_AVX512
    return (vfloat)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif WITH_AVX2
    return (vfloat)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vfloat)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    typedef double vdouble __attribute__((vector_size(8 * LANES)));
    vdouble exact = __builtin_convertvector(a, vdouble) * __builtin_convertvector(b, vdouble);
    return __builtin_convertvector(exact + __builtin_convertvector(c, vdouble), vfloat);
#endif
}

/* The same, and the compiler does not join the operation that made it with the next: both are rounded. */
INLINE vfloat rounded(vfloat v)
{
#if defined(__x86_64__) || defined(__i386__)
#if WITH_AVX512
    __asm__("" : "+v"(v));
#else
    __asm__("" : "+x"(v));
#endif
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#endif
    return v;
}

/* The nearest whole numbers, of halves the even ones. */
INLINE vint nearest(vfloat v)
{
#if WITH_AVX512
    return (vint)_mm512_cvtps_epi32((__m512)v);
#elif WITH_AVX2
    return (vint)_mm256_cvtps_epi32((__m256)v);
#elif defined(__SSE2__)
    return (vint)_mm_cvtps_epi32((__m128)v);
#elif defined(__aarch64__)
    return (vint)vcvtnq_s32_f32((float32x4_t)v);
#else /* floats have no fractions beyond 2^23 */
    return (vint)(v + splat(12582912.0f)) - 0x4B400000;
#endif
}

/* Sums of products, times their scale. With `float_start` they began at 0x4B000000: their bits are those of the float
   2^23 + sum, and need no conversion; negative sums come out too near to zero, but negative. */
INLINE vfloat scaled(const int float_start, vint sum, vfloat scale)
{
    if (!float_start)
        return rounded(__builtin_convertvector(sum, vfloat) * scale);
#if WITH_AVX2 || defined(__aarch64__)
    return fused((vfloat)sum, scale, scale * -8388608.0f);
#else
    return rounded(((vfloat)sum - 8388608.0f) * scale);
#endif
}

/* Every lane one byte further down; the lowest byte of `last` comes in at the top. */
INLINE vint push_byte(vint lanes, vint last)
{
#if WITH_AVX512
    return (vint)_mm512_shrdi_epi32((__m512i)lanes, (__m512i)last, 8);
#else
    return (vint)((vuint)lanes >> 8) | last << 24;
#endif
}

/* Four vectors of whole numbers plus `zero` as bytes, what is below 0 or above 255 as that. `positive`: zero is 0. */
typedef struct {
#if WITH_AVX512
    __m512i bytes;
#else
    uint8_t bytes[4 * LANES];
#endif
} FourPacked;

INLINE FourPacked pack_four(const int positive, const vint *number, int zero)
{
    FourPacked four;
#if WITH_AVX512
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i zeros = _mm512_set1_epi16((short)zero);
    __m512i words = _mm512_packs_epi32((__m512i)number[0], (__m512i)number[1]);
    __m512i more = _mm512_packs_epi32((__m512i)number[2], (__m512i)number[3]);
    if (!positive)
        words = _mm512_adds_epi16(words, zeros), more = _mm512_adds_epi16(more, zeros);
    four.bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, more));
#elif WITH_AVX2
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), zeros = _mm256_set1_epi16((short)zero);
    __m256i words = _mm256_packs_epi32((__m256i)number[0], (__m256i)number[1]);
    __m256i more = _mm256_packs_epi32((__m256i)number[2], (__m256i)number[3]);
    if (!positive)
        words = _mm256_adds_epi16(words, zeros), more = _mm256_adds_epi16(more, zeros);
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, more), order);
    _mm256_storeu_si256((__m256i *)four.bytes, bytes);
#elif defined(__SSE2__)
    const __m128i zeros = _mm_set1_epi16((short)zero);
    __m128i words = _mm_packs_epi32((__m128i)number[0], (__m128i)number[1]);
    __m128i more = _mm_packs_epi32((__m128i)number[2], (__m128i)number[3]);
    if (!positive)
        words = _mm_adds_epi16(words, zeros), more = _mm_adds_epi16(more, zeros);
    _mm_storeu_si128((__m128i *)four.bytes, _mm_packus_epi16(words, more));
#else
    for (int i = 0; i < 4; i++) {
        vint whole_number = positive ? number[i] : number[i] + zero, above = whole_number > 0;
        store_bytes(four.bytes + i * LANES, whole_number & above);
    }
#endif
    return four;
}

/* One of them, its first `count` bytes: LANES, or less and a multiple of 4. */
INLINE void store_packed(uint8_t *to, const FourPacked *four, const int i, int count)
{
#if WITH_AVX512
    const __m128i bytes = _mm512_extracti32x4_epi32(four->bytes, i);
    if (count == LANES)
        _mm_storeu_si128((__m128i *)to, bytes);
    else
        _mm_mask_storeu_epi32(to, (__mmask8)((1 << count / 4) - 1), bytes);
#else
    if (count == LANES)
        memcpy(to, four->bytes + i * LANES, LANES);
    else
        memcpy(to, four->bytes + i * LANES, 4);
#endif
}

/* All of them one behind the other, the first `count` bytes of each: LANES, or less and a multiple of 4. */
INLINE void store_four(uint8_t *to, const FourPacked *four, int count)
{
#if WITH_AVX512
    if (count == LANES) {
        _mm512_storeu_si512(to, four->bytes);
        return;
    }
    static const int32_t orders[3][16] = {{0, 4, 8, 12},
                                          {0, 1, 4, 5, 8, 9, 12, 13},
                                          {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14}};
    const __m512i order = _mm512_loadu_si512(orders[count / 4 - 1]);
    _mm512_mask_storeu_epi32(to, (__mmask16)((1 << count) - 1), _mm512_permutexvar_epi32(order, four->bytes));
#else
    if (count == LANES)
        memcpy(to, four->bytes, 4 * LANES);
    else
        for (int i = 0; i < 4; i++)
            memcpy(to + 4 * i, four->bytes + i * LANES, 4);
#endif
}

#endif
