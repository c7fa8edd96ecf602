// SPDX-License-Identifier: Apache-2.0
// An adapter's values: for each target of its spec A (rank, in), then B (out, rank), row-major
// float32, in one contiguous vector. A delta is the same shape: "after minus before".
//
// Thread-compatible.
#pragma once

#include <memory>
#include <span>

#include "adapters/adapter_spec.h"
#include "base/random.h"

namespace coppice {

class Adapter {
 public:
  // All zeros. `spec` must be valid.
  explicit Adapter(std::shared_ptr<const AdapterSpec> spec);
  // A uniform in +-1/sqrt(in) (Kaiming uniform with a = sqrt(5), as PEFT starts), B zero. The
  // stream is keyed by (seed, the target's name), so a target's start doesn't depend on the others.
  static Adapter initial(std::shared_ptr<const AdapterSpec> spec, std::uint64_t seed);

  const AdapterSpec& spec() const { return *spec_; }
  const std::shared_ptr<const AdapterSpec>& shared_spec() const { return spec_; }
  std::size_t targets() const { return spec_->targets.size(); }

  std::span<float> a(std::size_t target);             // (rank, in)
  std::span<const float> a(std::size_t target) const; // (rank, in)
  std::span<float> b(std::size_t target);             // (out, rank)
  std::span<const float> b(std::size_t target) const; // (out, rank)
  std::span<float> values() { return values_; }       // everything, in ring order
  std::span<const float> values() const { return values_; }

  bool finite() const; // no NaN, no infinity

 private:
  std::shared_ptr<const AdapterSpec> spec_;
  std::vector<std::size_t> offsets_; // of each A; B follows it
  std::vector<float> values_;
};

// after - before, elementwise. Refuses adapters of different specs (kInvalidArgument).
Result<std::vector<float>> delta_between(const Adapter& after, const Adapter& before);

} // namespace coppice
