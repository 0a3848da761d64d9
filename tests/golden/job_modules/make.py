#!/usr/bin/env python3
"""Writes what an agent tells of a job's modules: path, class, shape of the weight, parameters of its own; the root is ".".

usage: tests/golden/job_modules/make.py published DIR > published_tiny_a.tsv      (a model directory: config.json, model.safetensors)
       tests/golden/job_modules/make.py transformers > transformers_ocr2_tiny.tsv  (needs torch and transformers)
       tests/golden/job_modules/make.py vllm > vllm_names_job.tsv                 (needs torch)

The published code is not run: its classes are looked up by path below, its weights are those of the checkpoint. The shapes of
DeepSeek-OCR-2 are those of the real classes on the meta device, those of vLLM of tests/jobs/vllm_names_job.py.
"""

import collections
import json
import math
import pathlib
import re
import struct
import sys

# Classes of the published code, of modules with and without weights. {} is an index.
PUBLISHED = {
    "": "modeling_deepseekocr.DeepseekOCRForCausalLM",
    "lm_head": "torch.nn.Linear",
    "model": "modeling_deepseekocr.DeepseekOCRModel",
    "model.embed_tokens": "torch.nn.Embedding",
    "model.norm": "modeling_deepseekv2.DeepseekV2RMSNorm",
    "model.layers": "torch.nn.ModuleList",
    "model.layers.{}": "modeling_deepseekv2.DeepseekV2DecoderLayer",
    "model.layers.{}.input_layernorm": "modeling_deepseekv2.DeepseekV2RMSNorm",
    "model.layers.{}.post_attention_layernorm": "modeling_deepseekv2.DeepseekV2RMSNorm",
    "model.layers.{}.self_attn": "transformers.models.llama.modeling_llama.LlamaAttention",
    "model.layers.{}.self_attn.rotary_emb": "transformers.models.llama.modeling_llama.LlamaRotaryEmbedding",
    "model.layers.{}.mlp.gate": "modeling_deepseekv2.MoEGate",
    "model.layers.{}.mlp.experts": "torch.nn.ModuleList",
    "model.layers.{}.mlp.experts.{}": "modeling_deepseekv2.DeepseekV2MLP",
    "model.layers.{}.mlp.shared_experts": "modeling_deepseekv2.DeepseekV2MLP",
    "model.sam_model": "deepencoder.ImageEncoderViT",
    "model.sam_model.patch_embed": "deepencoder.PatchEmbed",
    "model.sam_model.patch_embed.proj": "torch.nn.Conv2d",
    "model.sam_model.blocks": "torch.nn.ModuleList",
    "model.sam_model.blocks.{}": "deepencoder.Block",
    "model.sam_model.blocks.{}.norm1": "torch.nn.LayerNorm",
    "model.sam_model.blocks.{}.norm2": "torch.nn.LayerNorm",
    "model.sam_model.blocks.{}.attn": "deepencoder.Attention",
    "model.sam_model.blocks.{}.mlp": "deepencoder.MLPBlock",
    "model.sam_model.blocks.{}.mlp.act": "torch.nn.GELU",
    "model.sam_model.neck": "torch.nn.Sequential",
    "model.sam_model.neck.0": "torch.nn.Conv2d",
    "model.sam_model.neck.1": "deepencoder.LayerNorm2d",
    "model.sam_model.neck.2": "torch.nn.Conv2d",
    "model.sam_model.neck.3": "deepencoder.LayerNorm2d",
    "model.sam_model.net_2": "torch.nn.Conv2d",
    "model.sam_model.net_3": "torch.nn.Conv2d",
    "model.vision_model": "deepencoder.VitModel",
    "model.vision_model.embeddings": "deepencoder.CLIPVisionEmbeddings",
    "model.vision_model.embeddings.patch_embedding": "torch.nn.Conv2d",
    "model.vision_model.embeddings.position_embedding": "torch.nn.Embedding",
    "model.vision_model.pre_layrnorm": "deepencoder.LayerNormfp32",
    "model.vision_model.transformer": "deepencoder.NoTPTransformer",
    "model.vision_model.transformer.layers": "torch.nn.ModuleList",
    "model.vision_model.transformer.layers.{}": "deepencoder.NoTPTransformerBlock",
    "model.vision_model.transformer.layers.{}.layer_norm1": "torch.nn.LayerNorm",
    "model.vision_model.transformer.layers.{}.layer_norm2": "torch.nn.LayerNorm",
    "model.vision_model.transformer.layers.{}.self_attn": "deepencoder.NoTPAttention",
    "model.vision_model.transformer.layers.{}.mlp": "deepencoder.NoTPFeedForward",
    "model.projector": "deepencoder.MlpProjector",
    "model.projector.layers": "torch.nn.Linear",
}


