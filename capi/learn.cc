// SPDX-License-Identifier: Apache-2.0
// Training an adapter, and generating with some.
#include <limits>

#include "base/clock.h"
#include "capi/handles.h"
#include "client/trainer.h"
#include "model/native/native_engine.h"

namespace coppice {
namespace {

constexpr std::uint32_t kSteps = 100;
constexpr std::uint32_t kRank = 8;
constexpr std::uint32_t kTokens = 128;
constexpr Millis kOver{std::numeric_limits<std::int64_t>::max()};

template <typename Number>
Number or_else(Number given, Number otherwise) {
  return given == Number{} ? otherwise : given;
}

Recipe recipe_of(const coppice_train_options& options) {
  Recipe recipe;
  recipe.learning_rate = or_else(options.learning_rate, 0.002F);
  recipe.warmup_steps = 2;
  recipe.max_steps = or_else(options.steps, kSteps);
  recipe.max_seconds = options.seconds;
  recipe.batch_tokens = or_else(options.batch_tokens, 512U);
  recipe.window = or_else(options.window, 128U);
  recipe.seed = options.seed;
  return recipe;
}

Result<void> check(const coppice_train_options& options, const Recipe& recipe) {
  const auto refuse = [](const char* why) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument, why};
  };
  if (!(recipe.learning_rate > 0) || recipe.learning_rate > 1) {
    return refuse("learning_rate lies between 0 and 1");
  }
  if (recipe.window < 2 || recipe.batch_tokens < 2) {
    return refuse("window and batch_tokens are 2 at least");
  }
  if (options.alpha < 0) return refuse("alpha is positive");
  return {};
}

Result<Adapter> starting_adapter(const BaseModel& base, const coppice_train_options& options) {
  if (options.start != nullptr) return options.start->adapter;
  const std::uint32_t rank = or_else(options.rank, kRank);
  const float alpha = or_else(options.alpha, 2.0F * static_cast<float>(rank));
  const std::string all = "all-linear";
  AdapterSpec spec =
      COPPICE_TRY(base.make_spec(rank, alpha, LoraScaling::kStandard, std::span(&all, 1)));
  return Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)), options.seed);
}

// All of the text is for training: who wants to know what it gained scores text of their own.
ExampleSet examples_of(const Tokenizer& tokenizer, std::string_view text) {
  ExampleSet examples;
  for (const std::string& piece : cut_text(text)) {
    examples.train.push_back(tokenize_text(tokenizer, piece));
  }
  return examples;
}

Result<void> train(coppice_model* model, const std::vector<AdapterUse>& below,
                   std::string_view text, const coppice_train_options& options,
                   coppice_adapter** trained, coppice_train_report* report) {
  const Recipe recipe = recipe_of(options);
  COPPICE_TRY(check(options, recipe));
  EngineOptions engine_options{.threads = model->threads};
  if (options.memory_bytes > 0) engine_options.activation_bytes = options.memory_bytes;
  const auto engine = COPPICE_TRY(open_native_engine(model->base, engine_options));
  const SystemClock clock;
  bool enough = false; // the callback said so: then the deadline is over, and the adapter is kept
  TrainRequest request{
      .recipe = recipe,
      .randomness = {.experiment = recipe.seed, .purpose = RandomPurpose::kBatchOrder},
      .frozen = below,
      .start =
          std::make_shared<const Adapter>(COPPICE_TRY(starting_adapter(*model->base, options))),
      .now = [&] { return enough ? kOver : clock.monotonic(); },
      .deadline = kOver,
      .on_step =
          [&](const TrainProgress& at) {
            if (options.on_step == nullptr) return;
            enough = options.on_step(options.context, at.step, at.steps_max, at.loss) != 0;
          }};
  TrainOutcome outcome = COPPICE_TRY(
      train_adapter(*engine, examples_of(model->base->tokenizer(), text), std::move(request)));
  if (report != nullptr) {
    *report = {.steps = outcome.steps,
               .tokens = outcome.tokens,
               .loss_first = outcome.loss_first,
               .loss_last = outcome.loss_last,
               .seconds = outcome.seconds};
  }
  *trained = new coppice_adapter{std::move(outcome.adapter)};
  return {};
}

Result<std::vector<TokenId>> prompt_tokens(const BaseModel& base, std::string_view prompt) {
  const Tokenizer& tokenizer = base.tokenizer();
  std::vector<TokenId> tokens = tokenizer.encode(prompt, {.add_bos = tokenizer.add_bos()});
  // An empty prompt: from what separates texts.
  if (tokens.empty() && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  if (tokens.empty() && tokenizer.eos()) tokens.push_back(*tokenizer.eos());
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument, "this model can't begin without a prompt"};
  }
  if (tokens.size() >= base.config().context) {
    return Error{ErrorCode::kTooLarge, "the prompt fills the model's context; shorten it"};
  }
  return tokens;
}

Result<void> generate(coppice_model* model, std::vector<AdapterUse> uses, std::string_view prompt,
                      const coppice_generate_options& options, char** text, std::size_t* bytes) {
  const Tokenizer& tokenizer = model->base->tokenizer();
  GenerateRequest request{.adapters = std::move(uses),
                          .prompt = COPPICE_TRY(prompt_tokens(*model->base, prompt)),
                          .max_tokens = or_else(options.max_tokens, kTokens),
                          .sampler = {.temperature = options.temperature,
                                      .top_k = options.top_k,
                                      .top_p = or_else(options.top_p, 1.0F),
                                      .seed = options.seed}};
  std::string made;
  request.on_token = [&](TokenId token) {
    const std::string piece = tokenizer.piece(token);
    made += piece;
    return options.on_token == nullptr ||
           options.on_token(options.context, token, piece.data(), piece.size()) == 0;
  };
  COPPICE_TRY(model->engine->generate(request));
  if (text != nullptr) *text = COPPICE_TRY(hand_out_text(made));
  if (bytes != nullptr) *bytes = made.size();
  return {};
}

} // namespace
} // namespace coppice

extern "C" {

coppice_status coppice_generate(coppice_model* model, const coppice_adapter* const* adapters,
                                size_t adapter_count, const char* prompt, size_t prompt_bytes,
                                const coppice_generate_options* options, char** text,
                                size_t* text_bytes) {
  return coppice::at_border([&]() -> coppice::Result<void> {
    if (model == nullptr) return coppice::missing("model");
    auto uses = COPPICE_TRY(coppice::adapter_uses(adapters, adapter_count));
    const auto given = COPPICE_TRY(coppice::text_argument(prompt, prompt_bytes));
    const auto known = COPPICE_TRY(coppice::read_options(options));
    return coppice::generate(model, std::move(uses), given, known, text, text_bytes);
  });
}

coppice_status coppice_train(coppice_model* model, const coppice_adapter* const* adapters,
                             size_t adapter_count, const char* text, size_t bytes,
                             const coppice_train_options* options, coppice_adapter** trained,
                             coppice_train_report* report) {
  return coppice::at_border([&]() -> coppice::Result<void> {
    if (model == nullptr || trained == nullptr) return coppice::missing("model and trained");
    const auto below = COPPICE_TRY(coppice::adapter_uses(adapters, adapter_count));
    const auto given = COPPICE_TRY(coppice::text_argument(text, bytes));
    const auto known = COPPICE_TRY(coppice::read_options(options));
    return coppice::train(model, below, given, known, trained, report);
  });
}

} // extern "C"
