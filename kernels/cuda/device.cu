/* device.cu: device, memory, graphs, timers; see cuda_ops.h and cuda_device.cuh. The driver's tensor map encoder is found at run time, so
 * libcuda is not linked. */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#include <stdio.h>
#include <stdlib.h>

int cuda_check(cudaError_t rc, const char *operation, struct error *e) {
    if (rc == cudaSuccess) return 0;
    return error_set(e, ERR_DEVICE, operation, "The GPU reported: %s", cudaGetErrorString(rc));
}

bool cuda_first_use(bool (&seen)[CUDA_MAX_DEVICES]) {
    int device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device >= CUDA_MAX_DEVICES) return true;
    bool first = !seen[device];
    seen[device] = true;
    return first;
}

bool cuda_is_hopper(void) {
    static signed char known[CUDA_MAX_DEVICES]; /* 0 not asked yet, 1 yes, -1 no: it is asked before every launch */
    int device = 0, major = 0, minor = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device >= CUDA_MAX_DEVICES) return false;
    if (known[device]) return known[device] > 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    known[device] = major == 9 && minor == 0 ? 1 : -1;
    return known[device] > 0;
}

typedef CUresult (*encode_fn)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                              const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

int cuda_tensor_map_2d(CUtensorMap *map, const void *data, uint64_t columns, uint64_t rows, uint64_t ld, uint32_t box_columns, uint32_t box_rows,
                       struct error *e) {
    static encode_fn encode;
    if (!encode) {
        void *f = NULL;
        cudaDriverEntryPointQueryResult found;
        int rc = cuda_check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found), "tensor map", e);
        if (rc) return rc;
        if (found != cudaDriverEntryPointSuccess) return error_set(e, ERR_DEVICE, "tensor map", "The driver is too old for the bulk tensor copy");
        encode = (encode_fn)f;
    }
    cuuint64_t dims[2] = {columns, rows}, strides[1] = {ld * 2};
    cuuint32_t box[2] = {box_columns, box_rows}, step[2] = {1, 1};
    CUresult rc = encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)data, dims, strides, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                         CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (rc != CUDA_SUCCESS)
        return error_set(e, ERR_DEVICE, "tensor map", "The driver refused a tensor map of %llu x %llu (code %d)", (unsigned long long)rows,
                         (unsigned long long)columns, (int)rc);
    return 0;
}

extern "C" int cuda_device_count(void) {
    int n = 0;
    if (cudaGetDeviceCount(&n) != cudaSuccess) {
        cudaGetLastError(); /* no driver is not an error here */
        return 0;
    }
    return n;
}

extern "C" int cuda_device_use(int device, char name[128], size_t *free_bytes, size_t *total_bytes, struct error *e) {
    if (cuda_device_count() == 0) return error_set(e, ERR_DEVICE, "cuda", "No GPU is available: no NVIDIA driver or no device was found");
    int rc = cuda_check(cudaSetDevice(device), "choosing the device", e);
    cudaDeviceProp p;
    if (!rc) rc = cuda_check(cudaGetDeviceProperties(&p, device), "reading the device's properties", e);
    if (!rc && p.major < 8) return error_set(e, ERR_UNSUPPORTED, p.name, "The GPU is too old: compute capability 8.0 or newer is needed, this one has %d.%d", p.major, p.minor);
    if (!rc) snprintf(name, 128, "%.100s sm_%d%d", p.name, p.major, p.minor);
    if (!rc) rc = cuda_check(cudaMemGetInfo(free_bytes, total_bytes), "reading the free memory", e);
    return rc;
}

