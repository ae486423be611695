/* What each CPU level offers: the same functions, compiled for its vectors. */
#ifndef BCPNET_KERNELS_H
#define BCPNET_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "layers.h"

/* K x h x w logits; strides in floats. */
typedef struct {
    const float *data;
    int classes, height, width;
    ptrdiff_t class_stride, row_stride, pixel_stride;
} Logits;

/* Classes x height x width probabilities, 65280 = 1, and what they are interpolated for. Of each output row: the rows of
   the table before and after it and the distance from the first, 14 bits behind the point, one after the other; the
   same of columns. */
typedef struct {
    const uint16_t *table;
    int classes, height, width;
    const uint8_t *class_map;
    uint8_t *out;
    int out_height, out_width;
    const int32_t *rows, *columns;
} Confidence;

/* How one axis is resized. Of each output pixel: its first input pixel, and `taps` weights, 22 bits behind the point;
   0 taps where its size stays. */
typedef struct {
    const int32_t *first, *weights;
    int taps;
} Taps;

typedef struct {
    const uint8_t *frame; /* height x width x 3, `stride` bytes from row to row */
    ptrdiff_t stride;
    int height, width;
    uint8_t *out; /* out_height x out_width x 3 */
    int out_height, out_width;
    Taps y, x;
    int down_first; /* else rows are resized before columns */
} Resizing;

/* Two grey pictures of height x width pixels, each with a small copy, COARSE times smaller; and what is found of rows x
   columns blocks. Shifts, y before x, say where a block was: as a guess in pixels, as found in sixteenths. Sums over a
   block of differences from where it was, and from its neighbours below and to the right. */
typedef struct {
    const uint8_t *grey, *coarse, *grey_before, *coarse_before;
    int height, width, rows, columns;
    const int32_t *guess;
    int32_t *shifts, *differences, *contrasts;
} Motion;

/* Logits, whose pixels lie side by side, and the smoothed probabilities of the frame before. */
typedef struct {
    Logits logits;
    const float *before; /* classes x height x width */
    int rows, columns;
    const int32_t *shifts, *block_rows, *block_columns; /* the block of each row and column of pixels */
    const float *keep;                                  /* of each block, how much of the past to keep */
    float pixels[2];                                    /* in a sixteenth of a shift, down and across */
    float *out;                                         /* as `before` */
} Smoothing;

typedef struct {
    const char *level;  /* "avx512", "avx2" or "baseline" */
    int lanes, widest;  /* floats in a vector; vectors in the widest panel of a product's weights */
    void (*layer_tile)(const Layer *layer, int tile, float *scratch);
    /* Of the calls below that return int: 1, or 0 where memory is short. */
    int (*upsample_argmax)(const Logits *logits, uint8_t *class_map, int out_height, int out_width);
    int (*confidence)(const Confidence *what);
    int (*resize)(const Resizing *what);
    int (*grey_pictures)(const uint8_t *frame, int height, int width, uint8_t *grey, uint8_t *coarse);
    int (*find_motion)(const Motion *what);
    int (*smooth)(const Smoothing *what);
    int (*overlay)(const uint8_t *image, ptrdiff_t image_stride, const uint8_t *labels, ptrdiff_t stride, int height,
                   int width, const uint8_t *palette, int weight, uint8_t *out);
    void (*colour_map)(const uint8_t *labels, ptrdiff_t stride, int height, int width, const uint8_t *palette,
                       uint8_t *out);
    ptrdiff_t (*multiply_adds)(ptrdiff_t count);
} Kernels;

#if defined(__x86_64__) || defined(__i386__)
extern const Kernels kernels_avx512, kernels_avx2;
#endif
extern const Kernels kernels_baseline;

#endif
