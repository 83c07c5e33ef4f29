/* One signature without the way through cffi, and RFC 6979's nonce with the processor's own SHA-256.
 *
 * This file computes nothing on the curve: it calls libsecp256k1 through addresses that Python takes from coincurve.
 * Constant work: no branch and no index here depends on a secret, and every copy of one is overwritten before its
 * function returns. Only the stable ABI of Python 3.11 is used.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <immintrin.h>
#define WITH_SHA 1
#define SHA __attribute__((target("sha,sse4.1")))
#else
#define WITH_SHA 0
#endif

#define UNROLLED _Pragma("GCC unroll 16")

enum { SECRET_LENGTH = 32, DIGEST_LENGTH = 32, SIGNATURE_LENGTH = 64, DER_LENGTH = 72 };

/* As secp256k1.h declares them; `_extension.py` compares that with what coincurve was built from. */
typedef int (*nonce_function)(unsigned char *nonce, const unsigned char *digest, const unsigned char *key,
                              const unsigned char *algorithm, void *data, unsigned int attempt);
typedef int (*sign_function)(const void *context, unsigned char *signature, const unsigned char *digest,
                             const unsigned char *key, nonce_function nonce, const void *data);
typedef int (*serialize_function)(const void *context, unsigned char *der, size_t *length,
                                  const unsigned char *signature);

typedef struct {
    PyObject_HEAD
    PyObject *owner; /* keeps the context alive */
    const void *context;
    sign_function sign;
    serialize_function serialize;
    nonce_function nonce; /* libsecp256k1's own */
    unsigned char key[SECRET_LENGTH];
} Signer;

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
    memset(message + length, 0, 64 * blocks - length);
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
    CLEAR(0);
    CLEAR(1);
    CLEAR(2);
    CLEAR(3);
    CLEAR(4);
    CLEAR(5);
    CLEAR(6);
    CLEAR(7);
#ifdef __x86_64__
    CLEAR(8);
    CLEAR(9);
    CLEAR(10);
    CLEAR(11);
    CLEAR(12);
    CLEAR(13);
    CLEAR(14);
    CLEAR(15);
#endif
}

/* RFC 6979 3.2 with SHA-256, as libsecp256k1 has it: k is not compared with the order here, as its caller does that. */
SHA static int nonce_sha(unsigned char *nonce, const unsigned char *digest, const unsigned char *key,
                         const unsigned char *algorithm, void *data, unsigned int attempt)
{
    unsigned char v[64], seeded[128];
    const unsigned char zeros[32] = {0};
    Hmac keyed;
    /* Another attempt comes once in 2^127 signatures, and tells nothing of a key that one signature does not. */
    if (attempt || algorithm)
        return ((const Signer *)data)->nonce(nonce, digest, key, algorithm, NULL, attempt);
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

static int with_sha; /* a fact about the processor, found at import */

static PyObject *signer_sign(PyObject *object, PyObject *digest)
{
    const Signer *self = (const Signer *)object;
    unsigned char key[SECRET_LENGTH], signature[SIGNATURE_LENGTH], der[DER_LENGTH];
    size_t length = sizeof der;
    const unsigned char *message;
    int made;
    if (!PyBytes_Check(digest)) {
        PyErr_SetString(PyExc_TypeError, "a digest is bytes");
        return NULL;
    }
    if (PyBytes_Size(digest) != DIGEST_LENGTH) {
        PyErr_SetString(PyExc_ValueError, "a digest has 32 bytes");
        return NULL;
    }
    message = (const unsigned char *)PyBytes_AsString(digest);
    /* Another thread may wipe the signer meanwhile: one signature is made with one key. */
    memcpy(key, self->key, sizeof key);
    Py_BEGIN_ALLOW_THREADS
    made = self->sign(self->context, signature, message, key, with_sha ? nonce_sha : NULL, with_sha ? self : NULL) &&
           self->serialize(self->context, der, &length, signature);
    wipe(key, sizeof key);
    Py_END_ALLOW_THREADS
    if (!made) {
        PyErr_SetString(PyExc_ValueError, "this key was wiped");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)der, (Py_ssize_t)length);
}

static PyObject *signer_wipe(PyObject *object, PyObject *Py_UNUSED(none))
{
    wipe(((Signer *)object)->key, SECRET_LENGTH);
    Py_RETURN_NONE;
}

static PyObject *signer_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    Py_buffer secret;
    PyObject *owner;
    unsigned long long context, sign, serialize, nonce;
    Signer *self = NULL;
    if (named != NULL && PyDict_Size(named) != 0) {
        PyErr_SetString(PyExc_TypeError, "a signer takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "(OKKKK)y*", &owner, &context, &sign, &serialize, &nonce, &secret))
        return NULL;
    if (secret.len != SECRET_LENGTH)
        PyErr_SetString(PyExc_ValueError, "a secret has 32 bytes");
    else
        self = (Signer *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL) {
        Py_INCREF(owner);
        self->owner = owner;
        self->context = (const void *)(uintptr_t)context;
        self->sign = (sign_function)(uintptr_t)sign;
        self->serialize = (serialize_function)(uintptr_t)serialize;
        self->nonce = (nonce_function)(uintptr_t)nonce;
        memcpy(self->key, secret.buf, SECRET_LENGTH);
    }
    PyBuffer_Release(&secret);
    return (PyObject *)self;
}

static void signer_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    wipe(((Signer *)object)->key, SECRET_LENGTH);
    Py_DECREF(((Signer *)object)->owner);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef signer_methods[] = {
    {"sign", signer_sign, METH_O, "Sign a 32-byte digest: DER, s in the lower half, RFC 6979's nonce."},
    {"wipe", signer_wipe, METH_NOARGS, "Overwrite the secret; signing afterwards is a ValueError."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot signer_slots[] = {
    {Py_tp_new, signer_new},
    {Py_tp_dealloc, signer_dealloc},
    {Py_tp_methods, signer_methods},
    {Py_tp_doc, "Signer(library, secret): a secret in a buffer of its own, and the call that signs with it."},
    {0, NULL},
};

static PyType_Spec signer_spec = {
    .name = "bsim.crypto.ecdsa._native.Signer",
    .basicsize = sizeof(Signer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = signer_slots,
};

static int execute(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &signer_spec, NULL);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Signer", type) < 0;
    Py_XDECREF(type);
    with_sha = processor_has_sha();
    return failed || PyModule_AddObjectRef(module, "SHA", with_sha ? Py_True : Py_False) < 0 ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bsim.crypto.ecdsa._native",
    .m_doc = "Signing through libsecp256k1's addresses.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&module_definition);
}