def write(modules):
    """modules: (path, class, shape of the weight or (), parameters)"""
    for path, cls, shape, parameters in modules:
        print(path or ".", cls, ",".join(map(str, shape)), parameters, sep="\t")


def order(path):
    return [(int(word), "") if word.isdigit() else (-1, word) for word in path.split(".")]


def published(directory):
    with open(pathlib.Path(directory) / "model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    shapes, parameters, paths = {}, collections.Counter(), {""}
    for tensor, entry in header.items():
        if tensor == "__metadata__" or entry["dtype"].startswith("I"):  # CLIP's position_ids are a buffer
            continue
        path, _, name = tensor.rpartition(".")
        parameters[path] += math.prod(entry["shape"])
        if name == "weight":
            shapes[path] = entry["shape"]
        while path:
            paths.add(path)
            path = path.rpartition(".")[0]
    # Modules without a weight below them are in no checkpoint.
    for path in list(paths):
        if path.endswith(".self_attn") and path.startswith("model.layers."):
            paths.add(path + ".rotary_emb")
        elif path.endswith(".gate_proj"):
            paths.add(path.removesuffix("gate_proj") + "act_fn")
        elif path.endswith(".lin1"):
            paths.add(path.removesuffix("lin1") + "act")
    rows = []
    for path in sorted(paths, key=order):
        pattern = re.sub(r"(?<=\.)\d+(?=\.|$)", "{}", path)
        cls = PUBLISHED.get(path) or PUBLISHED.get(pattern) or "torch.nn.Linear"
        if pattern == "model.layers.{}.mlp":
            cls = "modeling_deepseekv2." + ("DeepseekV2MLP" if path + ".gate_proj" in paths else "DeepseekV2MoE")
        elif path.endswith(".act_fn"):
            cls = "torch.nn.SiLU"
        rows.append((path, cls, shapes.get(path, ()), parameters[path]))
    write(rows)


def transformers():
    import torch
    from transformers.models.deepseek_ocr2 import configuration_deepseek_ocr2 as c
    from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import DeepseekOcr2ForConditionalGeneration

    sam = dict(hidden_size=48, output_channels=24, num_hidden_layers=4, num_attention_heads=3, image_size=256, patch_size=16,
               global_attn_indexes=[1, 3], downsample_channels=[40, 128])
    encoder = dict(hidden_size=128, intermediate_size=160, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
                   max_position_embeddings=1024)
    text = dict(vocab_size=512, hidden_size=256, intermediate_size=176, num_hidden_layers=3, num_attention_heads=2,
                num_key_value_heads=2, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3, moe_intermediate_size=40,
                mlp_layer_types=["dense", "sparse", "sparse"], max_position_embeddings=2048)
    config = c.DeepseekOcr2Config(vision_config=dict(sam_config=sam, encoder_config=encoder), text_config=text, image_token_id=500)
    with torch.device("meta"):
        write_model(DeepseekOcr2ForConditionalGeneration(config))


def vllm():
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "jobs"))
    from vllm_names_job import DeepseekOCRForCausalLM

    write_model(DeepseekOCRForCausalLM(layers=3, sam_layers=3, clip_layers=2))


def write_model(model):
    rows = []
    for path, module in model.named_modules():
        weight = module._parameters.get("weight")
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        cls = type(module)
        module_name = "torch.nn" if cls.__module__.startswith("torch.nn.modules") else cls.__module__
        rows.append((path, f"{module_name}.{cls.__qualname__}", tuple(weight.shape) if weight is not None else (), own))
    write(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["published"] and len(sys.argv) == 3:
        published(sys.argv[2])
    elif sys.argv[1:] == ["transformers"]:
        transformers()
    elif sys.argv[1:] == ["vllm"]:
        vllm()
    else:
        sys.exit(__doc__)
