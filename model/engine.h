// SPDX-License-Identifier: Apache-2.0
// The one engine interface: score, train and generate with a frozen base under a list of adapters.
//
// An engine holds one base model. Every call names an ordered list of adapters (shared, then
// personal), each with its own rank and scale: y = W x + sum_i scale_i B_i (A_i x). Names no
// LibTorch type. An Engine and its sessions are for one thread at a time; engines are independent.
// Results repeat bit for bit for any number of threads, within one engine and instruction level.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapters/adapter.h"
#include "adapters/core_basis.h"
#include "model/base_model.h"
#include "model/engine_precision.h"

namespace coppice {

// Tokens that are scored or trained on as one attention window. `targets[i]` says whether tokens[i]
// is predicted (from those before it); targets[0] is never true. At most the model's context.
struct Sequence {
  std::vector<TokenId> tokens;
  std::vector<std::uint8_t> targets;
};

struct AdapterUse {
  const Adapter* adapter = nullptr; // must outlive the call or session
  float strength = 1.0F;            // multiplies the adapter's own scale
};

struct Score {
  double nats = 0;           // summed over the predicted tokens, in float64
  std::uint64_t tokens = 0;  // predicted tokens
  std::uint64_t correct = 0; // of them, whose logit is the highest; of equal ones, the lowest id's

  Score& operator+=(const Score& other) {
    nats += other.nats;
    tokens += other.tokens;
    correct += other.correct;
    return *this;
  }
};

enum class OptimizerKind : std::uint8_t { kAdamW, kSgd };

// As in PyTorch, on the trainable adapter only: AdamW (Loshchilov and Hutter 2019), or SGD with
// momentum, whose weight decay is added to the gradient.
struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::kAdamW; // the same for all clients of a session
  float momentum = 0.0F;                      // of SGD
  float learning_rate = 1e-3F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.0F;
  float max_gradient_norm = 0.0F; // L2 over all trainable values of a client; 0: no clipping
  // Pulls towards the start: loss + mu/2 * |w - start|^2 (FedProx, Li et al. 2020). 0: off.
  float proximal_mu = 0.0F;
  bool train_a = true; // false freezes every A (FFA-LoRA)
  bool train_b = true;
  // Only the first so many rows of each A and columns of each B move, with the gradient of the
  // others cleared; 0, or a target's whole rank: all.
  std::uint32_t trained_rank = 0;
};

// What one client trains: frozen adapters below, one trainable on top.
struct TrainJob {
  std::vector<AdapterUse> frozen;
  // The trainable adapter's values at the beginning; clients that begin alike share one.
  std::shared_ptr<const Adapter> start;
  OptimizerSettings optimizer;
  // Added to every step's gradient, before clipping: the gradient of a linear term of the loss, in
  // the order of Adapter::values() (SCAFFOLD, FedDyn). Null: nothing.
  std::shared_ptr<const std::vector<float>> gradient_offset{};
  // Of B only its core moves, as by an optimizer of the core alone: it has the moments, decay and
  // clip (Note [Square core]); A is frozen. Null: whole factors. A session's clients share one.
  std::shared_ptr<const CoreBasis> core{};
};

// One client's share of a step: its sequences, and the learning rate of this step as a factor of
// the setting (warm-up and cosine are the caller's schedule). A client without sequences rests: the
// step leaves its adapter and optimizer as they are.
struct Batch {
  std::vector<Sequence> sequences;
  float learning_rate_factor = 1.0F;
};

struct StepResult {
  double loss = 0;          // nats a predicted token, before the update, over the whole step
  double gradient_norm = 0; // L2, before clipping
  std::uint64_t tokens = 0; // predicted tokens
};

// How a training step is computed within EngineOptions::activation_bytes.
struct TrainingPlan {
  std::uint64_t pass_tokens = 0; // computed at once; a step of more takes several passes
  std::uint32_t layers = 0;
  std::uint32_t kept_layers = 0;      // keep what they computed; the others compute it again
  std::uint64_t bytes = 0;            // at the peak, beside weights, adapter and optimizer
  std::uint64_t kept_layer_bytes = 0; // of each kept layer, and of one place for the others
  std::uint64_t input_bytes = 0;      // of each of the others
  std::uint64_t fixed_bytes = 0;      // whatever the layers do
  double cost = 1;                    // time over that of keeping all, about
};

