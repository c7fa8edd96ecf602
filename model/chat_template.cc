// SPDX-License-Identifier: Apache-2.0
#include "model/chat_template.h"

#include "base/text.h"

namespace coppice {
namespace {

// A format, in order: what opens the user's turn, closes it and opens the answer; what closes the
// answer. `marks` are control tokens where the vocabulary has them, and plain text where it hasn't.
struct Format {
  ChatFamily family;
  std::string_view name;
  std::string_view open;
  std::string_view between;
  std::string_view close; // one token; "" for the vocabulary's EOS
  bool trims;             // white space around both texts, as the family's own templates do
};

constexpr Format kFormats[] = {
    {ChatFamily::kPlain, "plain", "", "\n", "", false},
    {ChatFamily::kCoppice, "coppice", "<|user|>", "<|assistant|>", "<|endoftext|>", false},
    {ChatFamily::kLlama3, "llama3", "<|start_header_id|>user<|end_header_id|>\n\n",
     "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", true},
    {ChatFamily::kChatMl, "chatml", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n",
     "<|im_end|>", false},
    {ChatFamily::kZephyr, "zephyr", "<|user|>\n", "</s>\n<|assistant|>\n", "</s>", false},
    {ChatFamily::kPhi3, "phi3", "<|user|>\n", "<|end|>\n<|assistant|>\n", "<|end|>", false},
    {ChatFamily::kGemma, "gemma", "<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n",
     "<end_of_turn>", true},
};
constexpr std::string_view kMarks[] = {
    "<|user|>",   "<|assistant|>",   "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<|im_start|>",    "<|im_end|>",          "</s>",
    "<|end|>",    "<start_of_turn>", "<end_of_turn>",
};

const Format& format_of(ChatFamily family) { return kFormats[static_cast<std::size_t>(family)]; }

// Text and control tokens after one another. Neighbouring stretches of text are encoded together,
// as they would be in the rendered whole.
class Composer {
 public:
  Composer(const Tokenizer& tokenizer, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), ids_(ids) {}
  ~Composer() { flush(); }
  Composer(const Composer&) = delete;
  Composer& operator=(const Composer&) = delete;

  void text(std::string_view text) { pending_ += text; }

  void format(std::string_view text) {
    while (!text.empty()) {
      const std::string_view mark = mark_at(text);
      const auto id = mark.empty() ? std::nullopt : tokenizer_.find(mark);
      const std::size_t length = std::max<std::size_t>(mark.size(), 1);
      if (id) {
        flush();
        ids_.push_back(*id);
      } else {
        pending_ += text.substr(0, length);
      }
      text.remove_prefix(length);
    }
  }

 private:
  static std::string_view mark_at(std::string_view text) {
    for (const std::string_view mark : kMarks) {
      if (text.starts_with(mark)) return mark;
    }
    return {};
  }
  void flush() {
    if (pending_.empty()) return;
    const auto more = tokenizer_.encode(pending_);
    ids_.insert(ids_.end(), more.begin(), more.end());
    pending_.clear();
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenId>& ids_;
  std::string pending_;
};

} // namespace

std::string_view chat_family_name(ChatFamily family) { return format_of(family).name; }

ChatFamily detect_chat_family(const BaseModel& base) {
  const auto text = base.file().get_string_or("tokenizer.chat_template", "");
  const std::string_view program = text.ok() ? *text : std::string_view();
  const auto has = [&](std::string_view mark) {
    return program.empty() ? base.tokenizer().find(mark).has_value()
                           : program.find(mark) != std::string_view::npos;
  };
  if (has("<|start_header_id|>")) return ChatFamily::kLlama3;
  if (has("<|im_start|>")) return ChatFamily::kChatMl;
  if (has("<start_of_turn>")) return ChatFamily::kGemma;
  if (!has("<|assistant|>")) return ChatFamily::kPlain;
  if (has("<|end|>")) return ChatFamily::kPhi3;
  if (has("<|endoftext|>")) return ChatFamily::kCoppice;
  return has("</s>") || has("eos_token") ? ChatFamily::kZephyr : ChatFamily::kPlain;
}

ChatTokens tokenize_chat(const Tokenizer& tokenizer, ChatFamily family, std::string_view prompt,
                         std::string_view response) {
  const Format& format = format_of(family);
  ChatTokens tokens;
  if (tokenizer.add_bos() && tokenizer.bos()) tokens.prompt.push_back(*tokenizer.bos());
  {
    Composer composer(tokenizer, tokens.prompt);
    composer.format(format.open);
    composer.text(format.trims ? trim(prompt) : prompt);
    composer.format(format.between);
  }
  tokens.response = tokenizer.encode(format.trims ? trim(response) : response);
  const auto close = format.close.empty() ? tokenizer.eos() : tokenizer.find(format.close);
  if (close) tokens.response.push_back(*close);
  return tokens;
}

} // namespace coppice
