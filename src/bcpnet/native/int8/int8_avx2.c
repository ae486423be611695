/* 8-bit kernels for x86 with AVX2 and FMA (Haswell, Zen and later). */
#include "int8_kernels.h"
#if defined(__x86_64__) || defined(__i386__)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 8
#define INT8_LEVEL "avx2"
#define INT8_KERNELS int8_kernels_avx2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "int8_level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("avx2,fma")
#include "int8_level.inc"
#endif
#endif
