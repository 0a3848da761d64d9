// What a job of the published code records, as far as tests look: a few modules of each part.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_PUBLISHED_JOB_H_
#define DSOCR_TESTS_DAEMON_ATTACH_PUBLISHED_JOB_H_

#include <cstdint>

#include "tests/daemon/attach/recorded_job.h"

namespace dsocr::attach {

inline void Vision(RecordedJob& job, uint32_t views, uint32_t side) {
  job.Begin("model.sam_model", {views, 3, side, side});
  job.Run("model.sam_model.patch_embed", 10);
  job.Begin("model.sam_model.blocks.0");
  job.Run("model.sam_model.blocks.0.norm1", 5);
  job.Begin("model.sam_model.blocks.0.attn");
  job.Run("model.sam_model.blocks.0.attn.qkv", 40);
  job.Cpu(20);
  job.End();
  job.End();
  job.Run("model.sam_model.net_2", 30);
  job.End();
  job.Begin("model.vision_model", {views, 3, side, side});
  job.Run("model.vision_model.pre_layrnorm", 7);
  job.End();
  job.Cpu(9);  // the concatenation, which is no module's
  job.Run("model.projector", 25);
}

inline void Language(RecordedJob& job) {
  job.Begin("model.layers.0");
  job.Begin("model.layers.0.mlp");
  job.Run("model.layers.0.mlp.down_proj", 8);
  job.End();
  job.End();
  job.Begin("model.layers.1");
  job.Begin("model.layers.1.mlp");
  job.Run("model.layers.1.mlp.gate", 3);
  job.Run("model.layers.1.mlp.experts.5", 6);
  job.Run("model.layers.1.mlp.experts.7", 4);
  job.End();
  job.End();
  job.Run("model.norm", 2);
}

// A request as the published code runs it: crops first, then the page, then the language model. `graphs`: how many of
// its decode steps launch one.
inline void Request(RecordedJob& job, uint32_t tokens, int steps, uint32_t crops = 0, int graphs = 0) {
  job.Begin("DeepseekOCRForCausalLM", {1, tokens});
  job.Cpu(1);
  job.Begin("model", {1, tokens});
  job.Run("model.embed_tokens", 11, {1, tokens});
  if (crops > 0) {
    Vision(job, crops, 160);
  }
  Vision(job, 1, 256);
  Language(job);
  job.End();
  job.Run("lm_head", 12);
  job.End();
  job.Cpu(50, "aten::argmax");
  for (int i = 0; i < steps; ++i) {
    job.Begin("DeepseekOCRForCausalLM", {1, 1});
    job.Begin("model", {1, 1});
    job.Run("model.embed_tokens", 1, {1, 1});
    if (i < graphs) {
      job.LaunchGraph();
    }
    Language(job);
    job.End();
    job.Run("lm_head", 12);
    job.End();
    job.Cpu(50, "aten::argmax");
  }
}

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_PUBLISHED_JOB_H_
