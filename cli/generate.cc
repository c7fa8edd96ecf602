// SPDX-License-Identifier: Apache-2.0
// `coppice generate`: text from a prompt, streamed.
#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "client/serving.h"
#include "client/settings_file.h"

namespace coppice {
namespace {

constexpr char kInt8[] = "int8";
constexpr char kFloat[] = "float";
constexpr std::size_t kMaxPromptBytes = std::size_t{1} << 26U; // of a file of prompts

struct GenerateOptions {
  ModelOptions model;
  std::string client;
  std::string prompt;
  std::string prompts;        // a file of them
  std::uint32_t parallel = 8; // texts of it decoded together
  std::uint32_t max_tokens = 128;
  SamplerSettings sampler{.temperature = 0.8F};
  std::string activations = kInt8;
};

const char* stop_name(GenerateStop stop) {
  switch (stop) {
    case GenerateStop::kMaxTokens: return "max_tokens";
    case GenerateStop::kEndToken: return "end";
    case GenerateStop::kContextFull: return "context_full";
    case GenerateStop::kCaller: return "interrupted";
  }
  return "unknown";
}

// A model may say anything: on a terminal its control characters stay unsaid.
std::string printable_text(std::string text, const Terminal& terminal) {
  if (!terminal.out) return text;
  std::erase_if(text, [](char byte) {
    const auto code = static_cast<unsigned char>(byte);
    return (code < 0x20 && byte != '\n' && byte != '\t') || code == 0x7F;
  });
  return text;
}

// What the device serves with now: its model, and its adapters as one.
Result<OpenModel> open_served(Context& context, const GenerateOptions& options) {
  const ClientSettings settings =
      COPPICE_TRY(load_client_settings(options.client, context.environment, {}));
  const DeviceFolder folder{fs::path(options.client)};
  ModelOptions model = options.model;
  if (model.model.empty()) model.model = settings.model.string();
  OpenModel open = COPPICE_TRY(open_model(model));
  const Membership membership = COPPICE_TRY(folder.membership());
  const auto shared = COPPICE_TRY(folder.shared(membership.keys.verify));
  if (!shared) return open;
  auto served = COPPICE_TRY(Serving(folder, settings).served_adapter(*shared));
  if (served) open.adapters.push_back(std::move(*served));
  return open;
}

Result<std::vector<TokenId>> prompt_tokens(const BaseModel& base, const std::string& prompt) {
  const Tokenizer& tokenizer = base.tokenizer();
  std::vector<TokenId> tokens = tokenizer.encode(prompt, {.add_bos = tokenizer.add_bos()});
  // An empty prompt: from what separates texts.
  if (tokens.empty() && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  if (tokens.empty() && tokenizer.eos()) tokens.push_back(*tokenizer.eos());
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "give a --prompt: this model can't begin without one"};
  }
  if (tokens.size() >= base.config().context) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the prompt has ", tokens.size(), " tokens and the model's context only ",
                     base.config().context, ": shorten it")};
  }
  return tokens;
}

Result<GenerateRequest> request_for(const OpenModel& model, const GenerateOptions& options,
                                    const std::string& prompt) {
  return GenerateRequest{.adapters = model.uses(),
                         .prompt = COPPICE_TRY(prompt_tokens(*model.base, prompt)),
                         .max_tokens = options.max_tokens,
                         .sampler = options.sampler,
                         .int8_activations = options.activations == kInt8,
                         .on_token = {}};
}

// The pieces after one another: the text that continues the prompt, its first space included.
std::string text_of(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += tokenizer.piece(token);
  return text;
}

Json told(const OpenModel& model, const std::string& prompt, std::size_t prompt_tokens,
          const GenerateResult& made) {
  return {{"prompt", prompt},
          {"text", text_of(model.base->tokenizer(), made.tokens)},
          {"tokens", made.tokens.size()},
          {"prompt_tokens", prompt_tokens},
          {"prefill_seconds", made.prefill_seconds},
          {"stop", stop_name(made.stop)}};
}

// One a line; of a .jsonl file, the field "prompt" of each line.
Result<std::vector<std::string>> read_prompts(const fs::path& path) {
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxPromptBytes));
  const bool rows = path.extension() == ".jsonl";
  std::vector<std::string> prompts;
  std::size_t number = 0;
  for (std::string& line : split(as_text(raw), '\n')) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (trim(line).empty()) continue;
    if (!rows) {
      prompts.push_back(std::move(line));
      continue;
    }
    const auto json = parse_json(line);
    if (!json || !json->is_object() || !json->contains("prompt") ||
        !(*json)["prompt"].is_string()) {
      return Error{ErrorCode::kInvalidArgument,
                   cat(path.string(), ":", number, ": not an object with a text \"prompt\"")};
    }
    prompts.push_back((*json)["prompt"].get<std::string>());
  }
  if (prompts.empty()) {
    return Error{ErrorCode::kInvalidArgument, cat("there is no prompt in ", path.string())};
  }
  return prompts;
}

