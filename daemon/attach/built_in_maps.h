// The module maps that come with the program, in the format of docs/attach.md. `model.layers.{i}.mlp` stands twice: it
// is the dense MLP of some layers, and the experts of the others.
#ifndef DSOCR_DAEMON_ATTACH_BUILT_IN_MAPS_H_
#define DSOCR_DAEMON_ATTACH_BUILT_IN_MAPS_H_

namespace dsocr::attach {

// The code that is published with deepseek-ai/DeepSeek-OCR (modeling_deepseekocr.py, deepencoder.py).
inline constexpr char kPublishedMap[] = R"(
.: deepseek_ocr
model.sam_model: vision/sam
model.sam_model.patch_embed.**: vision/sam/patch_embed
model.sam_model.blocks.{i}: vision/sam/block[{i}]
model.sam_model.blocks.{i}.norm1: vision/sam/block[{i}]/norm1
model.sam_model.blocks.{i}.attn: vision/sam/block[{i}]/attn
model.sam_model.blocks.{i}.attn.qkv: vision/sam/block[{i}]/attn/qkv
model.sam_model.blocks.{i}.attn.proj: vision/sam/block[{i}]/attn/proj
model.sam_model.blocks.{i}.norm2: vision/sam/block[{i}]/norm2
model.sam_model.blocks.{i}.mlp: vision/sam/block[{i}]/mlp
model.sam_model.blocks.{i}.mlp.lin1: vision/sam/block[{i}]/mlp/lin1
model.sam_model.blocks.{i}.mlp.act: vision/sam/block[{i}]/mlp/act
model.sam_model.blocks.{i}.mlp.lin2: vision/sam/block[{i}]/mlp/lin2
model.sam_model.neck: vision/sam/neck
model.sam_model.neck.0: vision/sam/neck/conv1
model.sam_model.neck.1: vision/sam/neck/norm1
model.sam_model.neck.2: vision/sam/neck/conv2
model.sam_model.neck.3: vision/sam/neck/norm2
model.sam_model.net_2: vision/sam/net_2
model.sam_model.net_3: vision/sam/net_3
model.vision_model: vision/clip
model.vision_model.embeddings: vision/clip/embeddings
model.vision_model.embeddings.patch_embedding: vision/clip/embeddings/patch_embedding
model.vision_model.embeddings.position_embedding: vision/clip/embeddings/add
model.vision_model.pre_layrnorm: vision/clip/pre_layrnorm
model.vision_model.transformer.layers.{i}: vision/clip/layer[{i}]
model.vision_model.transformer.layers.{i}.layer_norm1: vision/clip/layer[{i}]/layer_norm1
model.vision_model.transformer.layers.{i}.self_attn: vision/clip/layer[{i}]/self_attn
model.vision_model.transformer.layers.{i}.self_attn.qkv_proj: vision/clip/layer[{i}]/self_attn/qkv_proj
model.vision_model.transformer.layers.{i}.self_attn.out_proj: vision/clip/layer[{i}]/self_attn/out_proj
model.vision_model.transformer.layers.{i}.layer_norm2: vision/clip/layer[{i}]/layer_norm2
model.vision_model.transformer.layers.{i}.mlp: vision/clip/layer[{i}]/mlp
model.vision_model.transformer.layers.{i}.mlp.fc1: vision/clip/layer[{i}]/mlp/fc1
model.vision_model.transformer.layers.{i}.mlp.fc2: vision/clip/layer[{i}]/mlp/fc2
model.projector: projector/linear
model.projector.layers: projector/linear/matmul
model: {phase}
model.embed_tokens: {phase}/embed_tokens
model.layers.{i}: {phase}/layer[{i}]
model.layers.{i}.input_layernorm: {phase}/layer[{i}]/input_layernorm
model.layers.{i}.self_attn: {phase}/layer[{i}]/self_attn
model.layers.{i}.self_attn.q_proj: {phase}/layer[{i}]/self_attn/q_proj
model.layers.{i}.self_attn.k_proj: {phase}/layer[{i}]/self_attn/k_proj
model.layers.{i}.self_attn.v_proj: {phase}/layer[{i}]/self_attn/v_proj
model.layers.{i}.self_attn.o_proj: {phase}/layer[{i}]/self_attn/o_proj
model.layers.{i}.self_attn.rotary_emb: {phase}/layer[{i}]/self_attn/rope
model.layers.{i}.post_attention_layernorm: {phase}/layer[{i}]/post_attention_layernorm
model.layers.{i}.mlp: {phase}/layer[{i}]/mlp
model.layers.{i}.mlp: {phase}/layer[{i}]/moe
model.layers.{i}.mlp.gate_proj: {phase}/layer[{i}]/mlp/gate_proj
model.layers.{i}.mlp.up_proj: {phase}/layer[{i}]/mlp/up_proj
model.layers.{i}.mlp.act_fn: {phase}/layer[{i}]/mlp/act
model.layers.{i}.mlp.down_proj: {phase}/layer[{i}]/mlp/down_proj
model.layers.{i}.mlp.gate: {phase}/layer[{i}]/moe/gate
model.layers.{i}.mlp.experts.{e}.**: {phase}/layer[{i}]/moe/experts
model.layers.{i}.mlp.shared_experts: {phase}/layer[{i}]/moe/shared_experts
model.layers.{i}.mlp.shared_experts.gate_proj: {phase}/layer[{i}]/moe/shared_experts/gate_proj
model.layers.{i}.mlp.shared_experts.up_proj: {phase}/layer[{i}]/moe/shared_experts/up_proj
model.layers.{i}.mlp.shared_experts.act_fn: {phase}/layer[{i}]/moe/shared_experts/act
model.layers.{i}.mlp.shared_experts.down_proj: {phase}/layer[{i}]/moe/shared_experts/down_proj
model.norm: {phase}/norm
lm_head: {phase}/lm_head
)";

