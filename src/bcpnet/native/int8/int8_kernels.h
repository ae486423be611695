/* What each CPU level offers for 8-bit networks. */
#ifndef BCPNET_INT8_KERNELS_H
#define BCPNET_INT8_KERNELS_H

#include <stddef.h>

#include "int8_layers.h"

typedef struct {
    const char *level; /* "avx512vnni", "avxvnni", "avx2"; "i8mm", "dotprod"; "baseline" */
    int lanes;         /* 32-bit numbers in a vector */
    int less;          /* what products take off every byte first, where they know signed ones only: 128, or 0 */
    void (*layer_tile)(const Int8Layer *layer, int tile, uint8_t *scratch);
    ptrdiff_t (*multiply_adds)(ptrdiff_t count);
} Int8Kernels;

/* Levels whose instructions the compiler knows. */
#if defined(__clang__)
#define BCPNET_KNOWS(gcc, clang) (__clang_major__ >= (clang))
#else
#define BCPNET_KNOWS(gcc, clang) (__GNUC__ >= (gcc))
#endif
#if defined(__x86_64__) || defined(__i386__)
extern const Int8Kernels int8_kernels_avx2;
#if BCPNET_KNOWS(8, 7)
#define BCPNET_AVX512VNNI 1
extern const Int8Kernels int8_kernels_avx512vnni;
#endif
#if BCPNET_KNOWS(11, 14)
#define BCPNET_AVXVNNI 1
extern const Int8Kernels int8_kernels_avxvnni;
#endif
#endif
#if defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__)) && BCPNET_KNOWS(10, 12)
#define BCPNET_DOTPROD 1
extern const Int8Kernels int8_kernels_i8mm, int8_kernels_dotprod;
#endif
extern const Int8Kernels int8_kernels_baseline;

#endif
