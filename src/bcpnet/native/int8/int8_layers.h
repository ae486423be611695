/* An 8-bit network as a list of fused layers, as bcpnet.native.int8.program (Python) fills it in.

Maps are H x W pixels of uint8 channels; a pixel takes `pitch` bytes, its channels filled up to a multiple of 4. With every
pointer comes how many bytes may be read there, or written where it is `out`. Maps are read by up to 16 bytes, so
what is read may go on behind a map's last channel; int8_check.inc says how far. */
#ifndef BCPNET_INT8_LAYERS_H
#define BCPNET_INT8_LAYERS_H

#include <stdint.h>

enum { INT8_SEPARABLE, INT8_POINTWISE, INT8_POOL };            /* kinds of layers */
enum { INT8_FRAME, INT8_EXPAND, INT8_SUM, INT8_COPY };         /* fronts: what a depthwise convolution reads */
enum { INT8_SAME, INT8_UPSAMPLED, INT8_POOLED };               /* how a source is read, as in layers.h */

/* How sums of products become numbers on the grid of what is written, as ONNX Runtime does it: a sum starts at `start`, is
   multiplied by `scale`, rounded, and `zero_point` is added; what is written as floats is not rounded. */
typedef struct {
    const int32_t *start;
    const float *scale; /* both filled up to whole vectors */
    int64_t room;       /* numbers behind each */
    int32_t zero_point;
    int32_t float_start; /* 1: the bits of the float 2^23 are part of `start`; only of what has no zero point, see int8_vectors.h */
} Requantising;

/* A matrix product over pixels: `inputs` bytes a pixel, a multiple of 4, to `outputs`. */
typedef struct {
    const int8_t *weights; /* panels of 1 to 4 vectors of outputs, each [inputs / 4][vectors x lanes][4] */
    int64_t weights_bytes;
    Requantising requantising;
    int32_t inputs, outputs;
} Int8Product;

typedef struct {
    const uint8_t *data;
    int64_t bytes;
    int32_t height, width, sampling;
    int32_t zero_point;
    float scale; /* of a weighted sum: the term is scale * (byte - zero_point) */
} Int8Source;

typedef struct {
    int32_t kind, front;
    int32_t height, width; /* of the front */
    int32_t out_height, out_width;
    int32_t channels, pitch; /* of the front; of its sources, where these are summed, copied or pooled */
    int32_t stride;        /* of the depthwise convolution, 3x3, padding 1 */
    int32_t tile_height, tile_width, n_sources;
    Int8Source sources[3];
    const uint8_t *frame;  /* INT8_FRAME: frame_height x frame_width x 3 */
    int64_t frame_bytes;
    int32_t frame_height, frame_width;
    int32_t frame_zero, front_zero; /* the bytes that mean zero, which both are padded with */
    float swish_scale; /* INT8_SUM: swish(sum) / swish_scale + front_zero is the front */
    Int8Product expand;    /* INT8_EXPAND; INT8_FRAME, as 3 rows of 12 bytes, the last 3 without weights */
    const int8_t *depthwise; /* [vectors of channels][column][lanes][unused, row 0, row 1, row 2] */
    int64_t depthwise_bytes;
    Requantising depthwise_requantising;
    Int8Product project;   /* of INT8_POINTWISE: the layer itself */
    const uint8_t *residual; /* added to the output, or NULL: */
    int64_t residual_bytes;
    float own_scale, residual_scale, residual_offset; /* own_scale * byte + residual_scale * residual + residual_offset */
    int32_t as_floats;     /* the output is floats, outputs x H x W */
    void *out;
    int64_t out_bytes;
} Int8Layer;

#endif