// DeepSeek-OCR-2 as transformers has it since 5.23 (models/deepseek_ocr2).
inline constexpr char kTransformersMap[] = R"(
.: deepseek_ocr
model: {phase}
model.vision_tower: vision
model.vision_tower.sam_encoder: vision/sam
model.vision_tower.sam_encoder.patch_embed.**: vision/sam/patch_embed
model.vision_tower.sam_encoder.layers.{i}: vision/sam/block[{i}]
model.vision_tower.sam_encoder.layers.{i}.layer_norm1: vision/sam/block[{i}]/norm1
model.vision_tower.sam_encoder.layers.{i}.attn: vision/sam/block[{i}]/attn
model.vision_tower.sam_encoder.layers.{i}.attn.qkv: vision/sam/block[{i}]/attn/qkv
model.vision_tower.sam_encoder.layers.{i}.attn.proj: vision/sam/block[{i}]/attn/proj
model.vision_tower.sam_encoder.layers.{i}.layer_norm2: vision/sam/block[{i}]/norm2
model.vision_tower.sam_encoder.layers.{i}.mlp: vision/sam/block[{i}]/mlp
model.vision_tower.sam_encoder.layers.{i}.mlp.lin1: vision/sam/block[{i}]/mlp/lin1
model.vision_tower.sam_encoder.layers.{i}.mlp.act: vision/sam/block[{i}]/mlp/act
model.vision_tower.sam_encoder.layers.{i}.mlp.lin2: vision/sam/block[{i}]/mlp/lin2
model.vision_tower.sam_encoder.neck: vision/sam/neck
model.vision_tower.sam_encoder.neck.conv1: vision/sam/neck/conv1
model.vision_tower.sam_encoder.neck.layer_norm1: vision/sam/neck/norm1
model.vision_tower.sam_encoder.neck.conv2: vision/sam/neck/conv2
model.vision_tower.sam_encoder.neck.layer_norm2: vision/sam/neck/norm2
model.vision_tower.sam_encoder.proj.conv1: vision/sam/net_2
model.vision_tower.sam_encoder.proj.conv2: vision/sam/net_3
model.vision_tower.query_768_resolution: vision/encoder/append_queries
model.vision_tower.query_1024_resolution: vision/encoder/append_queries
model.vision_tower.vision_encoder: vision/encoder
model.vision_tower.vision_encoder.layers.{i}: vision/encoder/layer[{i}]
model.vision_tower.vision_encoder.layers.{i}.input_layernorm: vision/encoder/layer[{i}]/input_layernorm
model.vision_tower.vision_encoder.layers.{i}.self_attn: vision/encoder/layer[{i}]/self_attn
model.vision_tower.vision_encoder.layers.{i}.self_attn.q_proj: vision/encoder/layer[{i}]/self_attn/q_proj
model.vision_tower.vision_encoder.layers.{i}.self_attn.k_proj: vision/encoder/layer[{i}]/self_attn/k_proj
model.vision_tower.vision_encoder.layers.{i}.self_attn.v_proj: vision/encoder/layer[{i}]/self_attn/v_proj
model.vision_tower.vision_encoder.layers.{i}.self_attn.o_proj: vision/encoder/layer[{i}]/self_attn/o_proj
model.vision_tower.vision_encoder.layers.{i}.post_attention_layernorm: vision/encoder/layer[{i}]/post_attention_layernorm
model.vision_tower.vision_encoder.layers.{i}.mlp: vision/encoder/layer[{i}]/mlp
model.vision_tower.vision_encoder.layers.{i}.mlp.gate_proj: vision/encoder/layer[{i}]/mlp/gate_proj
model.vision_tower.vision_encoder.layers.{i}.mlp.up_proj: vision/encoder/layer[{i}]/mlp/up_proj
model.vision_tower.vision_encoder.layers.{i}.mlp.act_fn: vision/encoder/layer[{i}]/mlp/act
model.vision_tower.vision_encoder.layers.{i}.mlp.down_proj: vision/encoder/layer[{i}]/mlp/down_proj
model.vision_tower.vision_encoder.norm: vision/encoder/norm
model.multi_modal_projector: projector/linear/matmul
model.language_model: {phase}
model.language_model.embed_tokens: {phase}/embed_tokens
model.language_model.layers.{i}: {phase}/layer[{i}]
model.language_model.layers.{i}.input_layernorm: {phase}/layer[{i}]/input_layernorm
model.language_model.layers.{i}.self_attn: {phase}/layer[{i}]/self_attn
model.language_model.layers.{i}.self_attn.q_proj: {phase}/layer[{i}]/self_attn/q_proj
model.language_model.layers.{i}.self_attn.k_proj: {phase}/layer[{i}]/self_attn/k_proj
model.language_model.layers.{i}.self_attn.v_proj: {phase}/layer[{i}]/self_attn/v_proj
model.language_model.layers.{i}.self_attn.o_proj: {phase}/layer[{i}]/self_attn/o_proj
model.language_model.layers.{i}.post_attention_layernorm: {phase}/layer[{i}]/post_attention_layernorm
model.language_model.layers.{i}.mlp: {phase}/layer[{i}]/mlp
model.language_model.layers.{i}.mlp: {phase}/layer[{i}]/moe
model.language_model.layers.{i}.mlp.gate_proj: {phase}/layer[{i}]/mlp/gate_proj
model.language_model.layers.{i}.mlp.up_proj: {phase}/layer[{i}]/mlp/up_proj
model.language_model.layers.{i}.mlp.act_fn: {phase}/layer[{i}]/mlp/act
model.language_model.layers.{i}.mlp.down_proj: {phase}/layer[{i}]/mlp/down_proj
model.language_model.layers.{i}.mlp.gate: {phase}/layer[{i}]/moe/gate
model.language_model.layers.{i}.mlp.experts.**: {phase}/layer[{i}]/moe/experts
model.language_model.layers.{i}.mlp.shared_experts: {phase}/layer[{i}]/moe/shared_experts
model.language_model.layers.{i}.mlp.shared_experts.gate_proj: {phase}/layer[{i}]/moe/shared_experts/gate_proj
model.language_model.layers.{i}.mlp.shared_experts.up_proj: {phase}/layer[{i}]/moe/shared_experts/up_proj
model.language_model.layers.{i}.mlp.shared_experts.act_fn: {phase}/layer[{i}]/moe/shared_experts/act
model.language_model.layers.{i}.mlp.shared_experts.down_proj: {phase}/layer[{i}]/moe/shared_experts/down_proj
model.language_model.norm: {phase}/norm
lm_head: {phase}/lm_head
)";

