// SPDX-License-Identifier: Apache-2.0
#include "sim/people_clients.h"

#include <algorithm>

#include "base/append.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "sim/draws.h"
#include "sim/partitions.h"
#include "sim/people.h"
#include "sim/people_tasks.h"

namespace coppice {
namespace {

constexpr std::uint64_t kPortionBytes = 1000; // of one subject: about a piece
constexpr std::uint64_t kMaxClientBytes = std::uint64_t{64} << 20U;

std::vector<Piece> pieces_of_person(const Person& person, std::uint64_t seed, std::uint64_t bytes) {
  auto documents = write_documents(person, seed, static_cast<std::size_t>(bytes));
  std::ranges::sort(documents, {}, &Document::file_name); // as a device reads its folder
  std::vector<Piece> pieces;
  for (const Document& document : documents) {
    append(pieces, pieces_of_file(document.file_name, document.text, nullptr));
  }
  return pieces;
}

class PeopleClients final : public ClientData {
 public:
  PeopleClients(const DataSettings& settings, std::uint64_t devices, std::uint64_t seed)
      : ClientData(settings.held_out, seed), settings_(settings), devices_(devices), seed_(seed) {}

  std::uint64_t clients() const override { return devices_; }
  std::string name(std::uint64_t client) const override {
    return is_one_person() ? make_person(seed_, client).name : cat("client-", client);
  }
  Result<std::vector<Piece>> pieces(std::uint64_t client) const override {
    if (is_one_person()) {
      return pieces_of_person(make_person(seed_, client), seed_, text_bytes(client));
    }
    std::vector<Piece> pieces;
    const std::vector<std::uint64_t> portions = portions_by_subject(client);
    for (std::size_t subject = 0; subject < portions.size(); ++subject) {
      if (portions[subject] == 0) continue;
      const Person author = make_person(seed_, person_of_subject(seed_, client, subject));
      append(pieces, pieces_of_person(author, seed_, portions[subject] * kPortionBytes));
    }
    return pieces;
  }
  std::uint64_t bytes(std::uint64_t client) const override { return text_bytes(client) / 10 * 8; }
  std::vector<std::string> labels() const override { return people_subjects(); }
  std::vector<std::uint64_t> label_bytes(std::uint64_t client) const override {
    if (!is_one_person()) {
      std::vector<std::uint64_t> bytes = portions_by_subject(client);
      for (std::uint64_t& subject : bytes) subject *= kPortionBytes;
      return bytes;
    }
    std::vector<std::uint64_t> bytes(people_subject_count());
    bytes[make_person(seed_, client).subject_index] = text_bytes(client);
    return bytes;
  }
  // The generator is part of the program: what it writes for one person stands for its version.
  Sha256 hash() const override {
    constexpr std::uint64_t kSampleBytes = 4000;
    Sha256Hasher hasher;
    hasher.update(as_bytes(cat("coppice people 1\n", partition_name(settings_.partition), ' ',
                               seed_, ' ', devices_, ' ', settings_.bytes_each, '\n')));
    const double numbers[] = {settings_.alpha, settings_.sigma};
    hasher.update(as_bytes(std::span<const double>(numbers)));
    hasher.update(as_bytes(std::span<const std::uint32_t>(&settings_.labels_per_client, 1)));
    for (const Piece& piece : pieces_of_person(make_person(seed_, 0), seed_, kSampleBytes)) {
      hasher.update(as_bytes(piece.text));
    }
    return hasher.finish();
  }

 private:
  bool is_one_person() const {
    return settings_.partition == Partition::kByUser || settings_.partition == Partition::kQuantity;
  }
  std::uint64_t text_bytes(std::uint64_t client) const {
    if (settings_.partition != Partition::kQuantity) return settings_.bytes_each;
    const double weight = quantity_weight(seed_, client, settings_.sigma) /
                          portable_exp(settings_.sigma * settings_.sigma / 2); // of mean 1
    const double wanted = static_cast<double>(settings_.bytes_each) * weight;
    return static_cast<std::uint64_t>(
        std::clamp(wanted, 1.0, static_cast<double>(kMaxClientBytes)));
  }
  // How many portions of each subject: drawn from the client's mixture, or in equal parts.
  std::vector<std::uint64_t> portions_by_subject(std::uint64_t client) const {
    const std::uint64_t portions = std::max<std::uint64_t>(1, settings_.bytes_each / kPortionBytes);
    const std::size_t subjects = people_subject_count();
    if (settings_.partition == Partition::kPathological) {
      std::vector<std::uint64_t> counts(subjects);
      const auto has = pathological_labels(seed_, client, static_cast<std::uint32_t>(subjects),
                                           settings_.labels_per_client);
      for (const std::uint32_t subject : has) {
        counts[subject] = std::max<std::uint64_t>(1, portions / has.size());
      }
      return counts;
    }
    if (settings_.partition == Partition::kIid) {
      return draw_counts(std::vector<double>(subjects, 1), portions, client);
    }
    KeyedRandom random = data_stream(seed_, DataDraw::kMixture, client);
    return draw_counts(draw_dirichlet(random, std::vector<double>(subjects, settings_.alpha)),
                       portions, client);
  }
  std::vector<std::uint64_t> draw_counts(const std::vector<double>& mixture, std::uint64_t draws,
                                         std::uint64_t client) const {
    std::vector<double> up_to(mixture.size());
    double sum = 0;
    for (std::size_t i = 0; i < mixture.size(); ++i) up_to[i] = sum += mixture[i];
    KeyedRandom random = data_stream(seed_, DataDraw::kPortions, client);
    std::vector<std::uint64_t> counts(mixture.size());
    for (std::uint64_t i = 0; i < draws; ++i) {
      const auto drawn = std::ranges::upper_bound(up_to, random.uniform_double() * sum);
      ++counts[static_cast<std::size_t>(std::min(drawn, up_to.end() - 1) - up_to.begin())];
    }
    return counts;
  }

