/* 8-bit kernels for x86 with AVX-512's VNNI and VBMI2 (Ice Lake, Zen 4 and later). */
#include "int8_kernels.h"
#if defined(BCPNET_AVX512VNNI)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 16
#define INT8_LEVEL "avx512vnni"
#define INT8_KERNELS int8_kernels_avx512vnni
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi2,avx2,fma"))), apply_to = function)
#include "int8_level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi2,avx2,fma,prefer-vector-width=512")
#include "int8_level.inc"
#endif
#endif
