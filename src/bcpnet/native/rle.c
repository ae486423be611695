/* Masks of all classes as COCO's run-length codes: regions/rle.py says what these are. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* From `x` on, the first pixel of a row whose class is not that of the pixel above it; `width` where there is none. */
static ptrdiff_t next_change(const uint8_t *row, const uint8_t *above, ptrdiff_t x, ptrdiff_t width)
{
    for (uint64_t here, there; x + 8 <= width; x += 8) {
        memcpy(&here, row + x, 8);
        memcpy(&there, above + x, 8);
        if (here != there)
            break;
    }
    while (x < width && row[x] == above[x])
        x++;
    return x;
}

/* The number of runs, the map read column by column. `columns` (width + 1): the first run that begins in each. */
int32_t bcpnet_count_runs(const uint8_t *map, ptrdiff_t height, ptrdiff_t width, int32_t *columns)
{
    const uint8_t *last = map + (height - 1) * width;
    memset(columns, 0, sizeof *columns * (size_t)(width + 1));
    for (ptrdiff_t x = 0; x < width; x++)
        columns[x + 1] = x == 0 || map[x] != last[x - 1];
    for (ptrdiff_t y = 1; y < height; y++) {
        const uint8_t *row = map + y * width;
        for (ptrdiff_t x = -1; (x = next_change(row, row - width, x + 1, width)) < width;)
            columns[x + 1]++;
    }
    for (ptrdiff_t x = 0; x < width; x++)
        columns[x + 1] += columns[x];
    return columns[width];
}

/* The pixel that each run begins with, counted down the columns, its class, and the runs of each class (256).
   `columns` as from above; it is used up. */
void bcpnet_find_runs(const uint8_t *map, ptrdiff_t height, ptrdiff_t width, int32_t *columns, int32_t *starts,
                      uint8_t *labels, int32_t *runs_of)
{
    const uint8_t *last = map + (height - 1) * width;
    int32_t count = columns[width];
    for (ptrdiff_t x = 0; x < width; x++)
        if (x == 0 || map[x] != last[x - 1]) {
            starts[columns[x]] = (int32_t)(x * height);
            labels[columns[x]++] = map[x];
        }
    for (ptrdiff_t y = 1; y < height; y++) {
        const uint8_t *row = map + y * width;
        for (ptrdiff_t x = -1; (x = next_change(row, row - width, x + 1, width)) < width;) {
            starts[columns[x]] = (int32_t)(x * height + y);
            labels[columns[x]++] = row[x];
        }
    }
    memset(runs_of, 0, 256 * sizeof *runs_of);
    for (int32_t i = 0; i < count; i++)
        runs_of[labels[i]]++;
}

static char *put_length(char *to, int64_t value)
{
    for (;;) {
        int digit = (int)(value & 31);
        value >>= 5;
        int is_last = value == (digit & 16 ? -1 : 0);
        *to++ = (char)(48 + digit + (is_last ? 0 : 32));
        if (is_last)
            return to;
    }
}

/* The code of one class so far. */
typedef struct {
    int64_t end;            /* of its last run */
    int64_t last, previous; /* its last two lengths */
    int64_t count;          /* of lengths */
    char *to;
} Code;

static void add_length(Code *code, int64_t length)
{
    code->to = put_length(code->to, code->count > 2 ? length - code->previous : length);
    code->previous = code->last;
    code->last = length;
    code->count++;
}

/* The codes of all classes: that of class k is written to text + ends[k], and ends[k] becomes its end. `text` has room
   for 7 characters for each of its lengths, of which there are at most 2 a run and 1 more. */
void bcpnet_class_rles(const int32_t *starts, const uint8_t *labels, int32_t count, int32_t pixels, char *text,
                       int64_t *ends)
{
    Code codes[256];
    for (int k = 0; k < 256; k++)
        codes[k] = (Code){.to = text + ends[k]};
    for (int32_t i = 0; i < count; i++) {
        Code *code = &codes[labels[i]];
        int64_t end = i + 1 < count ? starts[i + 1] : pixels;
        add_length(code, starts[i] - code->end);
        add_length(code, end - starts[i]);
        code->end = end;
    }
    for (int k = 0; k < 256; k++) {
        if (codes[k].count && codes[k].end < pixels)
            add_length(&codes[k], pixels - codes[k].end);
        ends[k] = codes[k].to - text;
    }
}