  DataSettings settings_;
  std::uint64_t devices_;
  std::uint64_t seed_;
};

// Answers that differ by client.
class TaskClients final : public ClientData {
 public:
  TaskClients(const DataSettings& settings, std::uint64_t devices, std::uint64_t seed)
      : ClientData(settings.held_out, seed), settings_(settings), devices_(devices), seed_(seed) {}

  std::uint64_t clients() const override { return devices_; }
  std::string name(std::uint64_t client) const override { return make_person(seed_, client).name; }
  Result<std::vector<Piece>> pieces(std::uint64_t client) const override {
    return task_pieces(settings_.task, seed_, client, settings_.bytes_each);
  }
  std::uint64_t bytes(std::uint64_t client) const override { return all_bytes(client) / 10 * 8; }
  std::vector<std::string> labels() const override { return task_labels(settings_.task); }
  std::vector<std::uint64_t> label_bytes(std::uint64_t client) const override {
    std::vector<std::uint64_t> bytes(labels().size());
    bytes[task_label(settings_.task, seed_, client)] = all_bytes(client);
    return bytes;
  }
  // As of people: the first client's rows stand for the generator's version.
  Sha256 hash() const override {
    Sha256Hasher hasher;
    hasher.update(as_bytes(cat("coppice tasks 1\n", task_name(settings_.task), ' ', seed_, ' ',
                               devices_, ' ', settings_.bytes_each, '\n')));
    for (const Piece& piece : task_pieces(settings_.task, seed_, 0, settings_.bytes_each)) {
      hasher.update(as_bytes(cat(piece.text, '\n', piece.response, '\n')));
    }
    return hasher.finish();
  }

 private:
  std::uint64_t all_bytes(std::uint64_t client) const {
    std::uint64_t sum = 0;
    for (const Piece& piece : task_pieces(settings_.task, seed_, client, settings_.bytes_each)) {
      sum += piece.text.size() + piece.response.size();
    }
    return sum;
  }

  DataSettings settings_;
  std::uint64_t devices_;
  std::uint64_t seed_;
};

} // namespace

Result<std::unique_ptr<ClientData>> open_people(const DataSettings& settings, std::uint64_t devices,
                                                std::uint64_t seed) {
  const auto wrong = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  };
  if (devices == 0) return wrong("people are as many as you like: say so in population.devices");
  if (settings.bytes_each == 0 || settings.bytes_each > kMaxClientBytes) {
    return wrong(cat("data.bytes_each must be from 1 to ", kMaxClientBytes));
  }
  COPPICE_TRY(check_partition_numbers(settings));
  if (settings.task != DataTask::kNone) {
    if (settings.partition != Partition::kByUser) {
      return wrong(cat("data.partition is ", partition_name(settings.partition), ", and under ",
                       "data.task = ", task_name(settings.task),
                       " each client has rows of its own; take by-user"));
    }
    return std::unique_ptr<ClientData>(std::make_unique<TaskClients>(settings, devices, seed));
  }
  switch (settings.partition) {
    case Partition::kShards:
    case Partition::kDrift:
      return wrong(cat("data.partition is ", partition_name(settings.partition),
                       ", which cuts a finite source, and there is no end of people; take "
                       "dirichlet or pathological"));
    case Partition::kPathological:
      if (settings.labels_per_client > people_subject_count()) {
        return wrong(cat("data.labels_per_client must be at most ", people_subject_count()));
      }
      break;
    default: break;
  }
  return std::unique_ptr<ClientData>(std::make_unique<PeopleClients>(settings, devices, seed));
}

} // namespace coppice
