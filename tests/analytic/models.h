// Small configurations with known parameter counts, for tests: those of the two fixtures of the model's tests.
#ifndef DSOCR_TESTS_ANALYTIC_MODELS_H_
#define DSOCR_TESTS_ANALYTIC_MODELS_H_

#include "analytic/model_spec.h"

namespace dsocr::analytic {

// 704,912 parameters; crops of 160 pixels.
inline ModelSpec TinyA() {
  ModelSpec model;
  model.sam = {.layers = 4,
               .width = 48,
               .heads = 3,
               .image_size = 256,
               .window_size = 14,
               .global_attention_layers = {1, 3},
               .neck_channels = 24,
               .downsample_channels = {40, 64}};
  model.encoder =
      ClipSpec{.layers = 3, .width = 64, .heads = 4, .ffn_hidden_size = 256, .image_size = 56, .patch_size = 14};
  model.decoder = {.vocab_size = 512,
                   .hidden_size = 64,
                   .intermediate_size = 176,
                   .moe_intermediate_size = 40,
                   .layers = 3,
                   .heads = 4,
                   .kv_heads = 4,
                   .routed_experts = 8,
                   .shared_experts = 2,
                   .experts_per_token = 3};
  model.preprocess = {.small_image_threshold = 160, .crop_tile_size = 160};
  return model;
}

// 916,360 parameters; single views of 320 pixels, window 7.
inline ModelSpec TinyB() {
  ModelSpec model;
  model.sam = {.layers = 3,
               .width = 48,
               .heads = 4,
               .image_size = 256,
               .window_size = 7,
               .global_attention_layers = {2},
               .neck_channels = 28,
               .downsample_channels = {40, 72}};
  model.encoder =
      ClipSpec{.layers = 2, .width = 72, .heads = 6, .ffn_hidden_size = 256, .image_size = 56, .patch_size = 14};
  model.decoder = {.vocab_size = 768,
                   .hidden_size = 80,
                   .intermediate_size = 168,
                   .moe_intermediate_size = 24,
                   .layers = 4,
                   .heads = 5,
                   .kv_heads = 5,
                   .routed_experts = 16,
                   .shared_experts = 1,
                   .experts_per_token = 4};
  return model;
}

}  // namespace dsocr::analytic

#endif  // DSOCR_TESTS_ANALYTIC_MODELS_H_
