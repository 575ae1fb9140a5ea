/* device.c: chooses the path at run time, owns the pool and the threads' scratch; aligned memory; f16. */
#include "kernels/cpu/cpu.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_THREADS 256

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
static bool has_avx512bf16(void) {
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}
/* Chosen by itself only where vdpbf16ps does twice the work of an f32 fma: AMD. Intel's Xeons have one unit for it and
 * two for fma and for vpdpwssd, so the fixed point of avx512-vnni is faster there and more exact (RESULTS.md). */
static bool prefers_bf16(void) {
    return has_avx512bf16() && __builtin_cpu_is("amd");
}
/* Tiles are state that Linux (5.16 and later) keeps for a process only when asked to; an older kernel refuses. */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18
static bool has_amx(void) {
#ifdef __x86_64__
    return has_avx512bf16() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
           __builtin_cpu_supports("amx-bf16") && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}
static bool always(void) {
    return true;
}

static const struct path {
    const char *name, *alias;
    const struct cpu_ops *ops;
    const struct kv_ops *kv;
    bool (*supported)(void), (*preferred)(void);
    void (*change)(struct cpu_ops *); /* NULL, or puts the path's own functions in the place of some of ops */
} paths[] = {                         /* best first */
             {"amx-int8", "amx", &cpu_ops_avx512, &kv_ops_amx, has_amx, has_amx, cpu_ops_to_amx},
             {"avx512-bf16", "avx512-bf16", &cpu_ops_avx512, &kv_ops_bf16_avx512, has_avx512bf16, prefers_bf16, NULL},
             {"avx512-vnni", "avx512", &cpu_ops_avx512, &kv_ops_fixed_avx512, has_avx512, has_avx512, NULL},
             {"avx2", "avx2", &cpu_ops_avx2, &kv_ops_fixed_avx2, has_avx2, has_avx2, NULL},
             {"scalar-int8", "scalar-int8", &cpu_ops_scalar_int8, &kv_ops_f32, always, always, NULL},
             {"scalar", "scalar", &cpu_ops_scalar, &kv_ops_f32, always, always, NULL}};

static const struct path *choose(const char *name, struct error *e) {
    __builtin_cpu_init();
    bool automatic = !name || !name[0] || strcmp(name, "auto") == 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!automatic && strcmp(name, paths[i].name) && strcmp(name, paths[i].alias)) continue;
        if (automatic ? paths[i].preferred() : paths[i].supported()) return &paths[i];
        if (automatic) continue;
        error_set(e, ERR_UNSUPPORTED, name, "This processor lacks the instructions of the kernel path \"%s\".", name);
        return NULL;
    }
    error_set(e, ERR_UNSUPPORTED, name,
              "There is no kernel path of this name; known are amx-int8, avx512-bf16, avx512-vnni, avx2, scalar-int8, "
              "scalar.");
    return NULL;
}

static int usable_cpus(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n;
}

int kernel_device_open(struct kernel_device **out, const char *path, int n_threads, struct error *e) {
    *out = NULL;
    const struct path *chosen = choose(path, e);
    if (!chosen) return ERR_UNSUPPORTED;
    if (n_threads <= 0) n_threads = usable_cpus();
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    struct kernel_device *dev = calloc(1, sizeof *dev);
    if (!dev) return error_set(e, ERR_NOMEM, "", "There is no memory for the computing device.");
    dev->path = chosen->name;
    dev->ops = chosen->ops;
    if (chosen->change) {
        dev->own = *chosen->ops;
        chosen->change(&dev->own);
        dev->ops = &dev->own;
    }
    dev->kv = chosen->kv;
    dev->n_threads = n_threads;
    dev->tile = calloc((size_t)n_threads, sizeof *dev->tile);
    dev->attention = calloc((size_t)n_threads, sizeof *dev->attention);
    int rc = dev->tile && dev->attention ? pool_open(&dev->pool, n_threads, e)
                                         : error_set(e, ERR_NOMEM, "", "There is no memory for the computing device.");
    if (rc) {
        kernel_device_close(dev);
        return rc;
    }
    *out = dev;
    return 0;
}

void kernel_device_close(struct kernel_device *dev) {
    if (!dev) return;
    pool_close(dev->pool);
    for (int t = 0; t < dev->n_threads; t++) {
        if (dev->tile) kernel_free(dev->tile[t]);
        if (dev->attention) kernel_free(dev->attention[t]);
    }
    kernel_free(dev->partial);
    free(dev->tile);
    free(dev->attention);
    free(dev);
}

const char *kernel_device_path(const struct kernel_device *dev) {
    return dev->path;
}

int kernel_device_threads(const struct kernel_device *dev) {
    return dev->n_threads;
}

void *kernel_alloc(size_t bytes) {
    if (bytes == 0) bytes = 64;
    if (bytes > SIZE_MAX - 63) return NULL;
    bytes = (bytes + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void kernel_free(void *p) {
    free(p);
}

/* IEEE 754 binary16. */
float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 0x3ff, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | mantissa << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else if (mantissa) {
        int shift = __builtin_clz(mantissa) - 21; /* to bring the leading one to bit 10 */
        bits = sign | (uint32_t)(113 - shift) << 23 | ((mantissa << shift) & 0x3ff) << 13;
    } else {
        bits = sign;
    }
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

uint16_t f32_to_f16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
    if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to infinity */
    if (rest >= 0x38800000) {                                 /* normal */
        uint32_t r = rest - 0x38000000;
        return (uint16_t)(sign | ((r + 0xfff + (r >> 13 & 1)) >> 13));
    }
    uint32_t exponent = rest >> 23;
    if (exponent < 102) return (uint16_t)sign;
    uint32_t m = (rest & 0x7fffff) | 0x800000, shift = 126 - exponent, half = 1u << (shift - 1);
    uint32_t q = m >> shift, low = m & ((1u << shift) - 1);
    if (low > half || (low == half && (q & 1))) q++;
    return (uint16_t)(sign | q);
}
