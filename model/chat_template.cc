// SPDX-License-Identifier: Apache-2.0
#include "model/chat_template.h"

#include <utility>

#include "base/text.h"
#include "model/utf8.h"

namespace coppice {
namespace {

// A format: what opens and closes each turn. The marks in it are control tokens where the
// vocabulary has them, and plain text where it hasn't.
struct Format {
  ChatFamily family;
  std::string_view name;
  std::string_view system; // "" where the text goes before the user's own
  std::string_view user;
  std::string_view prompt_end; // of turns that aren't the assistant's
  std::string_view answer;
  std::string_view answer_end; // one token; "" for the vocabulary's EOS
  std::string_view gap;        // after an answer, before the next turn
  bool trims;                  // white space around texts, as the family's own templates do
};

constexpr Format kFormats[] = {
    {ChatFamily::kPlain, "plain", "", "", "\n", "", "", "\n", false},
    {ChatFamily::kCoppice, "coppice", "", "<|user|>", "", "<|assistant|>", "<|endoftext|>", "",
     false},
    {ChatFamily::kLlama3, "llama3", "<|start_header_id|>system<|end_header_id|>\n\n",
     "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>",
     "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", "", true},
    {ChatFamily::kChatMl, "chatml", "<|im_start|>system\n", "<|im_start|>user\n", "<|im_end|>\n",
     "<|im_start|>assistant\n", "<|im_end|>", "\n", false},
    {ChatFamily::kZephyr, "zephyr", "<|system|>\n", "<|user|>\n", "</s>\n", "<|assistant|>\n",
     "</s>", "\n", false},
    {ChatFamily::kPhi3, "phi3", "<|system|>\n", "<|user|>\n", "<|end|>\n", "<|assistant|>\n",
     "<|end|>", "\n", false},
    {ChatFamily::kPhi4Mini, "phi4-mini", "<|system|>", "<|user|>", "<|end|>", "<|assistant|>",
     "<|end|>", "", false},
    {ChatFamily::kPhi4, "phi4", "<|im_start|>system<|im_sep|>", "<|im_start|>user<|im_sep|>",
     "<|im_end|>", "<|im_start|>assistant<|im_sep|>", "<|im_end|>", "", false},
    {ChatFamily::kGemma, "gemma", "", "<start_of_turn>user\n", "<end_of_turn>\n",
     "<start_of_turn>model\n", "<end_of_turn>", "\n", true},
    {ChatFamily::kBitNet, "bitnet", "System: ", "User: ", "<|eot_id|>", "Assistant: ", "<|eot_id|>",
     "", true},
};
constexpr std::string_view kMarks[] = {
    "<|user|>",   "<|assistant|>",   "<|system|>",    "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<|im_start|>",    "<|im_sep|>",    "<|im_end|>",          "</s>",
    "<|end|>",    "<start_of_turn>", "<end_of_turn>", "<|endoftext|>",
};

std::string_view trimmed(std::string_view text, const Format& format) {
  return format.trims ? without_trailing_space(without_leading_space(text)) : text;
}

const Format& format_of(ChatFamily family) { return kFormats[static_cast<std::size_t>(family)]; }

std::optional<TokenId> ending_of(const Tokenizer& tokenizer, const Format& format) {
  return format.answer_end.empty() ? tokenizer.eos() : tokenizer.find(format.answer_end);
}

// Text and control tokens after one another. Neighbouring stretches of text are encoded together,
// as they would be in the rendered whole.
class Composer {
 public:
  Composer(const Tokenizer& tokenizer, std::vector<TokenId>& ids)
      : tokenizer_(tokenizer), ids_(ids) {}
  ~Composer() { flush(); }
  Composer(const Composer&) = delete;
  Composer& operator=(const Composer&) = delete;

  void text(std::string_view text) {
    pending_ += strips_ && pending_.empty() ? without_leading_space(text) : text;
  }

  void format(std::string_view text) {
    while (!text.empty()) {
      const std::string_view mark = mark_at(text);
      const auto id = mark.empty() ? std::nullopt : tokenizer_.find(mark);
      const std::size_t length = std::max<std::size_t>(mark.size(), 1);
      if (id) {
        put_mark(*id);
      } else {
        this->text(text.substr(0, length));
      }
      text.remove_prefix(length);
    }
  }

