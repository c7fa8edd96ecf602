// SPDX-License-Identifier: Apache-2.0
#include "model/import_tokenizer.h"

#include "base/text.h"
#include "formats/printable.h"
#include "model/import_vocabulary.h"
#include "model/pretokenizer.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxModelBytes = std::size_t{64} << 20U;

// Of a Sequence its members, in order; else the thing itself.
std::vector<const Json*> flattened(const Json& json, std::string_view list) {
  if (json.is_null()) return {};
  const Json& inner = member(json, list);
  if (!inner.is_array()) return {&json};
  std::vector<const Json*> all;
  for (const Json& item : inner) all.push_back(&item);
  return all;
}

bool is_type(const Json& json, std::string_view type) {
  return text_of(member(json, "type")) == type;
}

// tokenizer.ggml.pre by the steps of tokenizer.json's pre_tokenizer.
Result<std::string> pretokenizer_name(const Json& pre_tokenizer) {
  const auto steps = flattened(pre_tokenizer, "pretokenizers");
  const Json* last = steps.empty() ? nullptr : steps.back();
  if (last != nullptr && is_type(*last, "ByteLevel") &&
      !flag_of(member(*last, "add_prefix_space")).value_or(true)) {
    const bool gpt2 = flag_of(member(*last, "use_regex")).value_or(true);
    if (gpt2 && steps.size() == 1) return std::string("gpt-2");
    const Json& first = *steps.front();
    if (gpt2 && steps.size() == 2 && is_type(first, "Digits") &&
        flag_of(member(first, "individual_digits")).value_or(false)) {
      return std::string("smollm");
    }
    if (!gpt2 && steps.size() == 2 && is_type(first, "Split")) {
      const auto pattern = text_of(member(member(first, "pattern"), "Regex"));
      const auto name = Pretokenizer::name_of(pattern.value_or(""));
      if (name) return std::string(*name);
    }
  }
  return Error{ErrorCode::kUnsupported,
               cat("the pre-tokenizer of tokenizer.json is not known to this version: ",
                   printable(dump_json(pre_tokenizer)))};
}

class TokenizerImport {
 public:
  TokenizerImport(const fs::path& folder, const Json& config, std::size_t rows)
      : folder_(folder), config_(config), rows_(rows) {}

  Result<GgufEntries> run() {
    json_ = COPPICE_TRY(read_json_if(folder_ / "tokenizer.json")).value_or(Json());
    settings_ = COPPICE_TRY(read_json_if(folder_ / "tokenizer_config.json")).value_or(Json());
    COPPICE_TRY(read_tokens());
    COPPICE_TRY(read_added_tokens());
    fill_up(vocabulary_, rows_);
    add_special_ids();
    add("tokenizer.ggml.add_bos_token", adds_bos());
    if (!pieces_) add("tokenizer.ggml.pre", pre_);
    if (pieces_) add("tokenizer.ggml.add_space_prefix", space_prefix_);
    COPPICE_TRY(add_chat_template());
    add("tokenizer.ggml.tokens", std::move(vocabulary_.tokens));
    add("tokenizer.ggml.token_type", std::move(vocabulary_.types));
    if (pieces_) {
      add("tokenizer.ggml.scores", std::move(vocabulary_.scores));
    } else {
      add("tokenizer.ggml.merges", std::move(vocabulary_.merges));
    }
    // Written even if empty: then no token strips.
    add(kStripBeforeKey, std::move(vocabulary_.strip_before));
    add(kStripAfterKey, std::move(vocabulary_.strip_after));
    return std::move(entries_);
  }

 private:
  void add(std::string key, GgufMetadata value) {
    entries_.emplace_back(std::move(key), std::move(value));
  }

  Result<void> read_tokens() {
    const Json& model = member(json_, "model");
    const bool byte_level = model.is_object() && !byte_fallback(model);
    const fs::path pieces = folder_ / "tokenizer.model";
    std::error_code code;
    pieces_ = !byte_level;
    add("tokenizer.ggml.model", std::string(pieces_ ? "llama" : "gpt2"));
    if (pieces_ && fs::exists(pieces, code)) return read_pieces(pieces);
    if (!model.is_object()) {
      return Error{ErrorCode::kNotFound,
                   cat(folder_.string(), " has neither tokenizer.json nor tokenizer.model")};
    }
    const std::string type = text_of(member(model, "type")).value_or("BPE");
    if (type != "BPE") {
      return Error{ErrorCode::kUnsupported, cat("tokenizer.json holds a model of the type ",
                                                printable(type), ", and only BPE is known")};
    }
    vocabulary_ = COPPICE_TRY(vocabulary_of_json(model, pieces_, rows_));
    if (pieces_) {
      space_prefix_ = has_space_prefix();
    } else {
      COPPICE_TRY(check_normalizer());
      pre_ = COPPICE_TRY(pretokenizer_name(member(json_, "pre_tokenizer")));
    }
    return {};
  }

  static bool byte_fallback(const Json& model) {
    return flag_of(member(model, "byte_fallback")).value_or(false);
  }

  Result<void> read_pieces(const fs::path& path) {
    const Bytes bytes = COPPICE_TRY(read_file(path, kMaxModelBytes));
    const auto model = COPPICE_TRY(parse_sentencepiece_model(bytes, path.string()));
    vocabulary_ = COPPICE_TRY(vocabulary_of_pieces(model, rows_));
    space_prefix_ = model.add_dummy_prefix;
    own_ids_ = {
        {"bos", model.bos}, {"eos", model.eos}, {"unk", model.unknown}, {"pad", model.padding}};
    return {};
  }

