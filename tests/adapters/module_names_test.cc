// SPDX-License-Identifier: Apache-2.0
#include "adapters/module_names.h"

#include <gmock/gmock.h>

#include <vector>

#include "adapters/rope_rows.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

TEST(ModuleNamesTest, EveryModuleHasItsNameInBothWorlds) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
      {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"},
  };
  ModuleName before{.layer = 11, .kind = 8};
  for (const auto& [gguf, peft] : names) {
    const auto module = module_from_gguf("blk.12." + gguf, "llama");
    ASSERT_TRUE(module.has_value()) << gguf;
    EXPECT_LT(before, *module); // layer by layer, q k v o gate up down
    EXPECT_EQ(module_from_peft("model.layers.12." + peft), module);
    EXPECT_EQ(gguf_module_name(*module), "blk.12." + gguf);
    EXPECT_EQ(peft_module_path(*module), "model.layers.12." + peft);
    EXPECT_EQ(peft_short_name(*module), peft.substr(peft.find('.') + 1));
    before = *module;
  }
}

TEST(ModuleNamesTest, FusedFilesHaveTheirOwnModules) {
  const auto fused = module_from_gguf("blk.3.attn_qkv", "phi3");
  ASSERT_TRUE(fused.has_value());
  EXPECT_TRUE(is_fused(*fused));
  EXPECT_EQ(peft_module_path(*fused), "model.layers.3.self_attn.qkv_proj");
  EXPECT_FALSE(module_from_gguf("blk.3.attn_qkv", "llama").has_value());
  EXPECT_FALSE(module_from_gguf("blk.3.attn_q", "phi3").has_value());
  // One name in GGUF, two modules.
  const auto up = module_from_gguf("blk.3.ffn_up", "llama");
  const auto gate_up = module_from_gguf("blk.3.ffn_up", "phi3");
  ASSERT_TRUE(up.has_value() && gate_up.has_value());
  EXPECT_NE(*up, *gate_up);
  EXPECT_EQ(peft_short_name(*gate_up), "gate_up_proj");
  EXPECT_EQ(module_from_peft("model.layers.3.mlp.gate_up_proj"), gate_up);
  EXPECT_EQ(gguf_module_name(*gate_up), "blk.3.ffn_up");
  EXPECT_FALSE(is_fused(*up));
}

TEST(ModuleNamesTest, OtherNamesAreNoModules) {
  for (const std::string name :
       {"", "blk.", "blk.1", "blk.1.", "blk..attn_q", "blk.01.attn_q", "blk.-1.attn_q",
        "blk.+1.attn_q", "blk.4294967296.attn_q", "blk.1.attn_q.weight", "blk.1.attn_norm",
        "BLK.1.attn_q", "output", "model.layers.1.self_attn.q_proj"}) {
    EXPECT_FALSE(module_from_gguf(name, "llama").has_value()) << name;
  }
  EXPECT_FALSE(module_from_peft("model.layers.0.mlp.q_proj").has_value());
  EXPECT_FALSE(module_from_peft("layers.0.self_attn.q_proj").has_value());
  EXPECT_TRUE(module_from_gguf("blk.0.attn_q", "llama").has_value());
  EXPECT_TRUE(module_from_gguf("blk.4294967295.attn_q", "llama").has_value());
}

TEST(RopeRowsTest, RowsOfAPairBecomeNeighbours) {
  // Two heads of width 4, one column: row numbers as values.
  const std::vector<float> half_split = {0, 1, 2, 3, 4, 5, 6, 7};
  std::vector<float> interleaved(8);
  half_split_to_interleaved({.heads = 2, .rows = 8, .columns = 1}, half_split, interleaved);
  EXPECT_THAT(interleaved, ::testing::ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
}

TEST(RopeRowsTest, EachDirectionUndoesTheOther) {
  for (std::size_t heads = 1; heads <= 5; ++heads) {
    for (std::size_t width = 2; width <= 16; width += 2) {
      for (const std::size_t columns : {1U, 3U, 8U}) {
        const RopeRows shape{.heads = heads, .rows = heads * width, .columns = columns};
        std::vector<float> start(shape.rows * columns);
        for (std::size_t i = 0; i < start.size(); ++i) start[i] = static_cast<float>(i);
        std::vector<float> middle(start.size());
        std::vector<float> end(start.size());
        half_split_to_interleaved(shape, start, middle);
        EXPECT_EQ(middle == start, width == 2); // pairs of two-row heads are neighbours already
        interleaved_to_half_split(shape, middle, end);
        EXPECT_EQ(end, start);
        interleaved_to_half_split(shape, start, middle);
        half_split_to_interleaved(shape, middle, end);
        EXPECT_EQ(end, start);
      }
    }
  }
}

} // namespace
} // namespace coppice