  void put_mark(TokenId id) {
    const StripSides strips = tokenizer_.strips(id);
    if (strips.before) pending_.resize(without_trailing_space(pending_).size());
    flush();
    ids_.push_back(id);
    strips_ = strips.after;
  }

  // White space beside a mark that strips it is lost, whoever wrote it: so it is in the models' own
  // tokenizers.
  void flush() {
    if (pending_.empty()) return;
    const auto more = tokenizer_.encode(pending_);
    ids_.insert(ids_.end(), more.begin(), more.end());
    pending_.clear();
  }

 private:
  static std::string_view mark_at(std::string_view text) {
    for (const std::string_view mark : kMarks) {
      if (text.starts_with(mark)) return mark;
    }
    return {};
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenId>& ids_;
  std::string pending_;
  bool strips_ = false; // the last mark takes the white space after it
};

// The same as text.
class Renderer {
 public:
  void text(std::string_view text) { out_ += text; }
  void format(std::string_view text) { out_ += text; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// `end` writes what ends an answer.
template <typename Out, typename End>
void put_messages(Out& out, const Format& format, std::span<const ChatMessage> messages,
                  bool opens_answer, const End& end) {
  std::string before; // a system text that waits for the user's turn
  for (const ChatMessage& message : messages) {
    const std::string_view text = trimmed(message.text, format);
    if (message.role == ChatRole::kSystem && format.system.empty()) {
      before += cat(message.text, "\n\n");
      continue;
    }
    const bool answers = message.role == ChatRole::kAssistant;
    out.format(answers                             ? format.answer
               : message.role == ChatRole::kSystem ? format.system
                                                   : format.user);
    if (!answers) out.text(std::exchange(before, {}));
    out.text(text);
    if (answers) end();
    out.format(answers ? format.gap : format.prompt_end);
  }
  if (opens_answer) out.format(format.answer);
}

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
  // BitNet has Llama 3's vocabulary.
  if (!program.empty() && has("<|eot_id|>") && has("capitalize")) return ChatFamily::kBitNet;
  if (has("<|im_sep|>")) return ChatFamily::kPhi4;
  if (has("<|im_start|>")) return ChatFamily::kChatMl;
  if (has("<start_of_turn>")) return ChatFamily::kGemma;
  if (!has("<|assistant|>")) return ChatFamily::kPlain;
  if (has("<|end|>")) {
    // Phi-4-mini's program makes its marks from the roles' names, and its vocabulary has tools.
    const bool mini = program.empty() ? has("<|tool|>") : !has("<|user|>");
    return mini ? ChatFamily::kPhi4Mini : ChatFamily::kPhi3;
  }
  if (has("<|endoftext|>")) return ChatFamily::kCoppice;
  return has("</s>") || has("eos_token") ? ChatFamily::kZephyr : ChatFamily::kPlain;
}

std::string render_chat(ChatFamily family, std::span<const ChatMessage> messages,
                        bool opens_answer) {
  const Format& format = format_of(family);
  Renderer out;
  put_messages(out, format, messages, opens_answer, [&] { out.format(format.answer_end); });
  return out.take();
}

std::vector<TokenId> tokenize_chat(const Tokenizer& tokenizer, ChatFamily family,
                                   std::span<const ChatMessage> messages, bool opens_answer) {
  const Format& format = format_of(family);
  std::vector<TokenId> ids;
  if (tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
  Composer composer(tokenizer, ids);
  put_messages(composer, format, messages, opens_answer, [&] {
    const auto end = ending_of(tokenizer, format);
    if (end) composer.put_mark(*end);
  });
  composer.flush();
  return ids;
}

ChatTokens tokenize_chat(const Tokenizer& tokenizer, ChatFamily family, std::string_view prompt,
                         std::string_view response) {
  const Format& format = format_of(family);
  ChatTokens tokens;
  const ChatMessage message{ChatRole::kUser, std::string(prompt)};
  tokens.prompt = tokenize_chat(tokenizer, family, std::span(&message, 1), true);
  const std::string_view answer = trimmed(response, format);
  const bool strips = !tokens.prompt.empty() && tokenizer.strips(tokens.prompt.back()).after;
  tokens.response = tokenizer.encode(strips ? without_leading_space(answer) : answer);
  if (const auto end = ending_of(tokenizer, format)) tokens.response.push_back(*end);
  return tokens;
}

} // namespace coppice
