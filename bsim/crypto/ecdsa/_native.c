/* One signature without the way through cffi: a signer that calls libsecp256k1 at addresses taken from coincurve.
 *
 * Nothing is computed on the curve here. Constant work: no branch and no index depends on a secret, and every copy of
 * one is overwritten before its function returns. Only the stable ABI of Python 3.11 is used.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include "_nonce.h"

enum { SECRET_LENGTH = 32, DIGEST_LENGTH = 32, SIGNATURE_LENGTH = 64, DER_LENGTH = 72 };

/* As secp256k1.h declares them; `_extension.py` compares that with what coincurve was built from. */
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
    made = self->sign(self->context, signature, message, key, with_sha ? nonce_sha : NULL,
                      with_sha ? &self->nonce : NULL) &&
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
