/* Runs layers that another process laid out, for tests/native/test_aarch64.py: under qemu-user there is no Python.

    driver                  prints of this CPU's best levels: of floats lanes and the widest panel; of 8 bits lanes, `less` and name
    driver IN OUT           runs the layers of IN, writes its first block of memory to OUT

IN, in 64-bit numbers: blocks; of each its bytes and then these; 1 for 8-bit layers; their number, bytes, and these; and of
each pointer in them: where it is, the block, and where in that. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aligned.h"
#include "int8/int8_kernels.h"
#include "kernels.h"

const Kernels *bcpnet_kernels(const char *level);
const Int8Kernels *bcpnet_int8_kernels(const char *level);
int bcpnet_lanes(const Kernels *of);
int bcpnet_widest(const Kernels *of);
int bcpnet_int8_lanes(const Int8Kernels *of);
int bcpnet_int8_less(const Int8Kernels *of);
const char *bcpnet_int8_level(const Int8Kernels *of);
void *bcpnet_pool(int workers);
int bcpnet_run(const Kernels *kernels, void *pool, const Layer *layers, int count);
int bcpnet_int8_run(const Int8Kernels *kernels, void *pool, const Int8Layer *layers, int count);

enum { MOST_BLOCKS = 4096 };

static int64_t number(FILE *in)
{
    int64_t value;
    if (fread(&value, sizeof value, 1, in) != 1)
        exit(3);
    return value;
}

static char *block(FILE *in, int64_t bytes)
{
    char *memory = allocate_aligned(((size_t)bytes / 64 + 2) * 64);
    if (!memory || fread(memory, 1, (size_t)bytes, in) != (size_t)bytes)
        exit(4);
    return memory;
}

int main(int count, char **arguments)
{
    if (count == 1) {
        const Kernels *floats = bcpnet_kernels(NULL);
        const Int8Kernels *bytes = bcpnet_int8_kernels(NULL);
        printf("%d %d %d %d %s\n", bcpnet_lanes(floats), bcpnet_widest(floats), bcpnet_int8_lanes(bytes),
               bcpnet_int8_less(bytes), bcpnet_int8_level(bytes));
        return 0;
    }
    FILE *in = fopen(arguments[1], "rb"), *out = fopen(arguments[2], "wb");
    static char *blocks[MOST_BLOCKS];
    int64_t first_bytes = 0, n_blocks = number(in);
    if (!in || !out || n_blocks > MOST_BLOCKS)
        return 5;
    for (int64_t i = 0; i < n_blocks; i++) {
        int64_t bytes = number(in);
        first_bytes = i ? first_bytes : bytes;
        blocks[i] = block(in, bytes);
    }
    int is_int8 = (int)number(in), n_layers = (int)number(in);
    char *layers = block(in, number(in));
    for (int64_t left = number(in); left; left--) {
        int64_t at = number(in), which = number(in);
        char *pointed = blocks[which] + number(in);
        memcpy(layers + at, &pointed, sizeof pointed);
    }
    void *pool = bcpnet_pool(1);
    int done = is_int8 ? bcpnet_int8_run(bcpnet_int8_kernels(NULL), pool, (void *)layers, n_layers)
                       : bcpnet_run(bcpnet_kernels(NULL), pool, (void *)layers, n_layers);
    return done == DONE && fwrite(blocks[0], 1, (size_t)first_bytes, out) == (size_t)first_bytes && !fclose(out) ? 0 : 6;
}
