// SPDX-License-Identifier: Apache-2.0
// Models, tokens, adapters and scores.
#include <algorithm>
#include <thread>

#include "capi/handles.h"
#include "client/example_store.h"
#include "model/adapter_files.h"
#include "model/native/native_engine.h"

namespace coppice {
namespace {

Result<void> open_model(const char* path, const coppice_model_options* given,
                        coppice_model** model) {
  if (path == nullptr || model == nullptr) return missing("path and model");
  const auto options = COPPICE_TRY(read_options(given));
  auto made = std::make_unique<coppice_model>();
  made->threads =
      options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  made->base = COPPICE_TRY(BaseModel::open(path));
  made->engine = COPPICE_TRY(open_native_engine(made->base, {.threads = made->threads}));
  *model = made.release();
  return {};
}

Result<void> model_info(const coppice_model* model, coppice_model_info* info) {
  if (model == nullptr || info == nullptr) return missing("model and info");
  const std::size_t size = info->struct_size;
  if (size < sizeof(size)) {
    return Error{ErrorCode::kInvalidArgument, "set struct_size of the info to its size"};
  }
  const ModelConfig& config = model->base->config();
  const coppice_model_info made{.struct_size = size,
                                .parameters = model->base->parameters(),
                                .context = config.context,
                                .vocabulary = config.vocabulary};
  std::memcpy(info, &made, std::min(size, sizeof(made)));
  return {};
}

Result<void> tokenize(const coppice_model* model, std::string_view text, bool begin,
                      std::uint32_t** tokens, std::size_t* count) {
  if (model == nullptr || tokens == nullptr || count == nullptr) {
    return missing("model, tokens and count");
  }
  const Tokenizer& tokenizer = model->base->tokenizer();
  const std::vector<TokenId> ids =
      tokenizer.encode(text, {.add_bos = begin && tokenizer.add_bos()});
  const std::vector<std::uint32_t> numbers(ids.begin(), ids.end());
  *tokens = COPPICE_TRY(hand_out_numbers(numbers));
  *count = numbers.size();
  return {};
}

Result<void> detokenize(const coppice_model* model, const std::uint32_t* tokens, std::size_t count,
                        char** text, std::size_t* bytes) {
  if (model == nullptr || text == nullptr) return missing("model and text");
  if (tokens == nullptr && count > 0) return missing("tokens");
  const std::vector<TokenId> ids(tokens, tokens + count);
  const auto known = [&](TokenId id) {
    return id >= 0 && static_cast<std::uint32_t>(id) < model->base->config().vocabulary;
  };
  if (!std::ranges::all_of(ids, known)) {
    return Error{ErrorCode::kInvalidArgument, "a token is not of this model's vocabulary"};
  }
  const std::string made = model->base->tokenizer().decode(ids);
  *text = COPPICE_TRY(hand_out_text(made));
  if (bytes != nullptr) *bytes = made.size();
  return {};
}

Result<void> load(const coppice_model* model, const char* path, coppice_adapter** adapter) {
  if (model == nullptr || path == nullptr || adapter == nullptr) {
    return missing("model, path and adapter");
  }
  LoadedAdapter loaded = COPPICE_TRY(load_adapter(path, model->base.get(), PeftRows::kHuggingFace));
  *adapter = new coppice_adapter{std::move(loaded.adapter)};
  return {};
}

Result<void> save(const coppice_adapter* adapter, const char* path) {
  if (adapter == nullptr || path == nullptr) return missing("adapter and path");
  const AdapterFormat format = adapter_format_for_output(path);
  return save_adapter(path, LoadedAdapter{adapter->adapter, format}, format,
                      {.rows = PeftRows::kHuggingFace});
}

Result<void> score(coppice_model* model, const coppice_adapter* const* adapters, std::size_t count,
                   std::string_view text, coppice_text_score* into) {
  if (model == nullptr || into == nullptr) return missing("model and score");
  const auto uses = COPPICE_TRY(adapter_uses(adapters, count));
  const TokenizedDocument document = tokenize_text(model->base->tokenizer(), text);
  const TextScore scored =
      COPPICE_TRY(score_documents(*model->engine, uses, std::span(&document, 1)));
  *into = {.nats = scored.score.nats, .tokens = scored.score.tokens, .bytes = scored.bytes};
  return {};
}

} // namespace
} // namespace coppice

extern "C" {

coppice_status coppice_model_open(const char* path, const coppice_model_options* options,
                                  coppice_model** model) {
  return coppice::at_border([&] { return coppice::open_model(path, options, model); });
}

void coppice_model_close(coppice_model* model) { delete model; }

coppice_status coppice_model_get_info(const coppice_model* model, coppice_model_info* info) {
  return coppice::at_border([&] { return coppice::model_info(model, info); });
}

coppice_status coppice_tokenize(const coppice_model* model, const char* text, size_t bytes,
                                int begin, uint32_t** tokens, size_t* count) {
  return coppice::at_border([&]() -> coppice::Result<void> {
    const auto given = COPPICE_TRY(coppice::text_argument(text, bytes));
    return coppice::tokenize(model, given, begin != 0, tokens, count);
  });
}

coppice_status coppice_detokenize(const coppice_model* model, const uint32_t* tokens, size_t count,
                                  char** text, size_t* bytes) {
  return coppice::at_border([&] { return coppice::detokenize(model, tokens, count, text, bytes); });
}

coppice_status coppice_adapter_load(const coppice_model* model, const char* path,
                                    coppice_adapter** adapter) {
  return coppice::at_border([&] { return coppice::load(model, path, adapter); });
}

coppice_status coppice_adapter_save(const coppice_adapter* adapter, const char* path) {
  return coppice::at_border([&] { return coppice::save(adapter, path); });
}

uint64_t coppice_adapter_parameters(const coppice_adapter* adapter) {
  return adapter == nullptr ? 0 : adapter->adapter.spec().parameters();
}

void coppice_adapter_close(coppice_adapter* adapter) { delete adapter; }

coppice_status coppice_score(coppice_model* model, const coppice_adapter* const* adapters,
                             size_t adapter_count, const char* text, size_t bytes,
                             coppice_text_score* score) {
  return coppice::at_border([&]() -> coppice::Result<void> {
    const auto given = COPPICE_TRY(coppice::text_argument(text, bytes));
    return coppice::score(model, adapters, adapter_count, given, score);
  });
}

} // extern "C"