// DeepSeek-OCR as vLLM has it (model_executor/models/deepseek_ocr.py, deepencoder.py, clip.py, deepseek_v2.py). Its
// fused projections, qkv_proj and gate_up_proj, are part of the modules around them; the logits are not computed by a
// call of lm_head, which only has the weight.
inline constexpr char kVllmMap[] = R"(
.: deepseek_ocr
sam_model: vision/sam
sam_model.patch_embed.**: vision/sam/patch_embed
sam_model.blocks.{i}: vision/sam/block[{i}]
sam_model.blocks.{i}.norm1: vision/sam/block[{i}]/norm1
sam_model.blocks.{i}.attn: vision/sam/block[{i}]/attn
sam_model.blocks.{i}.attn.qkv: vision/sam/block[{i}]/attn/qkv
sam_model.blocks.{i}.attn.proj: vision/sam/block[{i}]/attn/proj
sam_model.blocks.{i}.norm2: vision/sam/block[{i}]/norm2
sam_model.blocks.{i}.mlp: vision/sam/block[{i}]/mlp
sam_model.blocks.{i}.mlp.lin1: vision/sam/block[{i}]/mlp/lin1
sam_model.blocks.{i}.mlp.act: vision/sam/block[{i}]/mlp/act
sam_model.blocks.{i}.mlp.lin2: vision/sam/block[{i}]/mlp/lin2
sam_model.neck: vision/sam/neck
sam_model.neck.0: vision/sam/neck/conv1
sam_model.neck.1: vision/sam/neck/norm1
sam_model.neck.2: vision/sam/neck/conv2
sam_model.neck.3: vision/sam/neck/norm2
sam_model.net_2: vision/sam/net_2
sam_model.net_3: vision/sam/net_3
vision_model: vision/clip
vision_model.embeddings: vision/clip/embeddings
vision_model.embeddings.patch_embedding: vision/clip/embeddings/patch_embedding
vision_model.embeddings.position_embedding: vision/clip/embeddings/add
vision_model.pre_layrnorm: vision/clip/pre_layrnorm
vision_model.transformer.layers.{i}: vision/clip/layer[{i}]
vision_model.transformer.layers.{i}.layer_norm1: vision/clip/layer[{i}]/layer_norm1
vision_model.transformer.layers.{i}.self_attn: vision/clip/layer[{i}]/self_attn
vision_model.transformer.layers.{i}.self_attn.qkv_proj: vision/clip/layer[{i}]/self_attn/qkv_proj
vision_model.transformer.layers.{i}.self_attn.attn: vision/clip/layer[{i}]/self_attn/core
vision_model.transformer.layers.{i}.self_attn.out_proj: vision/clip/layer[{i}]/self_attn/out_proj
vision_model.transformer.layers.{i}.layer_norm2: vision/clip/layer[{i}]/layer_norm2
vision_model.transformer.layers.{i}.mlp: vision/clip/layer[{i}]/mlp
vision_model.transformer.layers.{i}.mlp.activation_fn: vision/clip/layer[{i}]/mlp/act
vision_model.transformer.layers.{i}.mlp.fc1: vision/clip/layer[{i}]/mlp/fc1
vision_model.transformer.layers.{i}.mlp.fc2: vision/clip/layer[{i}]/mlp/fc2
projector: projector/linear
projector.layers: projector/linear/matmul
language_model: {phase}
language_model.model: {phase}
language_model.model.embed_tokens: {phase}/embed_tokens
language_model.model.layers.{i}: {phase}/layer[{i}]
language_model.model.layers.{i}.input_layernorm: {phase}/layer[{i}]/input_layernorm
language_model.model.layers.{i}.self_attn: {phase}/layer[{i}]/self_attn
language_model.model.layers.{i}.self_attn.rotary_emb: {phase}/layer[{i}]/self_attn/rope
language_model.model.layers.{i}.self_attn.attn.**: {phase}/layer[{i}]/self_attn/core
language_model.model.layers.{i}.self_attn.o_proj: {phase}/layer[{i}]/self_attn/o_proj
language_model.model.layers.{i}.post_attention_layernorm: {phase}/layer[{i}]/post_attention_layernorm
language_model.model.layers.{i}.mlp: {phase}/layer[{i}]/mlp
language_model.model.layers.{i}.mlp: {phase}/layer[{i}]/moe
language_model.model.layers.{i}.mlp.act_fn: {phase}/layer[{i}]/mlp/act
language_model.model.layers.{i}.mlp.down_proj: {phase}/layer[{i}]/mlp/down_proj
language_model.model.layers.{i}.mlp.gate: {phase}/layer[{i}]/moe/gate
language_model.model.layers.{i}.mlp.experts.**: {phase}/layer[{i}]/moe/experts
language_model.model.layers.{i}.mlp.shared_experts: {phase}/layer[{i}]/moe/shared_experts
language_model.model.layers.{i}.mlp.shared_experts.act_fn: {phase}/layer[{i}]/moe/shared_experts/act
language_model.model.layers.{i}.mlp.shared_experts.down_proj: {phase}/layer[{i}]/moe/shared_experts/down_proj
language_model.model.norm: {phase}/norm
language_model.lm_head: {phase}/lm_head
language_model.logits_processor: {phase}/lm_head
)";

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_BUILT_IN_MAPS_H_
