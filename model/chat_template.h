// SPDX-License-Identifier: Apache-2.0
// A conversation, or one exchange, in the format that the base model was taught.
//
// A GGUF file holds its format as a program in Jinja. That isn't run: the families of formats that
// models share are built in, and the file's text only tells which it is. System prompts that some
// templates add by themselves (Qwen 2's, SmolLM's, Llama 3.1's dates) are left out. What people
// wrote is text: control tokens spelled in it stay text, so nobody's words can open or close a
// turn. Pure functions: thread-safe.
#pragma once

#include "model/base_model.h"

namespace coppice {

enum class ChatFamily : std::uint8_t {
  kPlain,    // prompt, new line, response, EOS: models without a format
  kCoppice,  // <|user|>...<|assistant|>...<|endoftext|>
  kLlama3,   // <|start_header_id|>user<|end_header_id|>...<|eot_id|>
  kChatMl,   // <|im_start|>user...<|im_end|> (Qwen, SmolLM)
  kZephyr,   // <|user|>...</s> on lines of their own (TinyLlama)
  kPhi3,     // <|user|>...<|end|> on lines of their own
  kPhi4Mini, // <|user|>...<|end|>
  kPhi4,     // <|im_start|>user<|im_sep|>...<|im_end|>
  kGemma,    // <start_of_turn>user...<end_of_turn>
  kBitNet,   // User: ...<|eot_id|>
};
std::string_view chat_family_name(ChatFamily family); // "plain", "coppice", "llama3", ...

enum class ChatRole : std::uint8_t { kSystem, kUser, kAssistant };
struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string text;
};

// By tokenizer.chat_template if the file has one of a known family, else by the control tokens that
// the vocabulary has, else kPlain.
ChatFamily detect_chat_family(const BaseModel& base);

// The messages in the order of the conversation; system messages stand first, and go into the
// user's turn where the family has none of their own. `opens_answer`: what opens the assistant's
// next turn follows.
std::vector<TokenId> tokenize_chat(const Tokenizer& tokenizer, ChatFamily family,
                                   std::span<const ChatMessage> messages, bool opens_answer);
// The same as text, control tokens spelled, without BOS: what the family's template renders.
std::string render_chat(ChatFamily family, std::span<const ChatMessage> messages,
                        bool opens_answer);

// One exchange, apart: only the response is learnt.
struct ChatTokens {
  std::vector<TokenId> prompt;   // all up to where the response begins, BOS if the file asks for it
  std::vector<TokenId> response; // with the token that ends it, if the family has one here
};
// For generation leave `response` empty and use ChatTokens::prompt.
ChatTokens tokenize_chat(const Tokenizer& tokenizer, ChatFamily family, std::string_view prompt,
                         std::string_view response);

} // namespace coppice
