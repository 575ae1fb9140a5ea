"""pad.py IN OUT: the bundled model in f32 with widths that are multiples of 256: zeros added, the function the same."""
import struct, sys, re
from array import array
D, DP, DI, DIP, KV, KVP = 576, 768, 1152, 1536, 192, 256
src, dst = open(sys.argv[1], 'rb'), open(sys.argv[2], 'wb')
rd = lambda fmt: struct.unpack(fmt, src.read(struct.calcsize(fmt)))[0]
rstr = lambda: src.read(rd('<Q'))
SZ = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
def val(t):
    if t == 8:
        n = src.read(8)
        return n + src.read(struct.unpack('<Q', n)[0])
    if t == 9:
        h = src.read(12)
        et, n = struct.unpack('<IQ', h)
        return h + (b''.join(val(et) for _ in range(n)) if et in (8, 9) else src.read(SZ[et] * n))
    return src.read(SZ[t])
assert src.read(4) == b'GGUF' and rd('<I') == 3
nt, nk = rd('<Q'), rd('<Q')
kvs = []
for _ in range(nk):
    k, t = rstr(), rd('<I')
    v = val(t)
    k = k.decode()
    if k == 'jamba.embedding_length': v = struct.pack('<I', DP)
    if k == 'jamba.ssm.inner_size': v = struct.pack('<I', DIP)
    if k == 'jamba.attention.head_count': v = struct.pack('<I', 12)
    if k == 'jamba.attention.head_count_kv': v = v[:12] + b''.join(struct.pack('<I', 4 if x else 0) for x in struct.unpack('<%dI' % ((len(v) - 12) // 4), v[12:]))
    if k == 'jamba.attention.layer_norm_rms_epsilon': v = struct.pack('<f', struct.unpack('<f', v)[0] * D / DP)
    if k == 'general.name': v = struct.pack('<Q', 6) + b'padded'
    kvs.append((k.encode(), t, v))
infos = []
for _ in range(nt):
    n = rstr()
    ne = [rd('<Q') for _ in range(rd('<I'))]
    assert rd('<I') == 0
    infos.append((n, ne, rd('<Q')))
base = (src.tell() + 31) // 32 * 32
def shape(n, ne):
    n = re.sub(r'^blk\.\d+\.', '', n.decode()).replace('.weight', '')
    return {'token_embd': (DP, 49152), 'output_norm': (DP,), 'attn_norm': (DP,), 'ffn_norm': (DP,), 'ffn_gate': (DP, 1536), 'ffn_up': (DP, 1536), 'ffn_down': (1536, DP),
            'ssm_in': (DP, 2 * DIP), 'ssm_conv1d': (4, DIP), 'ssm_conv1d.bias': (DIP,), 'ssm_x': (DIP, 64), 'ssm_dt': (32, DIP), 'ssm_dt.bias': (DIP,), 'ssm_a': (16, DIP), 'ssm_d': (DIP,),
            'ssm_out': (DIP, DP), 'attn_q': (DP, DP), 'attn_k': (DP, KVP), 'attn_v': (DP, KVP), 'attn_output': (DP, DP)}.get(n, tuple(ne))
new = [(n, ne, shape(n, ne), off) for n, ne, off in infos]
dst.write(b'GGUF' + struct.pack('<IQQ', 3, nt, nk))
for k, t, v in kvs: dst.write(struct.pack('<Q', len(k)) + k + struct.pack('<I', t) + v)
off = 0
def count(s):
    c = 1
    for x in s: c *= x
    return c
for n, ne, s, _ in new:
    dst.write(struct.pack('<Q', len(n)) + n + struct.pack('<I', len(s)) + struct.pack('<%dQ' % len(s), *s) + struct.pack('<IQ', 0, off))
    off += (count(s) * 4 + 31) // 32 * 32
dst.write(b'\0' * (-dst.tell() % 32))
for n, ne, s, o in new:
    src.seek(base + o)
    b = src.read(count(ne) * 4)
    if len(s) == 1:
        if n.decode().endswith(('attn_norm.weight', 'ffn_norm.weight', 'output_norm.weight')):
            b = array('f', [x * (D / DP) ** 0.5 for x in array('f', b)]).tobytes()
        b += b'\0' * (4 * (s[0] - ne[0]))
    else:
        w, rows = ne[0] * 4, [b[i * ne[0] * 4:(i + 1) * ne[0] * 4] for i in range(ne[1])]
        wide = b'\0' * (4 * s[0] - w)
        rows = [r + wide for r in rows]
        empty = struct.pack('<f', -1.0) * s[0] if n.endswith(b'ssm_a') else b'\0' * (4 * s[0])
        if n.endswith(b'ssm_in.weight'): rows = rows[:DI] + [empty] * (DIP - DI) + rows[DI:] + [empty] * (DIP - DI)
        else: rows += [empty] * (s[1] - ne[1])
        b = b''.join(rows)
    assert len(b) == count(s) * 4, n
    dst.write(b + b'\0' * (-len(b) % 32))