// All prompts of a file, some together; each text is what it would be alone.
Result<ExitCode> generate_prompts(Context& context, const OpenModel& model,
                                  const GenerateOptions& options) {
  const auto prompts = COPPICE_TRY(read_prompts(options.prompts));
  std::vector<GenerateRequest> requests;
  std::vector<std::size_t> lengths;
  for (const std::string& prompt : prompts) {
    requests.push_back(COPPICE_TRY(request_for(model, options, prompt)));
    requests.back().on_token = [](TokenId) { return !interrupted(); };
    lengths.push_back(requests.back().prompt.size());
  }
  const auto before = std::chrono::steady_clock::now();
  const auto made = COPPICE_TRY(generate_all(*model.engine, std::move(requests), options.parallel,
                                             [] { return !interrupted(); }));
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - before;
  double decoding = all.count();
  Console& console = context.console;
  Json texts = Json::array();
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < made.size(); ++i) {
    tokens += made[i].tokens.size();
    decoding -= made[i].prefill_seconds;
    texts.push_back(told(model, prompts[i], lengths[i], made[i]));
    console.write(console.styled(Style::kDim, printable_text(prompts[i], console.terminal())));
    console.print(printable_text(texts.back()["text"].get<std::string>(), console.terminal()));
    console.print();
  }
  const double rate = decoding > 0 ? static_cast<double>(tokens) / decoding : 0.0;
  if (!console.json()) {
    console.note(cat(made.size(), " texts, ", tokens, " tokens, ", fixed(rate, 1), " tokens/s"));
  }
  console.finish("coppice.generate_prompts.v1", Json{{"texts", std::move(texts)},
                                                     {"parallel", options.parallel},
                                                     {"tokens", tokens},
                                                     {"tokens_per_s", rate},
                                                     {"adapters", model.adapters.size()}});
  return interrupted() ? ExitCode::kInterrupted : ExitCode::kOk;
}

Result<ExitCode> generate(Context& context, const GenerateOptions& options) {
  if (options.model.model.empty() && options.client.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "name a base model with --model, or a device's folder "
                 "with --client"};
  }
  OpenModel model = options.client.empty() ? COPPICE_TRY(open_model(options.model))
                                           : COPPICE_TRY(open_served(context, options));
  if (!options.prompts.empty()) return generate_prompts(context, model, options);
  const Tokenizer& tokenizer = model.base->tokenizer();
  Console& console = context.console;
  GenerateRequest request = COPPICE_TRY(request_for(model, options, options.prompt));
  request.on_token = [&](TokenId token) {
    console.write(printable_text(tokenizer.piece(token), console.terminal()));
    return !interrupted();
  };
  console.write(console.styled(Style::kDim, printable_text(options.prompt, console.terminal())));
  const GenerateResult made = COPPICE_TRY(model.engine->generate(request));
  console.print();

  const auto count = static_cast<double>(made.tokens.size());
  const double rate = made.decode_seconds > 0 ? count / made.decode_seconds : 0.0;
  if (!console.json()) {
    console.note(
        cat(made.tokens.size(), " tokens, ", fixed(rate, 1), " tokens/s",
            made.stop == GenerateStop::kContextFull ? "; the model's context is full" : ""));
  }
  Json json = told(model, options.prompt, request.prompt.size(), made);
  json["tokens_per_s"] = rate;
  json["adapters"] = model.adapters.size();
  console.finish("coppice.generate.v1", std::move(json));
  return made.stop == GenerateStop::kCaller ? ExitCode::kInterrupted : ExitCode::kOk;
}

} // namespace

void add_generate_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<GenerateOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "generate",
       .summary = "Continue a prompt, with any adapters",
       .example = "coppice generate -m base.gguf -p \"Once upon a time\" -n 64\n"
                  "coppice generate -m base.gguf --adapter my-adapter -p \"Dear\" --temp 0\n"
                  "coppice generate --client device -p \"Today\"\n"
                  "coppice generate -m base.gguf --prompts prompts.txt --parallel 8"},
      [options](Context& at) { return generate(at, *options); });
  add_model_option(command, options->model, false);
  command.add_option("--client", options->client, "Device's folder: use what it serves with")
      .type_name("DIR");
  const CommandOption prompt =
      command.add_option("-p,--prompt", options->prompt, "Text to continue").type_name("TEXT");
  command
      .add_option("--prompts", options->prompts,
                  "File of texts to continue, one a line, or a .jsonl file's \"prompt\" fields")
      .type_name("FILE")
      .excludes(prompt);
  command.add_option("--parallel", options->parallel, "Texts of --prompts decoded together")
      .type_name("N")
      .check(in_range(1U, 256U))
      .capture_default_str();
  command.add_option("-n,--tokens,--max-tokens", options->max_tokens, "Tokens to write at most")
      .type_name("N")
      .check(in_range(1U, 1U << 20U))
      .capture_default_str();
  add_adapter_options(command, options->model,
                      "Adapter to use: a PEFT folder, a GGUF file or our own; several add up");
  command
      .add_option("--temp,--temperature", options->sampler.temperature,
                  "How freely to choose; 0 always takes the likeliest token")
      .type_name("T")
      .check(in_range(0.0F, 100.0F))
      .default_str("0.8");
  command.add_option("--top-k", options->sampler.top_k, "Choose among the K likeliest; 0: all")
      .type_name("K")
      .capture_default_str();
  command
      .add_option("--top-p", options->sampler.top_p,
                  "Choose among the likeliest that have this much probability together")
      .type_name("P")
      .check(in_range(0.0F, 1.0F))
      .default_str("0.95");
  command.add_option("-s,--seed", options->sampler.seed, "The same seed gives the same text")
      .type_name("N")
      .capture_default_str();
  command
      .add_option("--activations", options->activations,
                  "While decoding: int8, 32 to a scale, which is faster, or float")
      .type_name("TYPE")
      .check(one_of({kInt8, kFloat}))
      .capture_default_str();
  add_compute_options(command, options->model);
}

} // namespace coppice
