// SPDX-License-Identifier: Apache-2.0
// What an adapter is made of: its target modules in order, their shapes, ranks and scales.
//
// The order of `targets` is the order of everything: values in an Adapter, slots in a plan,
// elements on the ring. Rows of A and B follow the order of the *base file* (GGUF: q and k rows of
// the llama architecture are interleaved for RoPE); files in other orders are converted at their
// border, see adapters/peft_adapter.h. Plain data. Thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace coppice {

// Bounds of every spec, checked before memory is taken for one.
inline constexpr std::size_t kMaxAdapterTargets = 2000; // a plan holds 4,096 slots
inline constexpr std::size_t kMaxAdapterParameters = std::size_t{1} << 28U; // 1 GiB of float32
inline constexpr std::size_t kMaxArchitectureBytes = 64;
inline constexpr std::size_t kMaxTargetNameBytes =
    112; // a slot's name, ".lora_a" included, has 128

enum class LoraScaling : std::uint8_t {
  kStandard = 0,       // alpha / r              (Hu et al. 2021)
  kRankStabilized = 1, // alpha / sqrt(r)  (rsLoRA, Kalajdzievski 2023)
};

// One adapted linear layer: y = W x + scale * B (A x).
struct AdapterTarget {
  std::string tensor;    // of the base file, without ".weight": "blk.0.attn_q"
  std::uint32_t in = 0;  // columns of W and of A
  std::uint32_t out = 0; // rows of W and of B
  std::uint32_t rank = 0;
  float alpha = 0;
  // Heads whose rows the base file holds in interleaved RoPE order (attn_q, attn_k of `llama`); 0
  // where the rows are in the usual order.
  std::uint32_t rope_heads = 0;

  std::size_t a_elements() const { return std::size_t{rank} * in; }
  std::size_t b_elements() const { return std::size_t{out} * rank; }
  bool operator==(const AdapterTarget&) const = default;
};

struct AdapterSpec {
  std::string architecture; // general.architecture of the base: "llama"
  LoraScaling scaling = LoraScaling::kStandard;
  std::vector<AdapterTarget> targets;

  float scale(std::size_t target) const;
  // Gives a target another rank, and the alpha with which its scale is `times` what it was.
  void change_rank(std::size_t target, std::uint32_t rank, double times = 1);
  std::size_t parameters() const; // elements of all A and B together
  // kInvalidArgument, with the target's name: no or duplicate targets, names of other characters
  // than letters, digits, '.', '_' and '-', ranks of 0 or above min(in, out), rows that
  // `rope_heads` doesn't cut into heads of even width, a non-finite or non-positive alpha;
  // kTooLarge: more than the bounds above. Products can't overflow: each is checked against the
  // bound by division.
  Result<void> validate() const;
  // The canonical bytes: what is hashed, and how a spec is stored inside our own files. The spec
  // must be valid. Layout: docs/formats.md, "Adapter".
  Bytes encode() const;
  // The only spec that encode() turns into these bytes. kCorrupt; kUnsupported for another version;
  // what validate() refuses. Allocates at most in proportion to the bytes.
  static Result<AdapterSpec> decode(ByteSpan bytes);
  bool operator==(const AdapterSpec&) const = default;
};

} // namespace coppice