extern "C" int cuda_device_set(int device, struct error *e) {
    return cuda_check(cudaSetDevice(device), "choosing the device", e);
}
extern "C" int cuda_peer_enable(int device, int peer, struct error *e) {
    int can = 0;
    if (device == peer) return 0;
    int rc = cuda_check(cudaDeviceCanAccessPeer(&can, device, peer), "asking for peer access", e);
    if (rc || !can) return rc; /* copies then go through host memory, which the driver does by itself */
    rc = cuda_device_set(device, e);
    cudaError_t err = rc ? cudaSuccess : cudaDeviceEnablePeerAccess(peer, 0);
    if (err == cudaErrorPeerAccessAlreadyEnabled) {
        cudaGetLastError();
        err = cudaSuccess;
    }
    return rc ? rc : cuda_check(err, "peer access", e);
}
extern "C" int cuda_copy_peer(void *to, int to_device, const void *from, int from_device, size_t bytes, cuda_stream s, struct error *e) {
    if (to_device == from_device) return cuda_copy(to, from, bytes, s, e);
    return cuda_check(cudaMemcpyPeerAsync(to, to_device, from, from_device, bytes, (cudaStream_t)s), "copy between GPUs", e);
}
extern "C" int cuda_event_open(cuda_event *ev, struct error *e) {
    return cuda_check(cudaEventCreateWithFlags((cudaEvent_t *)ev, cudaEventDisableTiming), "event", e);
}
extern "C" void cuda_event_close(cuda_event ev) {
    if (ev) cudaEventDestroy((cudaEvent_t)ev);
}
extern "C" int cuda_event_mark(cuda_event ev, cuda_stream s, struct error *e) {
    return cuda_check(cudaEventRecord((cudaEvent_t)ev, (cudaStream_t)s), "event", e);
}
extern "C" int cuda_event_wait(cuda_event ev, cuda_stream s, struct error *e) {
    return cuda_check(cudaStreamWaitEvent((cudaStream_t)s, (cudaEvent_t)ev, 0), "event", e);
}

extern "C" int cuda_stream_open(cuda_stream *s, struct error *e) {
    return cuda_check(cudaStreamCreateWithFlags((cudaStream_t *)s, cudaStreamNonBlocking), "stream", e);
}
extern "C" void cuda_stream_close(cuda_stream s) {
    if (s) cudaStreamDestroy((cudaStream_t)s);
}
extern "C" int cuda_sync(cuda_stream s, struct error *e) {
    return cuda_check(cudaStreamSynchronize((cudaStream_t)s), "waiting for the GPU", e);
}
extern "C" int cuda_alloc(void **p, size_t bytes, struct error *e) {
    *p = NULL;
    if (cudaMalloc(p, bytes ? bytes : 1) == cudaSuccess) return 0;
    cudaGetLastError();
    size_t free_bytes = 0, total = 0;
    cudaMemGetInfo(&free_bytes, &total);
    return error_set(e, ERR_NOMEM, "GPU memory", "%.2f GiB were asked for, %.2f of %.2f GiB are free", (double)bytes / (1 << 30),
                     (double)free_bytes / (1 << 30), (double)total / (1 << 30));
}
extern "C" void cuda_free(void *p) {
    if (p) cudaFree(p);
}
extern "C" int cuda_zero(void *p, size_t bytes, cuda_stream s, struct error *e) {
    return cuda_check(cudaMemsetAsync(p, 0, bytes, (cudaStream_t)s), "clearing memory", e);
}
extern "C" int cuda_upload(void *device, const void *host, size_t bytes, cuda_stream s, struct error *e) {
    int rc = cuda_check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, (cudaStream_t)s), "upload", e);
    return rc ? rc : cuda_sync(s, e);
}
extern "C" int cuda_download(void *host, const void *device, size_t bytes, cuda_stream s, struct error *e) {
    int rc = cuda_check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)s), "download", e);
    return rc ? rc : cuda_sync(s, e);
}
extern "C" int cuda_host_alloc(void **p, size_t bytes, struct error *e) {
    *p = NULL;
    return cuda_check(cudaMallocHost(p, bytes ? bytes : 1), "host memory for transfers", e);
}
extern "C" void cuda_host_free(void *p) {
    if (p) cudaFreeHost(p);
}
extern "C" int cuda_upload_async(void *device, const void *pinned, size_t bytes, cuda_stream s, struct error *e) {
    return cuda_check(cudaMemcpyAsync(device, pinned, bytes, cudaMemcpyHostToDevice, (cudaStream_t)s), "upload", e);
}
extern "C" int cuda_download_async(void *pinned, const void *device, size_t bytes, cuda_stream s, struct error *e) {
    return cuda_check(cudaMemcpyAsync(pinned, device, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)s), "download", e);
}
extern "C" int cuda_copy(void *to, const void *from, size_t bytes, cuda_stream s, struct error *e) {
    return cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, (cudaStream_t)s), "copy", e);
}

