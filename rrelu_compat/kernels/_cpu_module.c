/* The Python side of the CPU kernels: arguments in, errors out. Limited API, one binary for all. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

#include "_cpu.h"

/* Fewer elements keep the GIL: the work is shorter than a switch to another thread and back. */
#define KEEP_GIL 8192

static const rr_path *const paths[] = {
#if RR_X86
    &rr_path_avx512,
    &rr_path_avx2,
#endif
    &rr_path_c,
};
enum { PATHS = sizeof paths / sizeof paths[0] };

static const rr_path *current = &rr_path_c;

/* ---- arguments ---- */

static int refuse(PyObject *value, const char *name, const char *allowed)
{
    PyErr_Clear();
    PyErr_Format(PyLong_Check(value) ? PyExc_ValueError : PyExc_TypeError, "%s must be %s, got %s=%R", name,
                 allowed, name, value);
    return -1;
}

static int get_u64(PyObject *value, const char *name, uint64_t *out)
{
    *out = PyLong_AsUnsignedLongLong(value);
    if (*out == (uint64_t)-1 && PyErr_Occurred())
        return refuse(value, name, "an int in [0, 2**64)");
    return 0;
}

static int get_i64(PyObject *value, const char *name, int64_t *out)
{
    *out = PyLong_AsLongLong(value);
    if (*out == -1 && PyErr_Occurred()) return refuse(value, name, "an int in [-2**63, 2**63)");
    return 0;
}

static int get_double(PyObject *value, const char *name, double *out)
{
    *out = PyFloat_AsDouble(value);
    if (*out == -1.0 && PyErr_Occurred()) return refuse(value, name, "a real number that fits a double");
    return 0;
}

static int get_size(PyObject *value, const char *name, size_t *out)
{
    const Py_ssize_t n = PyLong_AsSsize_t(value);
    if (n < 0) return refuse(value, name, "an int >= 0");
    *out = (size_t)n;
    return 0;
}

static int get_address(PyObject *value, const char *name, int needed, void **out)
{
    uint64_t address;
    if (get_u64(value, name, &address) < 0) return -1;
    if (!address && needed) {
        PyErr_Format(PyExc_ValueError, "%s=0: the address of memory is needed", name);
        return -1;
    }
    if (address > UINTPTR_MAX) return refuse(value, name, "an address of this machine");
    *out = (void *)(uintptr_t)address;
    return 0;
}

static void set_memory(rr_job *job, const void *in, void *out, void *bits)
{
    job->in = in;
    job->out = out;
    job->bits = bits;
}

static int get_dtype(PyObject *value, int lowest, int *out)
{
    const long code = PyLong_AsLong(value);
    if (code < lowest || code >= RR_DTYPES)
        return refuse(value, "dtype", lowest ? "2 (float32) or 3 (float64)"
                                             : "0 (float16), 1 (bfloat16), 2 (float32) or 3 (float64)");
    *out = (int)code;
    return 0;
}

static int count_is(const char *function, Py_ssize_t given, Py_ssize_t expected)
{
    if (given == expected) return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd positional arguments, got %zd", function, expected, given);
    return -1;
}

static int get_shape(PyObject *value, rr_job *job)
{
    Py_ssize_t dims, i;
    if (!PyTuple_Check(value)) {
        PyErr_Format(PyExc_TypeError, "shape must be a tuple of ints >= 0, got shape=%R", value);
        return -1;
    }
    dims = PyTuple_Size(value);
    if (dims > RR_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "shape must have at most %d dimensions, got shape=%R", RR_MAX_DIMS, value);
        return -1;
    }
    job->n = 1;
    for (i = 0; i < dims; i++)
        if (get_size(PyTuple_GetItem(value, i), "shape", &job->shape[i]) < 0) return -1;
    for (i = 0; i < dims; i++) {
        if (job->shape[i] && job->n > (size_t)PY_SSIZE_T_MAX / job->shape[i]) {
            PyErr_Format(PyExc_ValueError, "shape must have fewer than 2**63 elements, got shape=%R", value);
            return -1;
        }
        job->n *= job->shape[i];
    }
    for (i = 0; i < dims; i++)
        if (!job->shape[i]) job->n = 0;
    job->dims = (int)dims;
    return 0;
}

