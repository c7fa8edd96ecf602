// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer.h"

#include "base/text.h"
#include "model/bpe_tokenizer.h"
#include "model/spm_tokenizer.h"

namespace coppice {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(const GgufFile& file) {
  const auto model = COPPICE_TRY(file.get_string("tokenizer.ggml.model"));
  if (model == "gpt2") return BpeTokenizer::from_gguf(file);
  if (model == "llama") return SpmTokenizer::from_gguf(file);
  return Error{
      ErrorCode::kUnsupported,
      cat(file.name(), ": the tokenizer model ", model,
          " is not known to this version; gpt2 (byte-level BPE) and llama (SentencePiece) are")};
}

} // namespace coppice
