/* RFC 6979's nonce as libsecp256k1 makes it, with the processor's own SHA-256; and how secrets are overwritten.
 *
 * Constant work: no branch and no index here depends on a secret, and every copy of one is overwritten before its
 * function returns, in registers too.
 */
#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#define WITH_SHA 1
#define SHA __attribute__((target("sha,sse4.1")))
#define UNROLLED _Pragma("GCC unroll 16")
#else
#define WITH_SHA 0
#endif

/* As secp256k1.h declares it. */
typedef int (*nonce_function)(unsigned char *nonce, const unsigned char *digest, const unsigned char *key,
                              const unsigned char *algorithm, void *data, unsigned int attempt);

/* Overwrite what a compiler would take for dead. */
static void wipe(void *secret, size_t length)
{
    memset(secret, 0, length);
    __asm__ __volatile__("" : : "r"(secret) : "memory");
}

#if WITH_SHA

/* SHA-256's eight words in the order the instructions take them. FIPS 180-4 6.2. */
typedef struct {
    __m128i abef, cdgh;
} State;

/* HMAC's two hashes, each after the block made from the key. RFC 2104 2. */
typedef struct {
    State inner, outer;
} Hmac;

static const uint32_t ROUND[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* Hash one block of 64 bytes more: four rounds a step, and the message words of four rounds later. */
SHA static void compress(State *state, const unsigned char *block)
{
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i abef = state->abef, cdgh = state->cdgh, w[4];
    for (int i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), big_endian);
    UNROLLED
    for (int i = 0; i < 16; i++) {
        __m128i *w0 = &w[i % 4], *w1 = &w[(i + 1) % 4], *w2 = &w[(i + 2) % 4], *w3 = &w[(i + 3) % 4];
        __m128i sum = _mm_add_epi32(*w0, _mm_load_si128((const __m128i *)&ROUND[4 * i]));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        if (i < 12)
            *w0 = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*w0, *w1), _mm_alignr_epi8(*w3, *w2, 4)), *w3);
    }
    state->abef = _mm_add_epi32(abef, state->abef);
    state->cdgh = _mm_add_epi32(cdgh, state->cdgh);
}

/* The end of a hash: its 32 bytes. */
SHA static void put(unsigned char *out, const State *state)
{
    const __m128i reversed = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i dcba = _mm_unpackhi_epi64(state->cdgh, state->abef), hgfe = _mm_unpacklo_epi64(state->cdgh, state->abef);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(dcba, reversed));
    _mm_storeu_si128((__m128i *)(out + 16), _mm_shuffle_epi8(hgfe, reversed));
}

/* Begin to hash with the block that HMAC makes from a key of 32 bytes. */
SHA static void begin(State *state, const unsigned char *key, unsigned char pad)
{
    unsigned char block[64];
    state->abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    state->cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    for (int i = 0; i < 64; i++)
        block[i] = pad ^ (i < 32 ? key[i] : 0);
    compress(state, block);
    wipe(block, sizeof block);
}

SHA static void hmac_key(Hmac *hmac, const unsigned char *key)
{
    begin(&hmac->inner, key, 0x36);
    begin(&hmac->outer, key, 0x5C);
}

/* HMAC of a padded message of one or two blocks. `short_block` is padded for 32 bytes; they may be the message. */
SHA static void hmac(const Hmac *keyed, const unsigned char *message, int blocks, unsigned char *short_block)
{
    State state = keyed->inner;
    for (int i = 0; i < blocks; i++)
        compress(&state, message + 64 * i);
    put(short_block, &state);
    state = keyed->outer;
    compress(&state, short_block);
    put(short_block, &state);
    wipe(&state, sizeof state);
}

/* A message's last bytes: a one, zeros, and its length in bits with the key's block before it. FIPS 180-4 5.1.1. */
static void pad(unsigned char *message, int length, int blocks)
{
    const int bits = 8 * (64 + length);
    memset(message + length, 0, (size_t)(64 * blocks - length));
    message[length] = 0x80;
    message[64 * blocks - 2] = (unsigned char)(bits >> 8);
    message[64 * blocks - 1] = (unsigned char)bits;
}

/* n, the order of the base point. SEC 2 2.4.1. */
static const unsigned char ORDER[32] = {
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE,
    0xBA, 0xAE, 0xDC, 0xE6, 0xAF, 0x48, 0xA0, 0x3B, 0xBF, 0xD2, 0x5E, 0x8C, 0xD0, 0x36, 0x41, 0x41,
};

/* The digest modulo n; it is below 2n, and no secret. RFC 6979 2.3.4 (bits2octets). */
static void put_reduced(unsigned char *out, const unsigned char *digest)
{
    int borrow = 0;
    memcpy(out, digest, 32);
    if (memcmp(digest, ORDER, 32) < 0)
        return;
    for (int i = 31; i >= 0; i--) {
        int difference = digest[i] - ORDER[i] - borrow;
        out[i] = (unsigned char)difference;
        borrow = difference < 0;
    }
}

/* Vector registers keep what was last in them, and whoever is called next may save them to the stack. */
static void wipe_registers(void)
{
#define CLEAR(n) __asm__ __volatile__("pxor %%xmm" #n ", %%xmm" #n : : : "xmm" #n)
    CLEAR(0); CLEAR(1); CLEAR(2); CLEAR(3); CLEAR(4); CLEAR(5); CLEAR(6); CLEAR(7);
    CLEAR(8); CLEAR(9); CLEAR(10); CLEAR(11); CLEAR(12); CLEAR(13); CLEAR(14); CLEAR(15);
}

/* RFC 6979 3.2 with SHA-256. Whether k is below the order is judged by the caller, which is libsecp256k1. `data` is
 * where its own nonce function is. */
SHA static int nonce_sha(unsigned char *nonce, const unsigned char *digest, const unsigned char *key,
                         const unsigned char *algorithm, void *data, unsigned int attempt)
{
    unsigned char v[64], seeded[128];
    const unsigned char zeros[32] = {0};
    Hmac keyed;
    /* Another attempt comes once in 2^127 signatures, and tells nothing of a key that one signature does not. */
    if (attempt || algorithm)
        return (*(const nonce_function *)data)(nonce, digest, key, algorithm, NULL, attempt);
    memset(v, 1, 32); /* b, c */
    pad(v, 32, 1);
    memcpy(seeded + 33, key, 32);
    put_reduced(seeded + 65, digest);
    pad(seeded, 97, 2);
    hmac_key(&keyed, zeros);
    for (unsigned char step = 0; step < 2; step++) { /* d, e, and then f, g */
        memcpy(seeded, v, 32);
        seeded[32] = step;
        hmac(&keyed, seeded, 2, v);
        hmac_key(&keyed, v);
        memcpy(v, seeded, 32);
        hmac(&keyed, v, 1, v);
    }
    hmac(&keyed, v, 1, v); /* h */
    memcpy(nonce, v, 32);
    wipe(v, sizeof v);
    wipe(seeded, sizeof seeded);
    wipe(&keyed, sizeof keyed);
    wipe_registers();
    return 1;
}

/* Whether this processor has the instructions, asked once: a virtual machine takes its time to answer. */
static int processor_has_sha(void)
{
    unsigned int eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_SSSE3) || !(ecx & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & (1u << 29)) != 0;
}

#else

#define nonce_sha NULL

static int processor_has_sha(void)
{
    return 0;
}

#endif