static int get_strides(PyObject *value, const char *name, const rr_job *job, uint64_t *out)
{
    Py_ssize_t i;
    if (!PyTuple_Check(value) || PyTuple_Size(value) != job->dims) {
        PyErr_Format(PyTuple_Check(value) ? PyExc_ValueError : PyExc_TypeError,
                     "%s must be a tuple of %d ints, as many as shape has, got %s=%R", name, job->dims, name,
                     value);
        return -1;
    }
    for (i = 0; i < job->dims; i++) {
        int64_t stride;
        if (get_i64(PyTuple_GetItem(value, i), name, &stride) < 0) return -1;
        out[i] = (uint64_t)stride;
    }
    return 0;
}

static void c_strides(const rr_job *job, uint64_t *out)
{
    uint64_t stride = 1;
    int i;
    for (i = job->dims; i-- > 0;) {
        out[i] = stride;
        stride *= job->shape[i];
    }
}

static int get_index_strides(PyObject *value, rr_job *job)
{
    if (value != Py_None) return get_strides(value, "index_strides", job, job->index_strides);
    c_strides(job, job->index_strides);
    return 0;
}

/* seed, call, start, lower, upper, threads: the last six of every function; then the work itself */
static PyObject *finish(PyObject *const *args, rr_job *job)
{
    uint64_t seed, call;
    int64_t threads;
    double lower, upper;
    if (get_u64(args[0], "seed", &seed) < 0 || get_u64(args[1], "call", &call) < 0 ||
        get_u64(args[2], "start", &job->start) < 0)
        return NULL;
    if (get_double(args[3], "lower", &lower) < 0 || get_double(args[4], "upper", &upper) < 0 ||
        get_i64(args[5], "threads", &threads) < 0)
        return NULL;
    if (threads < 1) {
        refuse(args[5], "threads", "an int >= 1");
        return NULL;
    }
    if (job->n) {
        PyThreadState *const state = job->n < KEEP_GIL ? NULL : PyEval_SaveThread();
        const uint64_t mode = rr_float_mode_default();
        job->path = current;
        rr_params_init(&job->params, seed, call, lower, upper);
        rr_execute(job, state ? threads : 1);
        rr_float_mode_restore(mode);
        if (state) PyEval_RestoreThread(state);
    }
    Py_INCREF(Py_None);
    return Py_None;
}

/* ---- functions ---- */

static PyObject *contiguous(const char *name, int op, PyObject *const *args, Py_ssize_t count)
{
    rr_job job;
    void *in, *out, *bits;
    const int forward = op == RR_FORWARD;
    job.op = op;
    job.dims = -1;
    if (count_is(name, count, 11) < 0 || get_dtype(args[0], 0, &job.dtype) < 0 ||
        get_size(args[1], "n", &job.n) < 0 ||
        get_address(args[2], forward ? "x" : "g", job.n != 0, &in) < 0 ||
        get_address(args[3], forward ? "y" : "out", job.n != 0, &out) < 0 ||
        get_address(args[4], "bits", job.n != 0 && !forward, &bits) < 0)
        return NULL;
    set_memory(&job, in, out, bits);
    return finish(args + 5, &job);
}

static PyObject *strided(const char *name, int op, PyObject *const *args, Py_ssize_t count)
{
    rr_job job;
    void *in, *out, *bits;
    const int forward = op == RR_FORWARD;
    job.op = op;
    if (count_is(name, count, 14) < 0 || get_dtype(args[0], 0, &job.dtype) < 0 ||
        get_shape(args[1], &job) < 0 ||
        get_address(args[2], forward ? "x" : "g", job.n != 0, &in) < 0 ||
        get_strides(args[3], forward ? "x_strides" : "g_strides", &job, job.in_strides) < 0 ||
        get_address(args[4], forward ? "y" : "out", job.n != 0, &out) < 0 ||
        get_strides(args[5], forward ? "y_strides" : "out_strides", &job, job.out_strides) < 0 ||
        get_address(args[6], "bits", job.n != 0 && !forward, &bits) < 0 ||
        get_index_strides(args[7], &job) < 0)
        return NULL;
    set_memory(&job, in, out, bits);
    return finish(args + 8, &job);
}

#define FASTCALL PyObject *module, PyObject *const *args, Py_ssize_t count

static PyObject *forward(FASTCALL)
{
    (void)module;
    return contiguous("forward", RR_FORWARD, args, count);
}

static PyObject *backward(FASTCALL)
{
    (void)module;
    return contiguous("backward", RR_BACKWARD, args, count);
}

