// SPDX-License-Identifier: Apache-2.0
// Drives a fuzz target without libFuzzer: seeds, corpus files, their prefixes, then mutations that
// are the same in every run. Takes libFuzzer's flags -runs, -max_total_time (seconds), -max_len and
// -seed.
//
// A crash writes the input to ./crash-input and exits with 77, as libFuzzer does.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <iostream>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

struct Options {
  std::uint64_t runs = 20000;
  std::uint64_t max_total_time = 2;
  std::uint64_t max_len = 16384;
  std::uint64_t seed = 1;
  std::vector<fs::path> folders;
};

const std::uint8_t* current_input = nullptr; // for the handler
std::size_t current_size = 0;

extern "C" void save_input_and_exit(int) {
  const int file = ::open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const bool saved =
      file >= 0 && ::write(file, current_input, current_size) == static_cast<ssize_t>(current_size);
  constexpr std::string_view kSaved = "crashed; the input is in ./crash-input\n";
  constexpr std::string_view kLost = "crashed, and the input could not be saved\n";
  const std::string_view words = saved ? kSaved : kLost;
  if (::write(STDERR_FILENO, words.data(), words.size()) < 0) ::_exit(78);
  ::_exit(77);
}

void run_one(const Bytes& input) {
  // A copy of exactly this size: a sanitizer sees a read past its end.
  const std::unique_ptr<std::uint8_t[]> exact(
      new std::uint8_t[input.size() + (input.empty() ? 1 : 0)]);
  std::ranges::copy(input, exact.get());
  current_input = exact.get();
  current_size = input.size();
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

std::optional<Options> parse_options(std::span<char*> arguments) {
  Options options;
  const std::pair<std::string_view, std::uint64_t*> flags[] = {
      {"-runs=", &options.runs},
      {"-max_total_time=", &options.max_total_time},
      {"-max_len=", &options.max_len},
      {"-seed=", &options.seed}};
  for (const std::string_view argument : arguments) {
    if (!argument.starts_with("-")) {
      options.folders.emplace_back(argument);
      continue;
    }
    const auto* const flag = std::ranges::find_if(
        flags, [&](const auto& known) { return argument.starts_with(known.first); });
    if (flag == std::end(flags)) return std::nullopt;
    const std::string_view number = argument.substr(flag->first.size());
    const auto parsed =
        std::from_chars(number.data(), number.data() + number.size(), *flag->second);
    if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size())
      return std::nullopt;
  }
  return options;
}

std::vector<Bytes> load_corpus(const Options& options) {
  std::vector<Bytes> corpus = fuzz_seeds();
  for (const fs::path& folder : options.folders) {
    if (!fs::is_directory(folder)) {
      corpus.push_back(read_file(folder, SIZE_MAX).value()); // one input, to reproduce a crash
      continue;
    }
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(folder)) files.push_back(file.path());
    std::ranges::sort(files);
    for (const fs::path& file : files) corpus.push_back(read_file(file, SIZE_MAX).value());
  }
  return corpus;
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& corpus, const Options& options)
      : corpus_(corpus),
        max_len_(options.max_len),
        random_({.experiment = options.seed, .purpose = RandomPurpose::kTest}) {}

  Bytes next() {
    Bytes input = corpus_[below(corpus_.size())];
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(input);
    if (input.size() > max_len_) input.resize(max_len_);
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_.next_u64() % bound; }
  auto at(const Bytes& input, std::size_t position) {
    return input.begin() + static_cast<std::ptrdiff_t>(position);
  }

  void change(Bytes& input) {
    const std::size_t position = below(input.size());
    const std::size_t length = below(std::min<std::size_t>(64, input.size() - position) + 1);
    switch (below(8)) {
      case 0: // a bit
        if (!input.empty()) input[position] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1: // a byte
        if (!input.empty()) input[position] = static_cast<std::uint8_t>(random_.next_u32());
        break;
      case 2: overwrite(input, position, below(2) == 0 ? 4 : 8); break;
      case 3: input.erase(at(input, position), at(input, position + length)); break;
      case 4: input.resize(position); break;
      case 5: { // a piece again, elsewhere
        const Bytes piece(at(input, position), at(input, position + length));
        input.insert(at(input, below(input.size() + 1)), piece.begin(), piece.end());
        break;
      }
      case 6: { // the tail of another
        const Bytes& other = corpus_[below(corpus_.size())];
        input.resize(position);
        input.insert(input.end(), at(other, below(other.size())), other.end());
        break;
      }
      default: input.insert(at(input, position), static_cast<std::uint8_t>(random_.next_u32()));
    }
  }

  // A number at which counts, lengths and products tip over.
  void overwrite(Bytes& input, std::size_t position, std::size_t width) {
    if (input.size() < position + width) return;
    const std::uint64_t power = std::uint64_t{1} << below(64);
    const std::uint64_t value = power + below(3) - 1; // one less, itself, one more
    std::memcpy(input.data() + position, &value, width);
  }

  const std::vector<Bytes>& corpus_;
  std::size_t max_len_;
  KeyedRandom random_;
};

int drive(std::span<char*> arguments) {
  const auto options = parse_options(arguments);
  if (!options) {
    std::cerr
        << "usage: fuzz_NAME [-runs=N] [-max_total_time=S] [-max_len=N] [-seed=N] [FILE|DIR]...\n";
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal, save_input_and_exit);
  }
  const std::vector<Bytes> corpus = load_corpus(*options);
  if (corpus.empty()) {
    std::cerr << "there is neither a seed nor a corpus file\n";
    return 2;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options->max_total_time);
  const auto in_time = [end] { return std::chrono::steady_clock::now() < end; };
  std::uint64_t done = 0;
  for (const Bytes& seed : corpus) {
    run_one(seed);
    ++done;
  }
  constexpr std::size_t kMostPrefixes = 2048; // the heads of files, where the structure is
  for (const Bytes& seed : corpus) {
    for (std::size_t cut = 0; cut < std::min(seed.size(), kMostPrefixes) && in_time();
         ++cut, ++done) {
      run_one(Bytes(seed.begin(), seed.begin() + static_cast<std::ptrdiff_t>(cut)));
    }
  }
  Mutator mutator(corpus, *options);
  std::uint64_t mutations = 0;
  for (; mutations < options->runs && in_time(); ++mutations) run_one(mutator.next());
  std::cout << "done " << done << " seeds and prefixes, " << mutations << " mutations\n";
  return 0;
}

} // namespace
} // namespace coppice

int main(int count, char** arguments) {
  return coppice::drive({arguments + 1, static_cast<std::size_t>(count - 1)});
}
