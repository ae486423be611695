/* Kernels for x86 with AVX2 and FMA (Haswell, Zen and later). */
#if defined(__x86_64__) || defined(__i386__)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 8
#define LEVEL "avx2"
#define KERNELS kernels_avx2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("avx2,fma")
#include "level.inc"
#endif
#endif
