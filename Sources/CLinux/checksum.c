// XXH64 as its specification says, in C: gigabytes of memory go through it, in builds without optimisation too.
#include "host.h"

#include <string.h>

static const uint64_t prime1 = 0x9E3779B185EBCA87;
static const uint64_t prime2 = 0xC2B2AE3D27D4EB4F;
static const uint64_t prime3 = 0x165667B19E3779F9;
static const uint64_t prime4 = 0x85EBCA77C2B2AE63;
static const uint64_t prime5 = 0x27D4EB2F165667C5;

#define rotated(value, bits) (((value) << (bits)) | ((value) >> (64 - (bits))))
#define mixed(lane, word) (rotated((lane) + (word) * prime2, 31) * prime1)

static uint64_t merged(uint64_t value, uint64_t lane) { return (value ^ mixed(0, lane)) * prime1 + prime4; }

uint64_t nj_checksum(const void *bytes, size_t count, uint64_t seed) {
    const unsigned char *next = bytes, *end = next + count;
    uint64_t value = seed + prime5;
    if (count >= 32) {
        uint64_t a = seed + prime1 + prime2, b = seed + prime2, c = seed, d = seed - prime1;
        for (; end - next >= 32; next += 32) {
            uint64_t words[4];
            memcpy(words, next, sizeof words);
            a = mixed(a, words[0]);
            b = mixed(b, words[1]);
            c = mixed(c, words[2]);
            d = mixed(d, words[3]);
        }
        value = rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18);
        value = merged(merged(merged(merged(value, a), b), c), d);
    }
    value += count;
    for (; end - next >= 8; next += 8) {
        uint64_t word;
        memcpy(&word, next, sizeof word);
        value = rotated(value ^ mixed(0, word), 27) * prime1 + prime4;
    }
    if (end - next >= 4) {
        uint32_t half;
        memcpy(&half, next, sizeof half);
        value = rotated(value ^ (half * prime1), 23) * prime2 + prime3;
        next += 4;
    }
    for (; next < end; next++) value = rotated(value ^ (*next * prime5), 11) * prime1;
    value = (value ^ (value >> 33)) * prime2;
    value = (value ^ (value >> 29)) * prime3;
    return value ^ (value >> 32);
}
