/* 8-bit kernels for what every CPU of the architecture has: SSE2 on x86-64, NEON on 64-bit Arm. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 4
#define INT8_LEVEL "baseline"
#define INT8_KERNELS int8_kernels_baseline
#include "int8_level.inc"
