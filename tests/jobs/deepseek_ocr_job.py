"""A job with the module names, and the calls, of the published DeepSeek-OCR, at sizes that a CPU runs in milliseconds.

One step is a request: two crops and the global view through SAM, CLIP and projector, prefill, then decode steps. Weights are random; nothing
of what it computes means anything, but every weight has the name, and every size the place, that it has in the real one.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
import job  # noqa: E402

SAM_WIDTH, SAM_HEADS, SAM_WINDOW, SAM_GLOBAL = 48, 3, 3, (2, 5, 8, 11)
CLIP_WIDTH, CLIP_HEADS = 64, 4
HIDDEN, HEADS, VOCABULARY, DENSE, EXPERT, EXPERTS, PICKED, SHARED = 80, 5, 512, 160, 48, 8, 2, 2
PATCH, BASE, TILE = 16, 128, 64


class PatchEmbed(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(3, SAM_WIDTH, PATCH, PATCH)

    def forward(self, x):
        return self.proj(x).permute(0, 2, 3, 1)


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.qkv = nn.Linear(SAM_WIDTH, 3 * SAM_WIDTH)
        self.proj = nn.Linear(SAM_WIDTH, SAM_WIDTH)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, SAM_WIDTH // SAM_HEADS))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, SAM_WIDTH // SAM_HEADS))

    def table(self, weight, size):
        if weight.shape[0] != 2 * size - 1:
            weight = F.interpolate(weight.t()[None], size=2 * size - 1, mode="linear")[0].t()
        places = torch.arange(size)
        return weight[places[:, None] - places[None, :] + size - 1]

    def forward(self, x):
        b, h, w, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, h * w, 3, SAM_HEADS, -1).permute(2, 0, 3, 1, 4).reshape(3, b * SAM_HEADS, h * w, -1).unbind(0)
        grid = q.reshape(b * SAM_HEADS, h, w, -1)
        rel_h = torch.einsum("bhwc,hkc->bhwk", grid, self.table(self.rel_pos_h, h))
        rel_w = torch.einsum("bhwc,wkc->bhwk", grid, self.table(self.rel_pos_w, w))
        bias = (rel_h[..., :, None] + rel_w[..., None, :]).reshape(b * SAM_HEADS, h * w, h * w)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(x.reshape(b, SAM_HEADS, h, w, -1).permute(0, 2, 3, 1, 4).reshape(b, h, w, -1))


class MLPBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin1 = nn.Linear(SAM_WIDTH, 4 * SAM_WIDTH)
        self.lin2 = nn.Linear(4 * SAM_WIDTH, SAM_WIDTH)
        self.act = nn.GELU()

    def forward(self, x):
        return self.lin2(self.act(self.lin1(x)))


class Block(nn.Module):
    def __init__(self, window):
        super().__init__()
        self.norm1 = nn.LayerNorm(SAM_WIDTH, eps=1e-6)
        self.attn = Attention(window or BASE // PATCH)
        self.norm2 = nn.LayerNorm(SAM_WIDTH, eps=1e-6)
        self.mlp = MLPBlock()
        self.window = window

    def forward(self, x):
        shortcut = x
        x = self.norm1(x)
        if self.window:
            b, h, w, c = x.shape
            n, padding = self.window, -h % self.window
            x = F.pad(x, (0, 0, 0, padding, 0, padding))
            side = (h + padding) // n
            x = x.view(b, side, n, side, n, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, n, n, c)
            x = self.attn(x)
            x = x.view(b, side, side, n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(b, side * n, side * n, c)[:, :h, :w]
        else:
            x = self.attn(x)
        x = shortcut + x
        return x + self.mlp(self.norm2(x))


class LayerNorm2d(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ImageEncoderViT(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.pos_embed = nn.Parameter(torch.zeros(1, BASE // PATCH, BASE // PATCH, SAM_WIDTH))
        self.blocks = nn.ModuleList([Block(0 if i in SAM_GLOBAL else SAM_WINDOW) for i in range(layers)])
        self.neck = nn.Sequential(nn.Conv2d(SAM_WIDTH, 16, 1, bias=False), LayerNorm2d(16),
                                  nn.Conv2d(16, 16, 3, padding=1, bias=False), LayerNorm2d(16))
        self.net_2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(32, CLIP_WIDTH, 3, stride=2, padding=1, bias=False)

    def forward(self, x):
        x = self.patch_embed(x)
        position = self.pos_embed
        if position.shape[1] != x.shape[1]:
            position = F.interpolate(position.permute(0, 3, 1, 2), size=x.shape[1:3], mode="bicubic", antialias=True).permute(0, 2, 3, 1)
        x = x + position
        for block in self.blocks:
            x = block(x)
        return self.net_3(self.net_2(self.neck(x.permute(0, 3, 1, 2))))


class CLIPVisionEmbeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(CLIP_WIDTH))
        self.patch_embedding = nn.Conv2d(3, CLIP_WIDTH, 14, 14, bias=False)  # never called, as in the real one
        self.positions = (BASE // PATCH // 4) ** 2 + 1
        self.position_embedding = nn.Embedding(self.positions, CLIP_WIDTH)
        self.register_buffer("position_ids", torch.arange(self.positions)[None])

    def forward(self, features):
        x = features.flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1), x], dim=1)
        position = self.position_embedding(self.position_ids)
        if position.shape[1] != x.shape[1]:
            side, wanted = round((position.shape[1] - 1) ** 0.5), features.shape[-1]
            grid = position[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
            grid = F.interpolate(grid, size=(wanted, wanted), mode="bicubic", antialias=True)
            position = torch.cat([position[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
        return x + position


class NoTPAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv_proj = nn.Linear(CLIP_WIDTH, 3 * CLIP_WIDTH)
        self.out_proj = nn.Linear(CLIP_WIDTH, CLIP_WIDTH)

    def forward(self, x):
        b, s, c = x.shape
        q, k, v = self.qkv_proj(x).view(b, s, 3, CLIP_HEADS, -1).permute(2, 0, 3, 1, 4)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, s, c))


class NoTPFeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(CLIP_WIDTH, 4 * CLIP_WIDTH)
        self.fc2 = nn.Linear(4 * CLIP_WIDTH, CLIP_WIDTH)

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class NoTPTransformerBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = NoTPAttention()
        self.mlp = NoTPFeedForward()
        self.layer_norm1 = nn.LayerNorm(CLIP_WIDTH)
        self.layer_norm2 = nn.LayerNorm(CLIP_WIDTH)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class NoTPTransformer(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList([NoTPTransformerBlock() for _ in range(layers)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class VitModel(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.embeddings = CLIPVisionEmbeddings()
        self.transformer = NoTPTransformer(layers)
        self.pre_layrnorm = nn.LayerNorm(CLIP_WIDTH)

    def forward(self, pixels, features):
        return self.transformer(self.pre_layrnorm(self.embeddings(features)))


class MlpProjector(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Linear(2 * CLIP_WIDTH, HIDDEN)

    def forward(self, x):
        return self.layers(x)


class DeepseekV2RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class LlamaAttention(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(HIDDEN, HIDDEN, bias=False))

    def rotate(self, x, positions):
        half = x.shape[-1] // 2
        angles = positions[:, None] * 10000.0 ** (-torch.arange(half) / half)
        cos, sin = (torch.cat([f(angles)] * 2, dim=-1) for f in (torch.cos, torch.sin))
        return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin

    def forward(self, hidden_states, positions, cache):
        b, s, _ = hidden_states.shape
        q, k, v = (projection(hidden_states).view(b, s, HEADS, -1).transpose(1, 2)
                   for projection in (self.q_proj, self.k_proj, self.v_proj))
        q, k = self.rotate(q, positions), self.rotate(k, positions)
        if cache:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
        cache[:] = [k, v]
        x = F.scaled_dot_product_attention(q, k, v, is_causal=s > 1)
        return self.o_proj(x.transpose(1, 2).reshape(b, s, HIDDEN))


class DeepseekV2MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, width, bias=False)
        self.up_proj = nn.Linear(HIDDEN, width, bias=False)
        self.down_proj = nn.Linear(width, HIDDEN, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class MoEGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(EXPERTS, HIDDEN))

    def forward(self, x):
        return torch.topk(F.linear(x, self.weight).softmax(dim=-1), PICKED, dim=-1, sorted=False)


class DeepseekV2MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList([DeepseekV2MLP(EXPERT) for _ in range(EXPERTS)])
        self.gate = MoEGate()
        self.shared_experts = DeepseekV2MLP(SHARED * EXPERT)

    def forward(self, hidden_states):
        x = hidden_states.view(-1, HIDDEN)
        weights, picked = self.gate(x)
        result = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            tokens, place = torch.where(picked == number)
            if tokens.numel():
                result.index_add_(0, tokens, expert(x[tokens]) * weights[tokens, place, None])
        return result.view_as(hidden_states) + self.shared_experts(hidden_states)


class DeepseekV2DecoderLayer(nn.Module):
    def __init__(self, index):
        super().__init__()
        self.self_attn = LlamaAttention()
        self.mlp = DeepseekV2MLP(DENSE) if index == 0 else DeepseekV2MoE()
        self.input_layernorm = DeepseekV2RMSNorm()
        self.post_attention_layernorm = DeepseekV2RMSNorm()

    def forward(self, hidden_states, positions, cache):
        hidden_states = hidden_states + self.self_attn(hidden_states=self.input_layernorm(hidden_states), positions=positions, cache=cache)
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class DeepseekOCRModel(nn.Module):
    def __init__(self, layers, sam_layers, clip_layers):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList([DeepseekV2DecoderLayer(i) for i in range(layers)])
        self.norm = DeepseekV2RMSNorm()
        self.sam_model = ImageEncoderViT(sam_layers)
        self.vision_model = VitModel(clip_layers)
        self.projector = MlpProjector()
        self.image_newline = nn.Parameter(torch.zeros(HIDDEN))
        self.view_seperator = nn.Parameter(torch.zeros(HIDDEN))

    def view(self, pixels):
        features = self.sam_model(pixels)
        tokens = self.vision_model(pixels, features)
        return self.projector(torch.cat([tokens[:, 1:], features.flatten(2).permute(0, 2, 1)], dim=-1))

    def rows(self, grid):
        return torch.cat([grid, self.image_newline.expand(grid.shape[0], 1, HIDDEN)], dim=1).reshape(-1, HIDDEN)

    def image_features(self, crops, image):
        local = self.view(crops)
        view = self.view(image)[0]
        side, tile = round(view.shape[0] ** 0.5), round(local.shape[1] ** 0.5)
        raster = local.view(1, crops.shape[0], tile, tile, HIDDEN).permute(0, 2, 1, 3, 4).reshape(tile, -1, HIDDEN)
        return torch.cat([self.rows(raster), self.rows(view.view(side, side, HIDDEN)), self.view_seperator[None]])

    def forward(self, input_ids, caches, images=None):
        inputs_embeds = self.embed_tokens(input_ids)
        if images is not None:
            features = self.image_features(*images)
            mask = torch.arange(input_ids.shape[1])[None, :, None] < features.shape[0]
            inputs_embeds = inputs_embeds.masked_scatter(mask, features)
        past = caches[0][0].shape[2] if caches[0] else 0
        positions = torch.arange(past, past + input_ids.shape[1])
        hidden_states = inputs_embeds
        for layer, cache in zip(self.layers, caches):
            hidden_states = layer(hidden_states, positions=positions, cache=cache)
        return self.norm(hidden_states)


class DeepseekOCRForCausalLM(nn.Module):
    def __init__(self, layers, sam_layers, clip_layers):
        super().__init__()
        self.model = DeepseekOCRModel(layers, sam_layers, clip_layers)
        self.lm_head = nn.Linear(HIDDEN, VOCABULARY, bias=False)

    def forward(self, input_ids, caches, images=None):
        return self.lm_head(self.model(input_ids=input_ids, caches=caches, images=images))


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
    prompt = torch.randint(0, VOCABULARY, (1, options.prompt))

    def step():
        caches = [[] for _ in range(options.layers)]
        logits = model(prompt, caches, images=(crops, image))
        for _ in range(options.new_tokens - 1):
            logits = model(logits[:, -1:].argmax(-1), caches)
        return logits.sum()

    job.run(options, model, step)


if __name__ == "__main__":
    main()
