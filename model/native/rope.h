// SPDX-License-Identifier: Apache-2.0
// Angles of rotary position embeddings (Su et al. 2021), as far as positions have been asked for.
//
// Linear scaling divides positions; Llama 3's and LongRoPE's factors divide frequencies
// (rope_freqs.weight, rope_factors_{short,long}.weight); LongRoPE's magnitude multiplies cosines
// and sines.
#pragma once

#include <array>
#include <vector>

#include "model/base_model.h"
#include "model/row_kernels.h"

namespace coppice::native {

class RopeTables {
 public:
  explicit RopeTables(const BaseModel& base);

  // Makes all tables reach to `positions`. Not while others read.
  void ensure(std::size_t positions);
  // Turns `heads` heads of a row by its position in layer `layer`, in place; sign -1 turns back.
  // `tokens` is the whole text's length, by which LongRoPE chooses its factors.
  void rotate(std::uint32_t layer, std::size_t position, std::size_t tokens, float sign,
              std::size_t heads, float* row) const;

 private:
  struct Table {
    RopeConfig config;
    std::vector<double> divisors;
    std::vector<float> cosines = {}, sines = {}; // (positions, pairs)
  };
  const Table& table(std::uint32_t layer, std::size_t tokens) const;

  const ModelConfig& config_;
  std::size_t pairs_;
  std::size_t positions_ = 0;
  Table global_, long_, local_;
};

} // namespace coppice::native