// All that a client's next step depends on beside its job and batch. Values are in the order of
// Adapter::values(), moments likewise, or first those of cores; the spans belong to whoever gave
// them.
struct TrainState {
  std::span<const float> values;        // of the trained adapter
  std::span<const float> first_moment;  // AdamW's; of SGD its momentum
  std::span<const float> second_moment; // of SGD zeros
  std::uint64_t steps = 0;              // of the optimizer
};

// Training of K clients side by side over one base (K = 1 on a device).
class TrainSession {
 public:
  virtual ~TrainSession() = default;
  virtual std::size_t clients() const = 0;
  // One optimizer step for each client; batches.size() == clients(). The loss of a client is the
  // mean over all predicted tokens of its step, however it is split inside. Where loss or gradient
  // are no finite numbers the client isn't updated, and its result's loss is NaN; the others go on.
  // kCancelled, with nothing changed, where Engine::stop_when() has it; with several clients that
  // is so until the first of them is updated. A resting client's result is all zero; if all rest,
  // that is kInvalidArgument.
  virtual Result<std::vector<StepResult>> step(std::span<const Batch> batches) = 0;
  // Each client's texts under its frozen adapters and its present one, added up; what
  // Engine::score() gives. texts.size() == clients(); without texts a client's score is zero.
  virtual Result<std::vector<Score>> score(std::span<const std::span<const Sequence>> texts) = 0;
  // The gradient of a batch's loss at the present values, without a step: for tests and strategies.
  virtual Result<Adapter> gradient(std::size_t client, const Batch& batch) = 0;
  virtual Result<Adapter> adapter(std::size_t client) const = 0;
  // The same in the order of Adapter::values(), without a copy for each client. Valid until the
  // next step or restore(), and no longer than the session; any thread may read them.
  virtual Result<std::span<const float>> values(std::size_t client) const = 0;
  // Valid until the next step or restore(), and no longer than the session.
  virtual Result<TrainState> state(std::size_t client) const = 0;
  // The client goes on from there, as if it had taken those steps in this session: the same bits,
  // where its job, engine, instruction level and options are the same. kInvalidArgument, with
  // nothing changed: another number of values, or some that no training leaves (NaN, infinity, a
  // negative second moment).
  virtual Result<void> restore(std::size_t client, const TrainState& state) = 0;
};

struct SamplerSettings {
  float temperature = 0.0F; // 0: greedy
  std::uint32_t top_k = 40; // 0: all
  float top_p = 0.95F;
  std::uint64_t seed = 0;
};

struct GenerateRequest {
  std::vector<AdapterUse> adapters;
  std::vector<TokenId> prompt; // not empty
  std::uint32_t max_tokens = 128;
  SamplerSettings sampler{};
  // Decoding may round activations to int8, 32 to a scale, where that is faster: a logit moves by
  // about a hundredth of its size. BitNet's are rounded as EngineOptions::trained_rounding says, in
  // the prompt too.
  bool int8_activations = false;
  bool ignore_end_tokens = false; // for measurements: text goes on after an ending token
  // Called after each token; false stops. May be empty.
  std::function<bool(TokenId)> on_token{};
};

enum class GenerateStop {
  kMaxTokens,   // as many as were asked for
  kEndToken,    // the model ended the text
  kContextFull, // prompt and text fill the model's context
  kCaller,      // on_token said so
};

struct GenerateResult {
  std::vector<TokenId> tokens; // without the prompt, without the ending token
  GenerateStop stop = GenerateStop::kMaxTokens;
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

// Texts written side by side over one base, each with its own adapters, sampler and ends. Each
// comes out as it would alone, bit for bit, but that nothing is kept of the texts before it.
class GenerationSession {
 public:
  struct Ended {
    std::size_t number = 0; // of add()
    GenerateResult result;  // decode_seconds: from its first step on, the others' share included
  };
  virtual ~GenerationSession() = default;
  // Reads the prompt; the text takes part from the next step on. The adapters must outlive it.
  // Answers with its number: 0, 1, 2, ... Errors as Engine::generate; the other texts go on.
  virtual Result<std::size_t> add(GenerateRequest request) = 0;
  // One token more for each text; those that have ended leave. Callbacks may not call the session.
  virtual Result<std::vector<Ended>> step() = 0;
  virtual std::size_t texts() const = 0; // being written
};

struct EngineInfo {
  std::string name;              // "graph", "native"
  std::string device;            // "cpu", "cuda:0"
  std::string instruction_level; // "avx512", ...; equality of trained floats holds within one
  // A session computes its clients together: many cost little more than one, and a client's bits
  // depend on the others beside it.
  bool packs = false;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual EngineInfo info() const = 0;
  virtual const BaseModel& base() const = 0;

