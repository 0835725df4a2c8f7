/* A TFLite delegate for tests: loads for real in every runtime, copies its input to its output, and breaks on demand.

   Options: ops=NAME or NUMBER of the operators it takes (default edgetpu-custom-op), scene=FOLDER, device=ANY.
   What it does is told by files in FOLDER, looked for at each step, so that a test can change its mind while it runs:
     absent           no device: refuses to be created        crash_create hang_create slow_create
     refuse           fails to prepare the graph              crash_prepare hang_prepare slow_prepare
     lost             the device is gone: invoke fails        crash hang slow wrong invoke
   Structures by hand after TFLite's stable C interface (core/c/common.h). */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef enum { OK = 0, ERROR = 1, DELEGATE_ERROR = 2 } Status;
typedef struct { int size; int data[]; } Ints;
struct Context;
struct Delegate;

typedef struct {
    int type;
    union { void *raw; } data;
    Ints *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    struct Delegate *delegate;
    int buffer_handle;
    char data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const Ints *dims_signature;
} Tensor;

typedef struct {
    Ints *inputs, *outputs, *intermediates, *temporaries;
    void *user_data;
} Node; /* its beginning */

typedef struct {
    void *(*init)(struct Context *, const char *, size_t);
    void (*free)(struct Context *, void *);
    Status (*prepare)(struct Context *, Node *);
    Status (*invoke)(struct Context *, Node *);
    const char *(*profiling_string)(const struct Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *external, *async;
    uint64_t more[5];
} Registration;

typedef struct Context {
    size_t tensors_size;
    Status (*get_plan)(struct Context *, Ints **);
    Tensor *tensors;
    void *impl;
    void *resize;
    void (*report)(struct Context *, const char *, ...);
    void *add_tensors;
    Status (*get_node)(struct Context *, int, Node **, Registration **);
    Status (*replace)(struct Context *, Registration, const Ints *, struct Delegate *);
} Context; /* its beginning */

typedef struct { struct Delegate *delegate; Ints *nodes, *inputs, *outputs; } Params;

typedef struct { char ops[64]; char scene[256]; } State;

typedef struct Delegate {
    State *state;
    Status (*prepare)(Context *, struct Delegate *);
    void *copy_from, *copy_to, *free_buffer;
    int64_t flags;
    void *builder;
    uint64_t more[4];
} Delegate;

static int on(const State *state, const char *what) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", state->scene, what);
    return state->scene[0] && access(path, F_OK) == 0;
}

static void act(const State *state, const char *step) {
    char name[64];
    snprintf(name, sizeof name, "crash%s", step);
    if (on(state, name)) { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
    snprintf(name, sizeof name, "hang%s", step);
    if (on(state, name)) for (;;) sleep(1000);
    snprintf(name, sizeof name, "slow%s", step);
    if (on(state, name)) { struct timespec pause = {0, 60 * 1000 * 1000}; nanosleep(&pause, NULL); }
}

static void *kernel_init(Context *context, const char *params, size_t size) {
    (void)context; (void)size;
    return ((const Params *)params)->delegate->state;
}

static void kernel_free(Context *context, void *state) { (void)context; (void)state; }

static Status kernel_prepare(Context *context, Node *node) { (void)context; (void)node; return OK; }

static Status kernel_invoke(Context *context, Node *node) {
    const State *state = node->user_data;
    act(state, "");
    if (on(state, "lost")) {
        context->report(context, "the device has gone\nfor good");
        return ERROR;
    }
    /* constants (a RESHAPE's new shape) are inputs too: the data is the input as large as the output */
    for (int at = 0; at < node->outputs->size; at++) {
        Tensor *out = &context->tensors[node->outputs->data[at]];
        for (int from = 0; from < node->inputs->size; from++) {
            Tensor *in = &context->tensors[node->inputs->data[from]];
            if (in->bytes != out->bytes) continue;
            memcpy(out->data.raw, in->data.raw, out->bytes);
            break;
        }
        if (on(state, "wrong"))
            for (size_t byte = 0; byte < out->bytes; byte++) ((uint8_t *)out->data.raw)[byte] ^= 0x55;
    }
    return OK;
}

static Status prepare(Context *context, Delegate *delegate) {
    State *state = delegate->state;
    act(state, "_prepare");
    if (on(state, "refuse")) {
        context->report(context, "this graph is not for me");
        return DELEGATE_ERROR;
    }
    Ints *plan;
    if (context->get_plan(context, &plan)) return ERROR;
    Ints *mine = malloc(sizeof(int) * (plan->size + 1));
    mine->size = 0;
    for (int at = 0; at < plan->size; at++) {
        Node *node;
        Registration *of;
        if (context->get_node(context, plan->data[at], &node, &of)) return ERROR;
        int fits = of->custom_name ? !strcmp(of->custom_name, state->ops) : of->builtin_code == atoi(state->ops);
        if (fits) mine->data[mine->size++] = plan->data[at];
    }
    Registration kernel;
    memset(&kernel, 0, sizeof kernel);
    kernel.init = kernel_init, kernel.free = kernel_free;
    kernel.prepare = kernel_prepare, kernel.invoke = kernel_invoke;
    kernel.custom_name = "TestDelegate", kernel.version = 1;
    Status status = mine->size ? context->replace(context, kernel, mine, delegate) : OK;
    free(mine);
    return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*error)(const char *)) {
    State *state = calloc(1, sizeof *state);
    strcpy(state->ops, "edgetpu-custom-op");
    for (size_t at = 0; at < count; at++) {
        if (!strcmp(keys[at], "ops")) snprintf(state->ops, sizeof state->ops, "%s", values[at]);
        else if (!strcmp(keys[at], "scene")) snprintf(state->scene, sizeof state->scene, "%s", values[at]);
        else if (strcmp(keys[at], "device")) {
            char said[128];
            snprintf(said, sizeof said, "option %s\nis not known", keys[at]);
            if (error) error(said);
            free(state);
            return NULL;
        }
    }
    fprintf(stderr, "testdelegate: created\n");
    act(state, "_create");
    if (on(state, "absent")) {
        if (error) error("no device found");
        free(state);
        return NULL;
    }
    Delegate *delegate = calloc(1, sizeof *delegate);
    delegate->state = state;
    delegate->prepare = prepare;
    delegate->flags = 1; /* AllowDynamicTensors: else TFLite prepares an unknown custom operator before we claim it */
    return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
    if (!delegate) return;
    free(delegate->state);
    free(delegate);
}
