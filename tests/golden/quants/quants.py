"""Writes blocks.bin: random quantised blocks and what gguf-py makes of them, for tests/unit/test_tensor.c.

    pip install gguf==0.19.0 numpy==2.4.6
    python3 tests/golden/quants/quants.py

Layout, little-endian, for each type in TYPES: u32 type, u32 n_values, u32 n_bytes, bytes[n_bytes], f32[n_values]. Seed 20261128.
Blocks are random bytes whose fp16 scales are then set to finite values of both signs, a subnormal one among them.
"""
import struct
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants

TYPES = [(T.BF16, []), (T.Q4_0, [0]), (T.Q4_1, [0, 2]), (T.Q5_0, [0]), (T.Q5_1, [0, 2]), (T.Q8_0, [0]), (T.Q4_K, [0, 2]), (T.Q5_K, [0, 2]),
         (T.Q6_K, [208])]
SIZE = {T.BF16: (1, 2), T.Q4_0: (32, 18), T.Q4_1: (32, 20), T.Q5_0: (32, 22), T.Q5_1: (32, 24), T.Q8_0: (32, 34), T.Q4_K: (256, 144),
        T.Q5_K: (256, 176), T.Q6_K: (256, 210)}
rng = np.random.default_rng(20261128)
out = b""
for kind, scales in TYPES:
    values, size = SIZE[kind]
    n = 1024 // values
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in scales:
        d = rng.normal(0, 0.02, n).astype(np.float16)
        d[0] = np.float16(3e-6)
        blocks[:, at:at + 2] = d.view(np.uint8).reshape(n, 2)
    if kind == T.BF16:
        blocks = np.frombuffer((rng.normal(0, 1, n).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes(), np.uint8)
    data = blocks.tobytes()
    f32 = quants.dequantize(np.frombuffer(data, np.uint8), kind).astype(np.float32).ravel()
    assert f32.size == n * values and np.isfinite(f32).all(), kind
    out += struct.pack("<III", int(kind), f32.size, len(data)) + data + f32.tobytes()
(Path(__file__).parent / "blocks.bin").write_bytes(out)
