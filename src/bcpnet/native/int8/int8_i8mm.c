/* 8-bit kernels for 64-bit Arm with I8MM (Neoverse V1, Cortex-A510 and A710, Apple M2 and later). */
#include "int8_kernels.h"
#if defined(BCPNET_DOTPROD)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 4
#define INT8_LEVEL "i8mm"
#define INT8_KERNELS int8_kernels_i8mm
#define WITH_I8MM
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("i8mm"))), apply_to = function)
#include "int8_level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("arch=armv8.2-a+i8mm")
#include "int8_level.inc"
#endif
#endif
