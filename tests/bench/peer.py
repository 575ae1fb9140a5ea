"""peer.py: the peers of our kernels on the same card, by PyTorch: causal attention (cuDNN and flash), bf16 products, a copy. Prints CSV as bench_kernels."""
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def ms(f, n=9):
    for _ in range(2):
        f()
    times = []
    for _ in range(n):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        f()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b))
    return sorted(times)[n // 2]


print(f"# {torch.cuda.get_device_name()}, torch {torch.__version__}")
for name, backend in (("sdpa_cudnn", SDPBackend.CUDNN_ATTENTION), ("sdpa_flash", SDPBackend.FLASH_ATTENTION)):
    for T, H, KV, D in ((32768, 32, 8, 128), (65536, 32, 8, 128), (32768, 20, 1, 128), (32768, 9, 3, 64)):
        q, k, v = (torch.randn(1, h, T, D, device="cuda", dtype=torch.bfloat16) for h in (H, KV, KV))
        try:
            with sdpa_kernel(backend):
                t = ms(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True), 5)
            print(f"{name},{T} queries heads {H}/{KV} dim {D},{t:.4f},{2 * H * D * T * T / t / 1e9:.1f},TFLOP/s")
        except RuntimeError as e:
            print(f"{name},{T} queries heads {H}/{KV} dim {D},,,{str(e).splitlines()[0][:80]}")
for m, n, k in ((8192, 16384, 4096), (8192, 28672, 4096), (8192, 4096, 14336), (8192, 10240, 2560), (8192, 2560, 8192)):
    a, b = torch.randn(m, k, device="cuda", dtype=torch.bfloat16), torch.randn(n, k, device="cuda", dtype=torch.bfloat16)
    t = ms(lambda: a @ b.T)
    print(f"matmul_bf16,{m}x{n}x{k},{t:.4f},{2 * m * n * k / t / 1e9:.1f},TFLOP/s")