/* splitmix64 (Steele, Lea, Flood 2014) over the index: any element alone, same bits always. */
__device__ __forceinline__ uint32_t hash_index(uint64_t i, uint64_t seed) {
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull + seed * 0xd1342543de82ef95ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(x >> 32);
}
static __global__ void random_bf16_kernel(bf16 *out, size_t n, float scale, uint64_t seed) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        out[i] = __float2bfloat16(((float)hash_index(i, seed) * 0x1p-31f - 1.f) * scale);
}
static __global__ void random_i8_kernel(int8_t *out, size_t n, uint64_t seed) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        out[i] = (int8_t)((int)(hash_index(i, seed) % 255u) - 127);
}
static __global__ void fill_kernel(float *out, size_t n, float value) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) out[i] = value;
}
extern "C" int cuda_random_bf16(uint16_t *out, size_t n, float scale, uint64_t seed, cuda_stream s, struct error *e) {
    random_bf16_kernel<<<2048, 256, 0, (cudaStream_t)s>>>((bf16 *)out, n, scale, seed);
    return cuda_check(cudaGetLastError(), "random", e);
}
extern "C" int cuda_random_i8(int8_t *out, size_t n, uint64_t seed, cuda_stream s, struct error *e) {
    random_i8_kernel<<<2048, 256, 0, (cudaStream_t)s>>>(out, n, seed);
    return cuda_check(cudaGetLastError(), "random", e);
}
extern "C" int cuda_fill_f32(float *out, size_t n, float value, cuda_stream s, struct error *e) {
    fill_kernel<<<1024, 256, 0, (cudaStream_t)s>>>(out, n, value);
    return cuda_check(cudaGetLastError(), "fill", e);
}

extern "C" int cuda_graph_begin(cuda_stream s, struct error *e) {
    return cuda_check(cudaStreamBeginCapture((cudaStream_t)s, cudaStreamCaptureModeThreadLocal), "graph", e);
}
extern "C" int cuda_graph_end(cuda_graph *g, cuda_stream s, struct error *e) {
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    int rc = cuda_check(cudaStreamEndCapture((cudaStream_t)s, &graph), "graph", e);
    if (!rc) rc = cuda_check(cudaGraphInstantiate(&exec, graph, 0), "graph", e);
    if (graph) cudaGraphDestroy(graph);
    *g = rc ? NULL : (cuda_graph)exec;
    return rc;
}
extern "C" int cuda_graph_run(cuda_graph g, cuda_stream s, struct error *e) {
    return cuda_check(cudaGraphLaunch((cudaGraphExec_t)g, (cudaStream_t)s), "graph", e);
}
extern "C" void cuda_graph_close(cuda_graph g) {
    if (g) cudaGraphExecDestroy((cudaGraphExec_t)g);
}

extern "C" int cuda_timer_open(cuda_timer *t, struct error *e) {
    cudaEvent_t *ev = (cudaEvent_t *)calloc(2, sizeof *ev);
    *t = ev;
    if (!ev) return error_set(e, ERR_NOMEM, "timer", "Out of memory");
    int rc = cuda_check(cudaEventCreate(&ev[0]), "timer", e);
    return rc ? rc : cuda_check(cudaEventCreate(&ev[1]), "timer", e);
}
extern "C" void cuda_timer_close(cuda_timer t) {
    cudaEvent_t *ev = (cudaEvent_t *)t;
    if (!ev) return;
    if (ev[0]) cudaEventDestroy(ev[0]);
    if (ev[1]) cudaEventDestroy(ev[1]);
    free(ev);
}
extern "C" int cuda_timer_mark(cuda_timer t, int which, cuda_stream s, struct error *e) {
    return cuda_check(cudaEventRecord(((cudaEvent_t *)t)[which], (cudaStream_t)s), "timer", e);
}
extern "C" int cuda_timer_ms(cuda_timer t, float *ms, struct error *e) {
    cudaEvent_t *ev = (cudaEvent_t *)t;
    int rc = cuda_check(cudaEventSynchronize(ev[1]), "timer", e);
    return rc ? rc : cuda_check(cudaEventElapsedTime(ms, ev[0], ev[1]), "timer", e);
}
