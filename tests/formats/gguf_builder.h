// SPDX-License-Identifier: Apache-2.0
// GGUF bytes written field by field, so that tests can lie in any of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace coppice {

struct LyingTensor {
  std::string name = "t";
  std::vector<std::uint64_t> dims = {8};
  std::uint32_t type = 0; // F32
  std::uint64_t offset = 0;
};

struct LyingGguf {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::vector<Bytes> entries = {}; // each one encoded
  std::vector<LyingTensor> tensors = {};
  std::uint64_t data_bytes = 32;
  std::uint64_t extra_entries = 0; // claimed, and not there
  std::uint64_t extra_tensors = 0;

  Bytes bytes() const {
    ByteWriter out;
    out.put_raw(as_bytes(magic));
    out.put(version);
    out.put(tensors.size() + extra_tensors);
    out.put(entries.size() + extra_entries);
    for (const Bytes& entry : entries) out.put_raw(entry);
    for (const LyingTensor& tensor : tensors) {
      out.put(std::uint64_t{tensor.name.size()});
      out.put_raw(as_bytes(tensor.name));
      out.put(static_cast<std::uint32_t>(tensor.dims.size()));
      for (const std::uint64_t dim : tensor.dims) out.put(dim);
      out.put(tensor.type);
      out.put(tensor.offset);
    }
    Bytes made = std::move(out).take();
    made.resize((made.size() + 31) / 32 * 32 + data_bytes, 1);
    return made;
  }
};

// KEY, TYPE, and `fields` in order.
template <typename... Fields>
Bytes gguf_entry(std::string_view key, std::uint32_t type, Fields... fields) {
  ByteWriter out;
  out.put(std::uint64_t{key.size()});
  out.put_raw(as_bytes(key));
  out.put(type);
  (out.put(fields), ...);
  return std::move(out).take();
}

} // namespace coppice
