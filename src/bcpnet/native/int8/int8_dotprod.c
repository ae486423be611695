/* 8-bit kernels for 64-bit Arm with dot products (Cortex-A55, A76 and later). */
#include "int8_kernels.h"
#if defined(BCPNET_DOTPROD)
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 4
#define INT8_LEVEL "dotprod"
#define INT8_KERNELS int8_kernels_dotprod
#define WITH_DOTPROD
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#include "int8_level.inc"
#pragma clang attribute pop
#else
#pragma GCC target("arch=armv8.2-a+dotprod")
#include "int8_level.inc"
#endif
#endif