  virtual Result<std::vector<Score>> score(std::span<const AdapterUse> adapters,
                                           std::span<const Sequence> sequences) = 0;
  // (tokens, V) float32, for tests against goldens; refuses more than 4,096 x V values.
  virtual Result<std::vector<float>> logits(std::span<const AdapterUse> adapters,
                                            std::span<const TokenId> tokens) = 0;
  virtual Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob> jobs) = 0;
  // For steps of `total` tokens in sequences of at most `longest`, with adapters of `spec`.
  // kInvalidArgument, with the least that works, where the memory doesn't do.
  virtual Result<TrainingPlan> plan_training(const AdapterSpec& spec, std::size_t longest,
                                             std::size_t total) const = 0;
  virtual Result<GenerateResult> generate(const GenerateRequest& request) = 0;
  // The engine must outlive it. By default a step writes one whole text; the native engine decodes
  // all together.
  virtual Result<std::unique_ptr<GenerationSession>> start_generation();
  // While `*stop` is true score(), and steps and gradients of this engine's sessions, end with
  // kCancelled: the native engine within milliseconds, the LibTorch engine after the pass that it
  // computes. `stop` may be set from any thread. Null: never. Gives what was set before.
  virtual const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) = 0;
};

// Writes all, at most `at_once` (>= 1) side by side: a new one begins where one has ended, unless
// `go_on` then says false, which leaves the rest empty (kCaller). Results in the order of the
// requests; the first error ends it.
Result<std::vector<GenerateResult>> generate_all(Engine& engine,
                                                 std::vector<GenerateRequest> requests,
                                                 std::size_t at_once,
                                                 const std::function<bool()>& go_on = {});

// stop_when() for a scope's length.
class StopScope {
 public:
  StopScope(Engine& engine, const std::atomic<bool>* stop)
      : engine_(engine), before_(engine.stop_when(stop)) {}
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;
  ~StopScope() { engine_.stop_when(before_); }

 private:
  Engine& engine_;
  const std::atomic<bool>* before_;
};

// What stopped work returns.
inline Error stopped_error() { return {ErrorCode::kCancelled, "the work was asked to stop"}; }

struct EngineOptions {
  unsigned threads = 1;
  // What a training step may hold between its forward and backward pass. A step that needs more is
  // computed in several passes, with the same loss; one sequence is always computed whole.
  std::uint64_t activation_bytes = std::uint64_t{256} << 20U;
  // How keys and values of a text being written are kept: F16 or Q8_0; F32 where products are.
  BlockType kv_cache = BlockType::kF16;
  EnginePrecision precision = EnginePrecision::kBfloat16;
  // Where a CPU's products can be given all weights packed within so many bytes, they are packed
  // once, for all engines of the process over this base, not in every pass. Results are the same.
  std::uint64_t kept_weight_bytes = 0;
  // score() and logits() round the inputs of the blocks' linear layers as a BitNet model was
  // trained with (W1.58A8): to int8, one scale a token. Adapters read them unrounded; training
  // never rounds. Of no effect on other architectures, nor on LibTorch's engine.
  bool trained_rounding = false;
  // "cpu", or "cuda:N" for the LibTorch engine: it then holds the base dequantized on that GPU,
  // packs clients and sequences, and generates slowly. Results repeat for equal packs on one kind
  // of GPU, whatever the number of GPUs.
  std::string device = "cpu";
};

// How client/ and others get an engine without knowing which: opened when work begins, closed
// after.
using EngineFactory = std::function<Result<std::unique_ptr<Engine>>()>;

} // namespace coppice
