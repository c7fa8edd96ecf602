// SPDX-License-Identifier: Apache-2.0
#include "model/input_checks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/text.h"

namespace coppice {
namespace {

std::unordered_map<std::string, std::size_t> index_by_name(const AdaptableModules& modules) {
  std::unordered_map<std::string, std::size_t> indices;
  for (std::size_t i = 0; i < modules.size(); ++i) indices.emplace(modules[i].tensor, i);
  return indices;
}

Result<void> check_core(const TrainJob& job) {
  if (job.core == nullptr) return {};
  if (job.optimizer.train_a || !job.optimizer.train_b || job.optimizer.trained_rank > 0 ||
      job.core->spec() != job.start->spec()) {
    return invalid_argument(
        "the core of B is trained, with A frozen and of all ranks, or nothing of it");
  }
  return {};
}

Result<void> check_optimizer(const OptimizerSettings& settings) {
  const auto in_unit = [](float beta) { return beta >= 0 && beta < 1; };
  const auto not_negative = [](float x) { return std::isfinite(x) && x >= 0; };
  if (!not_negative(settings.learning_rate))
    return invalid_argument("the learning rate must be 0 or more");
  if (!in_unit(settings.beta1) || !in_unit(settings.beta2)) {
    return invalid_argument("AdamW's betas must be at least 0 and below 1");
  }
  if (!in_unit(settings.momentum)) {
    return invalid_argument("the momentum must be at least 0 and below 1");
  }
  if (!not_negative(settings.epsilon) || !not_negative(settings.weight_decay) ||
      !not_negative(settings.max_gradient_norm) || !not_negative(settings.proximal_mu)) {
    return invalid_argument(
        "the optimizer's epsilon, weight decay, gradient norm and proximal mu must be 0 or more");
  }
  if (!settings.train_a && !settings.train_b) {
    return invalid_argument("neither A nor B is trained; set train_a or train_b");
  }
  return {};
}

} // namespace

Result<void> check_tokens(std::span<const TokenId> tokens, const ModelConfig& config) {
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument, "there are no tokens; give at least one"};
  }
  if (tokens.size() > config.context) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the text has ", tokens.size(), " tokens, the model's context is ",
                     config.context, "; cut it into windows")};
  }
  for (const TokenId id : tokens) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= config.vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("token id ", id, " is outside the vocabulary of ", config.vocabulary,
                       "; tokenize with the base model's own tokenizer")};
    }
  }
  return {};
}

Result<void> check_sequence(const Sequence& sequence, const ModelConfig& config) {
  COPPICE_TRY(check_tokens(sequence.tokens, config));
  if (sequence.targets.size() != sequence.tokens.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a sequence has ", sequence.tokens.size(), " tokens but ",
                     sequence.targets.size(), " target marks; give one a token")};
  }
  if (sequence.targets[0] != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "the first token of a sequence can't be predicted; clear its target mark"};
  }
  return {};
}

std::uint64_t predicted_tokens(const Sequence& sequence) {
  return static_cast<std::uint64_t>(std::count_if(sequence.targets.begin(), sequence.targets.end(),
                                                  [](auto t) { return t != 0; }));
}

Result<void> check_fits(const AdapterSpec& spec, const BaseModel& base) {
  COPPICE_TRY(spec.validate());
  if (spec.architecture != base.config().architecture) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the adapter is for architecture ", spec.architecture, ", the base model is ",
                     base.config().architecture, "; use the base that it was trained on")};
  }
  const AdaptableModules modules = base.adaptable_modules();
  const auto indices = index_by_name(modules);
  for (const AdapterTarget& target : spec.targets) {
    const auto found = indices.find(target.tensor);
    if (found == indices.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("the adapter's target ", target.tensor,
                       " is no module of the base model; use the base that it was trained on")};
    }
    const AdapterTarget& module = modules[found->second];
    if (target.in != module.in || target.out != module.out) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("the adapter's target ", target.tensor, " is ", target.out, " x ", target.in,
                       ", the base model's is ", module.out, " x ", module.in,
                       "; use the base that it was trained on")};
    }
  }
  return {};
}

std::vector<std::size_t> module_indices(const AdapterSpec& spec, const BaseModel& base) {
  const auto by_name = index_by_name(base.adaptable_modules());
  std::vector<std::size_t> indices;
  indices.reserve(spec.targets.size());
  for (const auto& target : spec.targets) indices.push_back(by_name.at(target.tensor));
  return indices;
}

Result<void> check_jobs(const std::vector<TrainJob>& jobs, const BaseModel& base) {
  if (jobs.empty()) return invalid_argument("there is nothing to train; give at least one job");
  for (const TrainJob& job : jobs) {
    if (job.start == nullptr) return invalid_argument("a job needs an adapter to start from");
  }
  COPPICE_TRY(check_fits(jobs[0].start->spec(), base));
  for (const TrainJob& job : jobs) {
    if (job.start != jobs[0].start && job.start->spec() != jobs[0].start->spec()) {
      return invalid_argument("jobs that train together need adapters of one spec");
    }
    if (job.optimizer.kind != jobs[0].optimizer.kind) {
      return invalid_argument("jobs that train together need optimizers of one kind");
    }
    for (const AdapterUse& use : job.frozen) COPPICE_TRY(check_fits(use.adapter->spec(), base));
    COPPICE_TRY(check_optimizer(job.optimizer));
    COPPICE_TRY(check_core(job));
    if (job.core != jobs[0].core) {
      return invalid_argument(
          "jobs that train together train the cores of one release, or whole factors");
    }
    if (job.gradient_offset && job.gradient_offset->size() != job.start->values().size()) {
      return invalid_argument(
          "a gradient's offset needs a number for each of the adapter's values");
    }
  }
  return {};
}

Result<void> check_texts(std::span<const std::span<const Sequence>> texts, std::size_t clients) {
  if (texts.size() == clients) return {};
  return invalid_argument(
      cat("scoring needs texts for each of the ", clients, " clients, not ", texts.size()));
}

Result<void> check_any_works(std::span<const Batch> batches) {
  const bool any =
      std::ranges::any_of(batches, [](const Batch& b) { return !b.sequences.empty(); });
  if (!any) {
    return invalid_argument(
        "the step predicts no token: no client has text; give at least one a sequence");
  }
  return {};
}

Result<void> check_batch(std::size_t client, const Batch& batch, const ModelConfig& config) {
  std::uint64_t predicted = 0;
  for (const Sequence& sequence : batch.sequences) {
    COPPICE_TRY(check_sequence(sequence, config));
    predicted += predicted_tokens(sequence);
  }
  if (predicted == 0) {
    return invalid_argument(
        cat("the batch of client ", client, " predicts no token; give it text with targets"));
  }
  if (!std::isfinite(batch.learning_rate_factor) || batch.learning_rate_factor < 0) {
    return invalid_argument("the learning rate's factor must be 0 or more");
  }
  return {};
}

bool settle(StepResult& result) {
  const bool finite = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
  if (!finite) result.loss = std::numeric_limits<double>::quiet_NaN();
  return finite;
}

Result<void> check_finite(const StepResult& result) {
  if (std::isfinite(result.loss)) return {};
  return Error{ErrorCode::kFailedPrecondition,
               "the loss is no finite number; take values that the adapter has in training"};
}

} // namespace coppice
