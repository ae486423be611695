/* Kernels for x86 with AVX-512 (Skylake server, Ice Lake, Zen 4 and later). */
#if defined(__x86_64__) || defined(__i386__)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 16
#define LEVEL "avx512"
#define KERNELS kernels_avx512
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#include "level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#include "level.inc"
#endif
#endif
