// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/pretokenizer.h"

#include <pcre2.h>

#include <array>
#include <limits>

#include "base/text.h"
#include "formats/printable.h"
#include "model/utf8.h"

namespace coppice {
namespace {

struct KnownPattern {
  std::string_view name;
  std::string_view published; // as in the model's own files
  bool whole_words_first;
};

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
// GPT-2's within what is left when each digit is a word of its own: white space before a digit
// ends a stretch as it does at the end of the text.
constexpr std::string_view kSmolLm =
    R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr KnownPattern kPatterns[] = {
    {"gpt-2", kGpt2, false},     {"llama-bpe", kLlama3, true}, {"llama3", kLlama3, true},
    {"llama-v3", kLlama3, true}, {"qwen2", kQwen2, false},     {"smollm", kSmolLm, false},
    {"gpt-4o", kGpt4o, false},
};

// The published pattern with Unicode's White_Space spelled out for \s and \S: PCRE2's own \s also
// has U+180E, which lost the property in Unicode 6.3. \S stands in no class.
std::string with_white_space(std::string_view published) {
  constexpr std::string_view kSpaces =
      "\\x{9}-\\x{d} \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
      "\\x{205f}\\x{3000}";
  std::string pattern;
  bool in_class = false;
  for (std::size_t at = 0; at < published.size(); ++at) {
    const char letter = published[at];
    const char escaped = letter == '\\' ? published[at + 1] : '\0';
    if (letter == '[') in_class = true;
    if (letter == ']') in_class = false;
    if (escaped == 's' || escaped == 'S') {
      pattern += in_class ? "" : escaped == 's' ? "[" : "[^";
      pattern += kSpaces;
      pattern += in_class ? "" : "]";
    } else {
      pattern += letter;
      if (escaped != '\0') pattern += escaped;
    }
    if (escaped != '\0') ++at;
  }
  return pattern;
}

struct MatchFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

} // namespace

struct Pretokenizer::Pattern {
  pcre2_code* code = nullptr;
  std::unique_ptr<pcre2_match_context, MatchFree> context;

  Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { pcre2_code_free(code); }

  // Bytes of the match at the start of `text` (well-formed), 0 if there is none there.
  std::size_t match(std::string_view text, pcre2_match_data* data) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    constexpr std::uint32_t kOptions = PCRE2_NO_UTF_CHECK;
    int count = pcre2_match(code, subject, text.size(), 0, kOptions, data, context.get());
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) { // the interpreter keeps its stack on the heap
      count =
          pcre2_match(code, subject, text.size(), 0, kOptions | PCRE2_NO_JIT, data, context.get());
    }
    return count > 0 ? pcre2_get_ovector_pointer(data)[1] : 0;
  }
};

Result<Pretokenizer> Pretokenizer::by_name(std::string_view name) {
  for (const KnownPattern& known : kPatterns) {
    if (known.name != name) continue;
    auto pattern = std::make_shared<Pattern>();
    int code = 0;
    PCRE2_SIZE offset = 0;
    const std::string text = with_white_space(known.published);
    pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &offset, nullptr);
    pattern->context.reset(pcre2_match_context_create(nullptr));
    if (pattern->code == nullptr || !pattern->context) {
      return Error{ErrorCode::kInternal, cat("PCRE2 refuses the pattern of ", name, " with error ",
                                             code, " at ", offset)};
    }
    // Where there is no JIT the interpreter does the same work. A backtrack costs one count, and a
    // run of white space may need as many as it has characters.
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    pcre2_set_match_limit(pattern->context.get(), std::numeric_limits<std::uint32_t>::max());
    Pretokenizer made;
    made.name_ = name;
    made.whole_words_first_ = known.whole_words_first;
    made.pattern_ = std::move(pattern);
    return made;
  }
  return Error{
      ErrorCode::kUnsupported,
      cat("the pre-tokenizer ", name.empty() ? "(none)" : printable(name),
          " is not known to this version; gpt-2, llama-bpe, qwen2, smollm and gpt-4o are")};
}

std::optional<std::string_view> Pretokenizer::name_of(std::string_view published) {
  for (const KnownPattern& known : kPatterns) {
    if (known.published == published) return known.name;
  }
  return std::nullopt;
}

void Pretokenizer::split(std::string_view text,
                         const std::function<void(std::string_view)>& word) const {
  const std::unique_ptr<pcre2_match_data, MatchFree> data(
      pcre2_match_data_create_from_pattern(pattern_->code, nullptr));
  while (!text.empty()) {
    const std::size_t broken = ill_formed_prefix(text);
    if (broken > 0) word(text.substr(0, broken));
    text.remove_prefix(broken);
    std::string_view run = text.substr(0, utf8_prefix(text));
    text.remove_prefix(run.size());
    while (!run.empty()) {
      // Every character begins a match of one of the alternatives; should PCRE2 run out of memory,
      // the rest is one word.
      const std::size_t length = data ? pattern_->match(run, data.get()) : 0;
      word(run.substr(0, length > 0 ? length : run.size()));
      run.remove_prefix(length > 0 ? length : run.size());
    }
  }
}

} // namespace coppice
