/* What Python calls, through ctypes: each function goes to the kernels of the CPU at hand. */
#include <string.h>

#include "cpu.h"
#include "kernels.h"

static int runs_here(const Kernels *these)
{
#if defined(__x86_64__) || defined(__i386__)
    if (these == &kernels_avx512)
        return cpu_has_avx512();
    if (these == &kernels_avx2)
        return cpu_has_avx2_fma();
#endif
    return these == &kernels_baseline;
}

/* The kernels of a level ("avx512", "avx2", "baseline"), or the best for NULL; NULL where this CPU lacks them. */
const Kernels *bcpnet_kernels(const char *level)
{
    static const Kernels *const best_first[] = {
#if defined(__x86_64__) || defined(__i386__)
        &kernels_avx512, &kernels_avx2,
#endif
        &kernels_baseline,
    };
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++)
        if (runs_here(best_first[i]) && (!level || !strcmp(level, best_first[i]->level)))
            return best_first[i];
    return NULL;
}

const char *bcpnet_level(const Kernels *of) { return of->level; }
int bcpnet_lanes(const Kernels *of) { return of->lanes; }
int bcpnet_widest(const Kernels *of) { return of->widest; }

int bcpnet_upsample_argmax(const Kernels *of, const float *logits, int classes, int height, int width,
                           ptrdiff_t class_stride, ptrdiff_t row_stride, ptrdiff_t pixel_stride, uint8_t *class_map,
                           int out_height, int out_width)
{
    Logits from = {logits, classes, height, width, class_stride, row_stride, pixel_stride};
    return of->upsample_argmax(&from, class_map, out_height, out_width);
}

int bcpnet_confidence(const Kernels *of, const uint16_t *table, int classes, int height, int width,
                      const uint8_t *class_map, uint8_t *out, int out_height, int out_width, const int32_t *rows,
                      const int32_t *columns)
{
    Confidence what = {table, classes, height, width, class_map, out, out_height, out_width, rows, columns};
    return of->confidence(&what);
}

int bcpnet_resize(const Kernels *of, const uint8_t *frame, ptrdiff_t stride, int height, int width, uint8_t *out,
                  int out_height, int out_width, const int32_t *first_y, const int32_t *weights_y, int taps_y,
                  const int32_t *first_x, const int32_t *weights_x, int taps_x, int down_first)
{
    Resizing what = {frame, stride, height, width, out, out_height, out_width, {first_y, weights_y, taps_y},
                     {first_x, weights_x, taps_x}, down_first};
    return of->resize(&what);
}

int bcpnet_smoothing_bytes(void) { return sizeof(Smoothing); }
int bcpnet_smooth_frame(const Kernels *of, Smoothing *what, const uint8_t *frame, float *logits)
{
    return of->smooth_frame(what, frame, logits);
}

int bcpnet_smooth_logits(const Kernels *of, const Smoothing *what) { return of->smooth_logits(what); }

int bcpnet_overlay(const Kernels *of, const uint8_t *image, ptrdiff_t image_stride, const uint8_t *labels,
                   ptrdiff_t stride, int height, int width, const uint8_t *palette, int weight, uint8_t *out)
{
    return of->overlay(image, image_stride, labels, stride, height, width, palette, weight, out);
}

ptrdiff_t bcpnet_multiply_adds(const Kernels *of, ptrdiff_t count) { return of->multiply_adds(count); }

void bcpnet_colour_map(const Kernels *of, const uint8_t *labels, ptrdiff_t stride, int height, int width,
                       const uint8_t *palette, uint8_t *out)
{
    of->colour_map(labels, stride, height, width, palette, out);
}
