/* 8-bit kernels for x86 with AVX-VNNI (Alder Lake, Zen 5 and later). */
#include "int8_kernels.h"
#if defined(BCPNET_AVXVNNI)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 8
#define INT8_LEVEL "avxvnni"
#define INT8_KERNELS int8_kernels_avxvnni
#define WITH_AVXVNNI
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#include "int8_level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("avx2,fma,avxvnni")
#include "int8_level.inc"
#endif
#endif
