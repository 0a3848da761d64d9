"""The DeepSeek-OCR-2 of Hugging Face transformers, a few layers of it, with random weights and random pixels.

One step is a request: two crops and the global view through both encoders and the projector, prefill, then decode steps.
"""

import sys
from pathlib import Path

import torch
from transformers import DeepseekOcr2Config, DeepseekOcr2ForConditionalGeneration

sys.path.insert(0, str(Path(__file__).parent))
import job  # noqa: E402

IMAGE_TOKEN = 7
# What the model knows: learned queries for 16 x 16 and for 12 x 12 tokens, from images of 1024 and 768 pixels in patches of 64.
BASE, TILE, GLOBAL_TOKENS, TILE_TOKENS = 1024, 768, 256, 144


def tiny_model():
    config = DeepseekOcr2Config(
        image_token_id=IMAGE_TOKEN,
        vision_config={
            "sam_config": {"hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                           "global_attn_indexes": [1], "downsample_channels": [24, 32], "initializer_range": 0.02},
            "encoder_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                               "num_key_value_heads": 2, "vocab_size": 8},
        },
        text_config={"vocab_size": 256, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
                     "num_key_value_heads": 2, "n_routed_experts": 4, "n_shared_experts": 2, "num_experts_per_tok": 2,
                     "moe_intermediate_size": 32, "mlp_layer_types": ["dense", "sparse", "sparse"], "pad_token_id": 0,
                     "max_position_embeddings": 1024, "n_group": 1, "topk_group": 1})
    torch.manual_seed(0)
    return DeepseekOcr2ForConditionalGeneration(config).eval()


def main():
    options = job.parser(__doc__.splitlines()[0])
    options.add_argument("--new-tokens", type=int, default=4)
    options = options.parse_args()
    model = tiny_model()
    pixels, crops = torch.randn(1, 3, BASE, BASE), torch.randn(2, 3, TILE, TILE)
    image_tokens = GLOBAL_TOKENS + 2 * TILE_TOKENS + 1
    prompt = torch.tensor([[1] + [IMAGE_TOKEN] * image_tokens + [20, 21, 22, 23]])

    def step():
        result = model(input_ids=prompt, pixel_values=pixels, pixel_values_local=crops, num_local_patches=[2], use_cache=True)
        for _ in range(options.new_tokens - 1):
            result = model(input_ids=result.logits[:, -1:].argmax(-1), past_key_values=result.past_key_values, use_cache=True)
        return result.logits.sum()

    job.run(options, model, step)


if __name__ == "__main__":
    main()
