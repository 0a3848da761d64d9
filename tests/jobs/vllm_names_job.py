"""A job with the module names, the fused weights and the calls of vLLM's DeepSeek-OCR, at sizes that a CPU runs in milliseconds.

One step is a request. As there (vllm/model_executor/models/deepseek_ocr.py, deepencoder.py, deepseek_v2.py): tokens of all sequences lie behind
each other; the vision, the embedding and the logits are called by the engine, outside of the model's forward; one rotary embedding is in every
layer; the experts' weights are stacked, and the shared experts run inside of them.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
import job  # noqa: E402
from deepseek_ocr_job import (BASE, CLIP_HEADS, CLIP_WIDTH, DENSE, EXPERT, EXPERTS, HEADS, HIDDEN, PICKED, SHARED, TILE, VOCABULARY,  # noqa: E402
                              CLIPVisionEmbeddings, DeepseekV2RMSNorm, ImageEncoderViT, MlpProjector)


class Linear(nn.Linear):
    """Gives a bias of its own beside the product, as vLLM's do."""

    def __init__(self, inputs, outputs, bias=False):
        super().__init__(inputs, outputs, bias=bias)

    def forward(self, x):
        return super().forward(x), None


class MMEncoderAttention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


class CLIPAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv_proj = Linear(CLIP_WIDTH, 3 * CLIP_WIDTH, bias=True)
        self.out_proj = Linear(CLIP_WIDTH, CLIP_WIDTH, bias=True)
        self.attn = MMEncoderAttention()

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv_proj(x)[0].view(b, n, 3, CLIP_HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out_proj(self.attn(q, k, v).transpose(1, 2).reshape(b, n, CLIP_WIDTH))[0]


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class CLIPMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation_fn = QuickGELU()
        self.fc1 = Linear(CLIP_WIDTH, 4 * CLIP_WIDTH, bias=True)
        self.fc2 = Linear(4 * CLIP_WIDTH, CLIP_WIDTH, bias=True)

    def forward(self, x):
        return self.fc2(self.activation_fn(self.fc1(x)[0]))[0]


class CLIPEncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = CLIPAttention()
        self.layer_norm1 = nn.LayerNorm(CLIP_WIDTH)
        self.mlp = CLIPMLP()
        self.layer_norm2 = nn.LayerNorm(CLIP_WIDTH)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class CLIPEncoder(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList([CLIPEncoderLayer() for _ in range(layers)])

    def forward(self, inputs_embeds):
        for layer in self.layers:
            inputs_embeds = layer(inputs_embeds)
        return inputs_embeds


class DeepCLIPVisionTransformer(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.embeddings = CLIPVisionEmbeddings()
        self.pre_layrnorm = nn.LayerNorm(CLIP_WIDTH)
        self.transformer = CLIPEncoder(layers)

    def forward(self, pixel_values, patch_embeds):
        return self.transformer(self.pre_layrnorm(self.embeddings(patch_embeds)))


class RotaryEmbedding(nn.Module):
    def forward(self, positions, query, key):
        half = query.shape[-1] // 2
        angles = positions[:, None, None] * 10000.0 ** (-torch.arange(half) / half)
        cos, sin = (torch.cat([f(angles)] * 2, dim=-1) for f in (torch.cos, torch.sin))
        return [x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin for x in (query, key)]


class Attention(nn.Module):
    """With the cache of its layer, which vLLM keeps outside of the call."""

    def __init__(self):
        super().__init__()
        self.cache = []

    def forward(self, q, k, v):
        if q.shape[0] > 1:
            self.cache.clear()
        self.cache.append((k, v))
        k, v = (torch.cat(parts) for parts in zip(*self.cache))
        x = F.scaled_dot_product_attention(*(part.transpose(0, 1)[None] for part in (q, k, v)), is_causal=q.shape[0] > 1)
        return x[0].transpose(0, 1).reshape(q.shape[0], HIDDEN)


class DeepseekAttention(nn.Module):
    def __init__(self, rotary_emb):
        super().__init__()
        self.qkv_proj = Linear(HIDDEN, 3 * HIDDEN)
        self.o_proj = Linear(HIDDEN, HIDDEN)
        self.rotary_emb = rotary_emb
        self.attn = Attention()

    def forward(self, positions, hidden_states):
        q, k, v = self.qkv_proj(hidden_states)[0].view(-1, 3, HEADS, HIDDEN // HEADS).unbind(1)
        q, k = self.rotary_emb(positions, q, k)
        return self.o_proj(self.attn(q, k, v))[0]


class SiluAndMul(nn.Module):
    def forward(self, x):
        gate, up = x.chunk(2, dim=-1)
        return F.silu(gate) * up


class DeepseekV2MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate_up_proj = Linear(HIDDEN, 2 * width)
        self.down_proj = Linear(width, HIDDEN)
        self.act_fn = SiluAndMul()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_up_proj(x)[0]))[0]


class FusedMoE(nn.Module):
    def __init__(self, shared_experts):
        super().__init__()
        self.w13_weight = nn.Parameter(torch.randn(EXPERTS, 2 * EXPERT, HIDDEN))
        self.w2_weight = nn.Parameter(torch.randn(EXPERTS, HIDDEN, EXPERT))
        self._shared_experts = shared_experts

    def forward(self, hidden_states, router_logits):
        shared = self._shared_experts(hidden_states)
        weights, picked = torch.topk(router_logits.softmax(dim=-1), PICKED, dim=-1)
        gate, up = torch.einsum("th,tkwh->tkw", hidden_states, self.w13_weight[picked]).chunk(2, dim=-1)
        routed = torch.einsum("tkw,tkhw->tkh", F.silu(gate) * up, self.w2_weight[picked])
        return shared + (routed * weights[..., None]).sum(1)


class DeepseekV2MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = Linear(HIDDEN, EXPERTS)
        self.shared_experts = DeepseekV2MLP(SHARED * EXPERT)
        self.experts = FusedMoE(self.shared_experts)

    def forward(self, hidden_states):
        return self.experts(hidden_states=hidden_states, router_logits=self.gate(hidden_states)[0])


class DeepseekV2DecoderLayer(nn.Module):
    def __init__(self, index, rotary_emb):
        super().__init__()
        self.self_attn = DeepseekAttention(rotary_emb)
        self.mlp = DeepseekV2MLP(DENSE) if index == 0 else DeepseekV2MoE()
        self.input_layernorm = DeepseekV2RMSNorm()
        self.post_attention_layernorm = DeepseekV2RMSNorm()

    def forward(self, positions, hidden_states):
        hidden_states = hidden_states + self.self_attn(positions=positions, hidden_states=self.input_layernorm(hidden_states))
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class DeepseekV2Model(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        rotary_emb = RotaryEmbedding()
        self.layers = nn.ModuleList([DeepseekV2DecoderLayer(i, rotary_emb) for i in range(layers)])
        self.norm = DeepseekV2RMSNorm()

    def forward(self, input_ids, positions, intermediate_tensors, inputs_embeds):
        hidden_states = inputs_embeds
        for layer in self.layers:
            hidden_states = layer(positions, hidden_states)
        return self.norm(hidden_states)


class LogitsProcessor(nn.Module):
    def forward(self, lm_head, hidden_states):
        return F.linear(hidden_states, lm_head.weight)


class DeepseekForCausalLM(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.model = DeepseekV2Model(layers)
        self.lm_head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
        self.logits_processor = LogitsProcessor()

    def forward(self, input_ids, positions, intermediate_tensors=None, inputs_embeds=None):
        return self.model(input_ids, positions, intermediate_tensors, inputs_embeds)

    def compute_logits(self, hidden_states):
        return self.logits_processor(self.lm_head, hidden_states)


class DeepseekOCRForCausalLM(nn.Module):
    def __init__(self, layers, sam_layers, clip_layers):
        super().__init__()
        self.sam_model = ImageEncoderViT(sam_layers)
        self.vision_model = DeepCLIPVisionTransformer(clip_layers)
        self.projector = MlpProjector()
        self.image_newline = nn.Parameter(torch.zeros(HIDDEN))
        self.view_seperator = nn.Parameter(torch.zeros(HIDDEN))
        self.language_model = DeepseekForCausalLM(layers)

    def encode(self, pixels):
        features = self.sam_model(pixels)
        tokens = self.vision_model(pixels, features)
        return self.projector(torch.cat([tokens[:, 1:], features.flatten(2).permute(0, 2, 1)], dim=-1))

    def rows(self, grid):
        return torch.cat([grid, self.image_newline.expand(grid.shape[0], 1, HIDDEN)], dim=1).reshape(-1, HIDDEN)

    def embed_multimodal(self, image, crops):
        view, local = self.encode(image)[0], self.encode(crops)
        side, tile = round(view.shape[0] ** 0.5), round(local.shape[1] ** 0.5)
        raster = local.view(1, crops.shape[0], tile, tile, HIDDEN).permute(0, 2, 1, 3, 4).reshape(tile, -1, HIDDEN)
        return torch.cat([self.rows(raster), self.rows(view.view(side, side, HIDDEN)), self.view_seperator[None]])

    def embed_input_ids(self, input_ids, features=None):
        embedded = self.language_model.model.embed_tokens(input_ids)
        if features is not None:
            embedded[:features.shape[0]] = features
        return embedded

    def forward(self, input_ids, positions, intermediate_tensors=None, inputs_embeds=None):
        return self.language_model(input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds)

    def compute_logits(self, hidden_states):
        return self.language_model.compute_logits(hidden_states)


def main():
    options = job.parser(__doc__.splitlines()[0])
    options.add_argument("--layers", type=int, default=3)
    options.add_argument("--sam-layers", type=int, default=3)
    options.add_argument("--clip-layers", type=int, default=2)
    options.add_argument("--prompt", type=int, default=24, help="tokens, those of the image included")
    options.add_argument("--new-tokens", type=int, default=8)
    options = options.parse_args()
    torch.manual_seed(0)
    model = DeepseekOCRForCausalLM(options.layers, options.sam_layers, options.clip_layers).eval()
    crops, image = torch.randn(2, 3, TILE, TILE), torch.randn(1, 3, BASE, BASE)
    prompt = torch.randint(0, VOCABULARY, (options.prompt,))

    def forward(tokens, begin, features=None):
        embedded = model.embed_input_ids(tokens, features)
        hidden_states = model(input_ids=None, positions=torch.arange(begin, begin + tokens.shape[0]), inputs_embeds=embedded)
        return model.compute_logits(hidden_states[-1:])

    def step():
        logits = forward(prompt, 0, model.embed_multimodal(image, crops))
        for i in range(options.new_tokens - 1):
            logits = forward(logits.argmax(-1), options.prompt + i)
        return logits.sum()

    job.run(options, model, step)


if __name__ == "__main__":
    main()
