// SPDX-License-Identifier: Apache-2.0
#include "model/graph/autograd.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/check.h"

namespace coppice::graph {
namespace {

// LibTorch sees an input only if it is an argument of its own; undefined ones are no inputs.
constexpr std::size_t kMaxInputs = 3;
using Input = std::optional<at::Tensor>;

// Carries the backward pass from record() to where LibTorch calls for it.
struct SavedBackward final : torch::CustomClassHolder {
  explicit SavedBackward(Backward function) : call(std::move(function)) {}
  void release_resources() override { call = nullptr; }
  Backward call;
};

// What LibTorch must not take for an input.
struct Computed {
  at::Tensor output;
  c10::intrusive_ptr<SavedBackward> backward;
};

struct RecordedFunction : torch::autograd::Function<RecordedFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const Computed& computed,
                            const Input&, const Input&, const Input&) {
    context->saved_data["backward"] = c10::IValue::make_capsule(computed.backward);
    return computed.output;
  }

  static std::vector<at::Tensor> backward(torch::autograd::AutogradContext* context,
                                          const std::vector<at::Tensor>& gradients) {
    const auto saved = c10::static_intrusive_pointer_cast<SavedBackward>(
        context->saved_data["backward"].toCapsule());
    // Taken out, so that what it holds is freed as soon as it has run.
    const Backward call = std::exchange(saved->call, nullptr);
    TORCH_CHECK(call, "a recorded pass was run backward twice");
    std::vector<at::Tensor> result = call(gradients[0]);
    result.insert(result.begin(), at::Tensor()); // none for `computed`
    result.resize(1 + kMaxInputs);
    return result;
  }
};

} // namespace

bool needs_gradient(const std::vector<at::Tensor>& inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const auto& input : inputs) {
    if (input.defined() && input.requires_grad()) return true;
  }
  return false;
}

at::Tensor record(at::Tensor output, const std::vector<at::Tensor>& inputs, Backward backward) {
  COPPICE_CHECK(inputs.size() <= kMaxInputs);
  std::array<Input, kMaxInputs> padded;
  std::copy(inputs.begin(), inputs.end(), padded.begin());
  return RecordedFunction::apply(
      Computed{std::move(output), c10::make_intrusive<SavedBackward>(std::move(backward))},
      padded[0], padded[1], padded[2]);
}

} // namespace coppice::graph
