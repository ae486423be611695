/* Deflate (RFC 1951) for pictures that are made of runs: one block of fixed Huffman codes, matches of distance 1 only. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t *to;
    uint64_t bits;
    int count;
} Bits;

/* Appends `count` bits, the lowest first. */
static void put(Bits *out, uint32_t value, int count)
{
    out->bits |= (uint64_t)value << out->count;
    out->count += count;
    for (; out->count >= 8; out->count -= 8, out->bits >>= 8)
        *out->to++ = (uint8_t)out->bits;
}

/* Huffman codes are written from their highest bit. */
static uint32_t reversed(uint32_t code, int count)
{
    uint32_t result = 0;
    for (; count; count--, code >>= 1)
        result = result << 1 | (code & 1);
    return result;
}

/* Literal, length and end-of-block symbols in the fixed code (section 3.2.6). */
static void put_symbol(Bits *out, int symbol)
{
    if (symbol < 144)
        put(out, reversed(0x30 + symbol, 8), 8);
    else if (symbol < 256)
        put(out, reversed(0x190 + symbol - 144, 9), 9);
    else if (symbol < 280)
        put(out, reversed(symbol - 256, 7), 7);
    else
        put(out, reversed(0xC0 + symbol - 280, 8), 8);
}

/* A match of 3 to 258 bytes with the byte before. */
static void put_match(Bits *out, int length)
{
    static const int first[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const int extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    int code = 28;
    while (first[code] > length)
        code--;
    put_symbol(out, 257 + code);
    put(out, (uint32_t)(length - first[code]), extra[code]);
    put(out, 0, 5); /* distance 1 */
}

static size_t run_length(const uint8_t *from, size_t room)
{
    const uint64_t pattern = 0x0101010101010101u * *from;
    size_t length = 1;
    for (uint64_t next; length + 8 <= room; length += 8) {
        memcpy(&next, from + length, 8);
        if (next != pattern)
            break;
    }
    while (length < room && from[length] == *from)
        length++;
    return length;
}

/* A zlib stream (RFC 1950) of `rows` rows of `width` bytes, each after a PNG filter byte of 0. Returns its length.
   `to` has room for 9 bits for each byte, and 16 bytes more. */
size_t bcpnet_deflate_runs(const uint8_t *picture, size_t rows, size_t width, uint8_t *to)
{
    Bits out = {.to = to};
    uint64_t a = 1, b = 0; /* Adler-32 */
    put(&out, 0x0178, 16);
    put(&out, 3, 3); /* the last block; fixed codes */
    for (size_t y = 0; y < rows; y++, picture += width) {
        put_symbol(&out, 0);
        b = (b + a) % 65521;
        for (size_t x = 0, length; x < width; x += length) {
            const uint64_t value = picture[x];
            length = run_length(picture + x, width - x);
            const uint64_t n = length;
            b = (b + n * a + value * (n * (n + 1) / 2 % 65521)) % 65521;
            a = (a + n * value) % 65521;
            put_symbol(&out, (int)value);
            size_t left = length - 1;
            for (; left > 258; left -= left > 260 ? 258 : 255) /* never 1 or 2 left over: that is no match */
                put_match(&out, left > 260 ? 258 : 255);
            if (left >= 3)
                put_match(&out, (int)left);
            else
                for (; left; left--)
                    put_symbol(&out, (int)value);
        }
    }
    put_symbol(&out, 256);
    if (out.count)
        put(&out, 0, 8 - out.count);
    for (int shift = 8; shift >= 0; shift -= 8)
        *out.to++ = (uint8_t)(b >> shift);
    for (int shift = 8; shift >= 0; shift -= 8)
        *out.to++ = (uint8_t)(a >> shift);
    return (size_t)(out.to - to);
}
