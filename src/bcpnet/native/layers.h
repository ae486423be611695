/* A network as a list of fused layers, as bcpnet.native.program (Python) fills it in. Tensors are H x W x C floats.

With every pointer comes how many floats (of the frame: bytes) may be read there, or written where it is `out`. Maps are
read in whole vectors, so what is read may go on behind a map's last channel; check.inc says how far. */
#ifndef BCPNET_LAYERS_H
#define BCPNET_LAYERS_H

#include <stddef.h>
#include <stdint.h>

enum { LINEAR, CLIP, HARD_SWISH, SWISH };        /* activations; CLIP to low..high */
enum { SAME, UPSAMPLED, POOLED };                /* how a source is read: as it is, doubled by repetition, 3x3 max of stride 2 */
enum { FRONT_FRAME, FRONT_EXPAND, FRONT_SUM };   /* what a separable convolution reads */
enum { SEPARABLE, POINTWISE, POOL, GATE, SCALE }; /* kinds of layers */
enum { REFUSED = -1, NO_MEMORY, DONE };          /* what comes of running them */

typedef struct {
    int32_t kind;
    float low, high;
} Activation;

/* A matrix product over pixels: `inputs` numbers a pixel to `outputs`. */
typedef struct {
    const float *weights; /* panels of 1 to 4 vectors of outputs, each [inputs][vectors x LANES] */
    const float *bias;    /* filled up with zeros to whole vectors */
    int64_t weights_floats, bias_floats;
    int32_t inputs, outputs;
    Activation activation;
} Product;

typedef struct {
    const float *data;
    int64_t floats;
    int32_t height, width, sampling;
    float factor;
} Source;

typedef struct {
    int32_t kind, front;
    int32_t height, width;         /* of the front, which the depthwise convolution reads */
    int32_t out_height, out_width;
    int32_t channels;              /* of the front */
    int32_t kernel, stride;        /* of the depthwise convolution; its padding is kernel / 2 */
    int32_t tile_height, tile_width, n_sources; /* tiles are of the output */
    Source sources[3];             /* all but FRONT_SUM read the first alone, or the frame */
    const uint8_t *frame;          /* FRONT_FRAME: frame_height x frame_width x 3 */
    int64_t frame_bytes;
    int32_t frame_height, frame_width;
    float mean;
    Activation front_activation;   /* of FRONT_SUM */
    Product expand;                /* FRONT_EXPAND; FRONT_FRAME, as [3][9] numbers a pixel */
    const float *depthwise;        /* [kernel x kernel][channels, whole vectors] */
    const float *depthwise_bias;
    int64_t depthwise_floats, depthwise_bias_floats;
    Activation depthwise_activation;
    Product project;               /* of POINTWISE: the layer itself; GATE: expand, then project, of the mean pixel */
    const float *gate;             /* SCALE: the factor of each channel */
    const float *residual;         /* added to the output, or NULL */
    float *out;
    int64_t gate_floats, residual_floats, out_floats;
} Layer;

#endif
