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

/* A step of smoothing over time, and what is kept for the next one; frames/smoothing.py has the same in NumPy. What is
   called before is of the frame before. */
typedef struct {
    const uint8_t *frame; /* frame_height x frame_width x 3 */
    int frame_height, frame_width;
    uint8_t *grey, *coarse, *grey_before, *coarse_before; /* at half the frame's size, and COARSE times smaller */
    int rows, columns;                                    /* of blocks; of each block: */
    int32_t *shifts;                  /* where it was, y before x, in sixteenths of a grey pixel; at first that of before */
    int32_t *differences, *contrasts; /* sums of differences over the block: from there, and from its neighbours */
    float *keep;                      /* how much of the past to keep */
    uint32_t *present, *present_before; /* a bit for each class that is not nearly absent */
    int classes, height, width;
    float *logits;                             /* classes x height x width: they become probabilities */
    const float *before;                       /* probabilities; NULL = no past */
    const int32_t *block_rows, *block_columns; /* the block of each row and column of logits */
    float pixels[2];                           /* in a sixteenth of a grey pixel, down and across */
} Smoothing;

typedef struct {
    const char *level;  /* "avx512", "avx2" or "baseline" */
    int lanes, widest;  /* floats in a vector; vectors in the widest panel of a product's weights */
    void (*layer_tile)(const Layer *layer, int tile, float *scratch);
    /* Of the calls below that return int: 1, or 0 where memory is short. */
    int (*upsample_argmax)(const Logits *logits, uint8_t *class_map, int out_height, int out_width);
    int (*confidence)(const Confidence *what);
    int (*resize)(const Resizing *what);
    int (*smooth_frame)(Smoothing *what, const uint8_t *frame, float *logits);
    int (*smooth_logits)(const Smoothing *what);
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