static PyObject *forward_strided(FASTCALL)
{
    (void)module;
    return strided("forward_strided", RR_FORWARD, args, count);
}

static PyObject *backward_strided(FASTCALL)
{
    (void)module;
    return strided("backward_strided", RR_BACKWARD, args, count);
}

/* The slopes are the gradient of ones where nothing passes. */
static PyObject *fill_slopes(FASTCALL)
{
    rr_job job;
    void *out;
    (void)module;
    job.op = RR_BACKWARD;
    if (count_is("fill_slopes", count, 10) < 0 || get_dtype(args[0], RR_F32, &job.dtype) < 0 ||
        get_shape(args[1], &job) < 0 || get_address(args[2], "out", job.n != 0, &out) < 0 ||
        get_index_strides(args[3], &job) < 0)
        return NULL;
    set_memory(&job, NULL, out, NULL);
    c_strides(&job, job.out_strides);
    memset(job.in_strides, 0, sizeof job.in_strides);
    return finish(args + 4, &job);
}

/* ---- paths ---- */

static PyObject *path(PyObject *module, PyObject *nothing)
{
    (void)module, (void)nothing;
    return PyUnicode_FromString(current->name);
}

static PyObject *usable_paths(PyObject *module, PyObject *nothing)
{
    PyObject *list = PyList_New(0);
    int i;
    (void)module, (void)nothing;
    for (i = 0; list && i < PATHS; i++) {
        PyObject *name = paths[i]->usable() ? PyUnicode_FromString(paths[i]->name) : NULL;
        if (name && PyList_Append(list, name) < 0) Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static int choose(const char *name, PyObject *error)
{
    int i;
    for (i = 0; i < PATHS; i++)
        if (!strcmp(paths[i]->name, name)) {
            if (!paths[i]->usable()) {
                PyErr_Format(error, "kernel path '%s': this processor lacks its instructions", name);
                return -1;
            }
            current = paths[i];
            return 0;
        }
    PyErr_Format(error, "kernel path '%s': this build has none of that name", name);
    return -1;
}

static PyObject *use(PyObject *module, PyObject *name)
{
    const char *wanted = PyUnicode_AsUTF8AndSize(name, NULL);
    (void)module;
    if (!wanted || choose(wanted, PyExc_ValueError) < 0) return NULL;
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *use_team(PyObject *module, PyObject *address)
{
    void *team = address == Py_None ? NULL : PyLong_AsVoidPtr(address);
    (void)module;
    if (PyErr_Occurred()) return NULL;
    rr_use_team((rr_team *)team);
    Py_INCREF(Py_None);
    return Py_None;
}

#define FAST(name, doc) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, doc}

static PyMethodDef methods[] = {
    FAST(forward, "RReLU of contiguous elements; see rrelu_compat.kernels."),
    FAST(backward, "The gradient for contiguous elements; see rrelu_compat.kernels."),
    FAST(forward_strided, "RReLU for any layout; see rrelu_compat.kernels."),
    FAST(backward_strided, "The gradient for any layout; see rrelu_compat.kernels."),
    FAST(fill_slopes, "The slopes themselves; see rrelu_compat.kernels."),
    {"path", path, METH_NOARGS, "The name of the path in use."},
    {"usable_paths", usable_paths, METH_NOARGS, "The paths that this machine can run, fastest first."},
    {"use_team", use_team, METH_O, "Run large calls on threads lent by GOMP_parallel; see rrelu_compat.kernels."},
    {"use", use, METH_O, "Switch to the path of that name (for tests)."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    const char *forced = getenv("RRELU_COMPAT_KERNEL");
    int i;
    (void)module;
    if (forced && *forced && strcmp(forced, "numpy")) {
        if (choose(forced, PyExc_ImportError) < 0) {
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback);
            PyErr_Format(PyExc_ImportError, "RRELU_COMPAT_KERNEL=%s: %S", forced, value);
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(traceback);
            return -1;
        }
        return 0;
    }
    for (i = PATHS; i-- > 0;)
        if (paths[i]->usable()) current = paths[i];
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
#ifdef Py_MOD_GIL_NOT_USED
    /* what is shared is the path (set at import) and the lent team (atomic) */
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cpu", "RReLU on the CPU, compiled.", 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__cpu(void) { return PyModuleDef_Init(&definition); }
