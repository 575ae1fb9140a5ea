/* ops_scalar.c: the plain paths. "scalar" is the exact reference (f32 activations times dequantised weights, f32 KV);
 * "scalar-int8" differs from it in the linear layers only and is the twin that the int8 kernels of the fast paths must
 * equal bit for bit. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/quants.h"

#define SCALAR_OPS                                                                                                     \
    .quantize = scalar_quantize, .gemm_q4 = scalar_gemm_q4, .gemm_q8 = scalar_gemm_q8,                                 \
    .gemm_quants = scalar_gemm_quants, .gemm_f32 = scalar_gemm_f32, .rms_norm = scalar_rms_norm,                       \
    .swiglu = scalar_swiglu, .conv1d = scalar_conv1d, .scan = scalar_scan, .log_sum_exp = scalar_log_sum_exp

const struct cpu_ops cpu_ops_scalar = {SCALAR_OPS};
const struct cpu_ops cpu_ops_scalar_int8 = {.int8 = true, SCALAR_OPS};
