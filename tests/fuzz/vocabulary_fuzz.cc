// SPDX-License-Identifier: Apache-2.0
// A model's configuration and vocabulary: whatever the file says, what is accepted encodes any
// bytes, within the vocabulary, and byte-level vocabularies give them back.
#include "base/check.h"
#include "model/model_config.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

// A merge takes nine bytes of the file at least, and up to four slots of 24 bytes of a table that
// is a power of two and at most half full.
constexpr std::size_t kBytesAFileByte = 16;

Bytes vocabulary_file(std::map<std::string, GgufMetadata> metadata) {
  TinyModel model;
  model.metadata = std::move(metadata);
  model.metadata["general.architecture"] = std::string("llama");
  model.metadata["llama.block_count"] = std::uint32_t{2};
  model.metadata["llama.context_length"] = std::uint32_t{64};
  model.metadata["llama.embedding_length"] = std::uint32_t{32};
  model.metadata["llama.feed_forward_length"] = std::uint32_t{64};
  model.metadata["llama.attention.head_count"] = std::uint32_t{4};
  return model.encode();
}

void encode_and_decode(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_bos = special, .parse_special = special});
    for (const TokenId id : ids) {
      COPPICE_CHECK(id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocabulary_size());
      tokenizer.ends_generation(id);
    }
    tokenizer.decode(ids);
  }
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {vocabulary_file(TinyModel::byte_vocabulary()),
          vocabulary_file(TinyModel::piece_vocabulary())};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const auto file = GgufFile::parse(ByteSpan(data, size));
  if (!file) return 0;
  const AllocationLimit limit(kBytesAFileByte * size + AllocationLimit::kSlack);
  if (const auto config = read_model_config(*file)) {
    COPPICE_CHECK(config->rope_width <= config->head_width && config->layers > 0);
  }
  const auto tokenizer = Tokenizer::from_gguf(*file);
  if (!tokenizer) return 0;
  encode_and_decode(**tokenizer, "Hello hello, 1234 \xE2\x96\x81\xFF\xC3<s><|user|>\n\n aaaa");
  encode_and_decode(**tokenizer, as_text(file->bytes().first(std::min<std::size_t>(size, 256))));
  return 0;
}