  // Composing characters (NFC, as Qwen's own tokenizer does) is left out: most text is composed.
  Result<void> check_normalizer() const {
    for (const Json* step : flattened(member(json_, "normalizer"), "normalizers")) {
      if (is_type(*step, "NFC")) continue;
      return Error{ErrorCode::kUnsupported,
                   cat("tokenizer.json rewrites texts in a way that is not known to this version: ",
                       printable(dump_json(*step)))};
    }
    return {};
  }

  // A space before the text: a normalizer that prepends, or a Metaspace that does.
  bool has_space_prefix() const {
    for (const Json* step : flattened(member(json_, "normalizer"), "normalizers")) {
      if (is_type(*step, "Prepend")) return true;
    }
    for (const Json* step : flattened(member(json_, "pre_tokenizer"), "pretokenizers")) {
      if (!is_type(*step, "Metaspace")) continue;
      const auto scheme = text_of(member(*step, "prepend_scheme"));
      return scheme ? *scheme != "never"
                    : flag_of(member(*step, "add_prefix_space")).value_or(true);
    }
    return false;
  }

  Result<void> read_added_tokens() {
    const Json& added = member(json_, "added_tokens");
    if (added.is_array()) {
      for (const Json& token : added) {
        const std::uint64_t id = COPPICE_TRY(json_uint(token, "id", "added_tokens"));
        COPPICE_TRY(add_token(vocabulary_, id, token, rows_));
      }
    } else {
      const Json& decoder = member(settings_, "added_tokens_decoder");
      if (decoder.is_object()) {
        for (const auto& [name, token] : decoder.items()) {
          const auto id = parse_json(name);
          const auto number = id ? count_of(*id) : std::nullopt;
          if (!number) {
            return Error{ErrorCode::kCorrupt,
                         cat("added_tokens_decoder has the key ", printable(name))};
          }
          COPPICE_TRY(add_token(vocabulary_, *number, token, rows_));
        }
      }
    }
    if (pieces_) vocabulary_.scores.resize(vocabulary_.tokens.size());
    return {};
  }

  // By the token's text in tokenizer_config.json, by config.json's id, by tokenizer.model's own.
  std::optional<std::uint32_t> special_id(const std::string& name) const {
    const Json& token = member(settings_, name + "_token");
    const auto text = token.is_object() ? text_of(member(token, "content")) : text_of(token);
    if (text) {
      if (const auto id = vocabulary_.find(*text)) return id;
    }
    const auto given = count_of(first_of(member(config_, name + "_token_id")));
    if (given && *given < rows_) return static_cast<std::uint32_t>(*given);
    for (const auto& [own, id] : own_ids_) {
      if (own == name && id >= 0) return static_cast<std::uint32_t>(id);
    }
    if (name == "unk" && pieces_) return vocabulary_.find("<unk>");
    return std::nullopt;
  }

  void add_special_ids() {
    constexpr std::pair<const char*, const char*> kNames[] = {
        {"bos", "tokenizer.ggml.bos_token_id"},
        {"eos", "tokenizer.ggml.eos_token_id"},
        {"unk", "tokenizer.ggml.unknown_token_id"},
        {"pad", "tokenizer.ggml.padding_token_id"}};
    for (const auto& [name, key] : kNames) {
      const bool bytes_need_none = name == std::string_view("unk") && !pieces_;
      const auto id = bytes_need_none ? std::nullopt : special_id(name);
      if (id) add(key, *id);
    }
  }

  // SentencePiece's families begin with BOS unless they say no; the others if their template does.
  bool adds_bos() const {
    if (const auto said = flag_of(member(settings_, "add_bos_token"))) return *said;
    for (const Json* step : flattened(member(json_, "post_processor"), "processors")) {
      if (!is_type(*step, "TemplateProcessing")) continue;
      return !member(first_of(member(*step, "single")), "SpecialToken").is_null();
    }
    return pieces_;
  }

  // One text, or a list of named ones of which "default" counts.
  Result<void> add_chat_template() {
    const fs::path file = folder_ / "chat_template.jinja";
    constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20U;
    std::error_code code;
    if (fs::exists(file, code)) {
      const Bytes bytes = COPPICE_TRY(read_file(file, kMaxTemplateBytes));
      add("tokenizer.chat_template", std::string(as_text(bytes)));
      return {};
    }
    const Json& given = member(settings_, "chat_template");
    auto text = text_of(given);
    if (given.is_array()) {
      for (const Json& named : given) {
        if (text_of(member(named, "name")) == "default") text = text_of(member(named, "template"));
      }
    }
    if (text) add("tokenizer.chat_template", *text);
    return {};
  }

  const fs::path& folder_;
  const Json& config_;
  std::size_t rows_;
  Json json_;
  Json settings_;
  bool pieces_ = false;
  bool space_prefix_ = false;
  std::string pre_;
  ImportedVocabulary vocabulary_;
  std::vector<std::pair<std::string, std::int32_t>> own_ids_;
  GgufEntries entries_;
};

} // namespace

Result<GgufEntries> import_tokenizer(const fs::path& folder, const Json& config, std::size_t rows) {
  return TokenizerImport(folder, config, rows).run();
}

} // namespace coppice
