/* Kernels for what every CPU of the architecture has: SSE2 on x86-64, NEON on 64-bit Arm. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define LANES 4
#define LEVEL "baseline"
#define KERNELS kernels_baseline
#include "level.inc"
