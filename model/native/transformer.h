// SPDX-License-Identifier: Apache-2.0
// The whole model: embedding, blocks, final norm and head, under a list of adapters.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/engine.h"
#include "model/native/cross_entropy.h"
#include "model/native/kv_cache.h"
#include "model/native/layer.h"

namespace coppice::native {

// The adapters of all layers: where each module's factors are, and the same ready for products, of
// all layers until prepare() takes changed values anew, or of one while it is computed: training
// holds no second copy of its adapter.
class ModelLora {
 public:
  // Without adapters.
  ModelLora(const BaseModel& base, const std::vector<Layer>& layers);
  // They must fit the base (check_fits) and outlive this.
  void add(const AdapterUse& use);
  // `values` and, where not null, `gradients` in the order of Adapter::values().
  void add_trainable(const AdapterSpec& spec, const float* values, float* gradients, bool train_a,
                     bool train_b);
  void prepare(const ProductKernels& kernels, const std::vector<Layer>& layers);
  const LayerLora& layer(std::size_t i) const { return prepared_[i]; }
  // With the factors' present values.
  LayerLora layer_now(std::size_t i, const ProductKernels& kernels, const Layer& layer) const {
    return {kernels, layer.weights(), factors_[i]};
  }
  const LayerFactors& factors(std::size_t i) const { return factors_[i]; }
  // The lowest layer that is trained; the number of layers if none is.
  std::size_t lowest_trained() const;
  // Ranks of a group in whole steps of its modules, the largest.
  std::size_t widest_group(const ProductKernels& kernels) const;

 private:
  struct Place {
    std::size_t layer, group, projection;
  };
  std::vector<LoraFactor>& at(std::size_t module);
  const BaseModel& base_;
  std::vector<Place> places_; // of each of BaseModel::adaptable_modules()
  std::vector<LayerFactors> factors_;
  std::vector<LayerLora> prepared_;
};

class Transformer {
 public:
  Transformer(std::shared_ptr<const BaseModel> base, const EngineKernels& kernels,
              unsigned threads);
  // All products' weights, where they take at most so many bytes; see kept_panels.h.
  void keep_panels(std::uint64_t most_bytes);

  const BaseModel& base() const { return *base_; }
  const ModelConfig& config() const { return base_->config(); }
  const EngineKernels& kernels() const { return kernels_; }
  WorkerPool& pool() { return pool_; }
  const std::vector<Layer>& layers() const { return layers_; }
  const OutputHead& head() const { return head_; }
  const RopeTables& rope() const { return rope_; }
  std::span<const float> output_norm() const { return output_norm_; }
  ModelLora no_adapters() const { return {*base_, layers_}; }
  // Ready for products by `kernels`; errors of check_fits(). The adapters must outlive it.
  Result<ModelLora> adapted(std::span<const AdapterUse> adapters,
                            const ProductKernels& kernels) const;

  // Before a pass: angles for so many positions.
  void prepare_positions(std::size_t positions) { rope_.ensure(positions); }
  // x (T, d)
  void embed(std::span<const TokenId> tokens, const FloatRows& x);
  // Through all blocks, keeping nothing; with a cache, for one sequence that goes on from it.
  void forward(const PassShape& pass, const ProductKernels& kernels, const ModelLora& lora,
               const FloatRows& x, KvCache* cache);
  // The final norm of rows of x, as elements (rows, d); factors (rows) for the way back, or null.
  void final_norm(const FloatRows& x, std::span<const std::size_t> rows,
                  const ProductKernels& kernels, const ElementRows& normed, float* factors);
  // dx rows = back through it, from d_normed (rows, d), which is overwritten. Other rows are zero.
  void final_norm_back(const FloatRows& d_normed, std::span<const std::size_t> rows,
                       const FloatRows& x, const float* factors, const FloatRows& dx);

 private:
  std::shared_ptr<const BaseModel> base_;
  EngineKernels kernels_;
  WorkerPool pool_;
  RopeTables rope_;
  WeightMatrix embedding_;
  std::vector<Layer> layers_;
  std::vector<float> output_norm_;
  OutputHead head_;
};

// A (rows, columns) view of elements in a buffer.
ElementRows element_rows(const ProductKernels& kernels, Buffer& buffer, std::size_t rows,
                         std::size_t columns);
FloatRows float_rows(Buffer& buffer, std::size_t rows, std::size_t columns);

} // namespace coppice::native
