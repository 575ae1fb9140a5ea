"""Writes eight small random Jamba checkpoints and what transformers computes with them in float32, for tests/unit/test_safetensors.c.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
    python3 tests/golden/checkpoints/checkpoints.py

A folder each: config.json, model.safetensors (or shards with their index), tokenizer.json (a link to ../vocabularies), expected.bin:
i32 n_tokens, n_layer, d_model, n_vocab; i32 ids[n_tokens]; f32 hidden[n_layer + 2][n_tokens][d_model] (behind the embedding, each layer, the
final norm); f32 logits[n_vocab] of the last position. Seed 20261128 + number. All weights are made large enough to matter.
"""
import json
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import JambaConfig, JambaForCausalLM

here = Path(__file__).parent
base = dict(vocab_size=704, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
            mamba_d_state=4, mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=3, num_experts=1, num_experts_per_tok=1, attn_layer_period=2,
            attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=1, use_mamba_kernels=False, tie_word_embeddings=False,
            bos_token_id=1, eos_token_id=[0, 2], pad_token_id=0, initializer_range=0.3)
cases = {
    "dense": dict(), "dense_tied": dict(tie_word_embeddings=True), "mqa": dict(num_key_value_heads=1), "mha_dt5": dict(num_key_value_heads=4, mamba_dt_rank=5),
    "moe_with_attention": dict(num_experts=4, num_experts_per_tok=2), "moe_fused": dict(num_experts=4, num_experts_per_tok=2, expert_layer_offset=0),
    "bf16_shards": dict(num_experts=3, num_experts_per_tok=2, attn_layer_period=3, attn_layer_offset=2), "conv3_top1": dict(num_experts=2, mamba_d_conv=3),
}
for number, (name, change) in enumerate(cases.items()):
    torch.manual_seed(20261128 + number)
    config = JambaConfig(**{**base, **change})
    config._attn_implementation = "eager"
    if hasattr(config, "_experts_implementation"):
        config._experts_implementation = "eager"
    model = JambaForCausalLM(config).float().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "norm" in key:
                p.copy_(1 + 0.3 * torch.randn_like(p))
            elif key.endswith("A_log"):
                p.copy_(torch.rand_like(p) * 2 - 0.5)
            elif key.endswith("mamba.D"):
                p.copy_(torch.randn_like(p))
            elif key.endswith("dt_proj.bias"):
                p.copy_(torch.randn_like(p) - 2)
            elif p.dim() >= 2:
                p.copy_(torch.randn_like(p) * 1.5 / p.shape[-1] ** 0.5)
            else:
                p.copy_(0.3 * torch.randn_like(p))
            if name == "bf16_shards":
                p.copy_(p.bfloat16().float())
    ids = torch.randint(3, 700, (1, 37))
    seen = []
    hooks = [model.model.embed_tokens.register_forward_hook(lambda m, i, o: seen.append(o))]
    hooks += [layer.register_forward_hook(lambda m, i, o: seen.append(o[0] if isinstance(o, tuple) else o)) for layer in model.model.layers]
    hooks += [model.model.final_layernorm.register_forward_hook(lambda m, i, o: seen.append(o))]
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, -1]
    hidden = torch.stack([s[0] for s in seen])
    assert hidden.shape == (config.num_hidden_layers + 2, 37, 32) and hidden.isfinite().all()
    tensors = {}
    for key, p in model.state_dict().items():
        p = p.clone().contiguous()
        if name != "moe_fused" and key.endswith("experts.gate_up_proj"):  # the layout of published files
            for e in range(p.shape[0]):
                half = p.shape[1] // 2
                tensors[key.replace("gate_up_proj", "%d.gate_proj.weight" % e)] = p[e, :half].clone()
                tensors[key.replace("gate_up_proj", "%d.up_proj.weight" % e)] = p[e, half:].clone()
        elif name != "moe_fused" and key.endswith("experts.down_proj"):
            for e in range(p.shape[0]):
                tensors[key.replace("down_proj", "%d.down_proj.weight" % e)] = p[e].clone()
        elif not (config.tie_word_embeddings and key == "lm_head.weight"):
            tensors[key] = p
    if name == "bf16_shards":
        tensors = {k: v.bfloat16() for k, v in tensors.items()}
    folder = here / name
    folder.mkdir(exist_ok=True)
    if name == "bf16_shards":
        keys = sorted(tensors)
        parts = [keys[i::3] for i in range(3)]
        names = ["model-%05d-of-00003.safetensors" % (i + 1) for i in range(3)]
        for part, file in zip(parts, names):
            save_file({k: tensors[k] for k in part}, folder / file)
        weight_map = {k: file for part, file in zip(parts, names) for k in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    else:
        save_file(tensors, folder / "model.safetensors")
    written = {"model_type": "jamba", "architectures": ["JambaForCausalLM"], "hidden_act": "silu", "rms_norm_eps": config.rms_norm_eps, **base, **change}
    (folder / "config.json").write_text(json.dumps(written, indent=1))
    link = folder / "tokenizer.json"
    if not link.is_symlink():
        link.symlink_to("../../vocabularies/bytes.json")
    out = struct.pack("<4i", 37, config.num_hidden_layers, 32, 704) + ids[0].int().numpy().tobytes()
    (folder / "expected.bin").write_bytes(out + hidden.numpy().tobytes() + logits.numpy().tobytes())
    print(name, sorted({k.split("layers.1.")[1] for k in tensors if "layers.1." in k})[:30] if number in (0, 5) else "", float(hidden[-2].abs().max()))
