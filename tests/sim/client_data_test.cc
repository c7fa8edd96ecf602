// SPDX-License-Identifier: Apache-2.0
// Sources of text, and who has what of them.
#include "sim/client_data.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "base/text.h"
#include "crypto/hash.h"
#include "sim/data_skew.h"
#include "sim/people.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kSeed = 8;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  ASSERT_TRUE(write_file_atomically(path, as_bytes(text)).ok());
}

std::vector<Piece> pieces_of(const ClientData& data, std::uint64_t client) {
  return data.pieces(client).value();
}

std::vector<std::string> texts_of(const ClientData& data, std::uint64_t client) {
  std::vector<std::string> texts;
  for (const Piece& piece : pieces_of(data, client)) texts.push_back(piece.text);
  return texts;
}

Error refusal(const DataSettings& settings, const fs::path& folder, std::uint64_t devices = 0) {
  auto opened = open_client_data(settings, folder, devices, kSeed);
  EXPECT_FALSE(opened.ok());
  return opened.ok() ? Error{ErrorCode::kInternal, "it opened"} : opened.error();
}

class ClientDataOf : public ::testing::Test {
 protected:
  const fs::path& at() const { return folder_.path(); }
  TestFolder folder_;
};

TEST_F(ClientDataOf, TsvIsByUserAndUnescaped) {
  write(at() / "s.tsv",
        "play\tspeaker\ttext\r\n"
        "hamlet\tGHOST\tMark me.\r\n"
        "macbeth\tGHOST\tHow now\\nwho's there\\\\?\r\n"
        "\r\n"
        "hamlet\tGHOST\tI will.\r\n"
        "hamlet\tALL\t \r\n");
  const auto data = open_client_data({.source = DataSource::kTsv,
                                      .path = "s.tsv",
                                      .user_column = "play,speaker",
                                      .label_column = "play"},
                                     at(), 0, kSeed)
                        .value();
  ASSERT_EQ(data->clients(), 2U);
  EXPECT_EQ(data->name(0), "hamlet/GHOST");
  EXPECT_THAT(texts_of(*data, 0), ElementsAre("Mark me.", "I will."));
  EXPECT_THAT(texts_of(*data, 1), ElementsAre("How now\nwho's there\\?"));
  EXPECT_THAT(data->labels(), ElementsAre("hamlet", "macbeth"));
  EXPECT_THAT(data->label_bytes(0), ElementsAre(15U, 0U));
}

TEST_F(ClientDataOf, JsonlKeepsInstructionsAndNamesByFields) {
  write(at() / "r.jsonl", R"({"user": 7, "domain": "sums", "instruction": "1+1?", "output": "2"})"
                          "\n"
                          R"({"user": "b", "domain": "talk", "text": "Hello."})"
                          "\n");
  const auto data = open_client_data({.source = DataSource::kJsonl,
                                      .path = "r.jsonl",
                                      .user_column = "user",
                                      .label_column = "domain"},
                                     at(), 0, kSeed)
                        .value();
  ASSERT_EQ(data->clients(), 2U);
  EXPECT_EQ(data->name(0), "7");
  const auto pieces = data->pieces(0).value();
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_TRUE(pieces[0].instruction);
  EXPECT_EQ(pieces[0].response, "2");
  EXPECT_THAT(data->label_bytes(1), ElementsAre(0U, 6U));
}

TEST_F(ClientDataOf, AFolderHoldsAFolderAClientReadAsDevicesReadTheirs) {
  write(at() / "d/ann/b.txt", "Second.\n");
  write(at() / "d/ann/a.txt", "First.\n");
  write(at() / "d/bob/rows.jsonl", "{\"text\": \"A row.\"}\nbroken\n");
  write(at() / "d/stray.txt", "Nobody's.\n");
  fs::create_directory_symlink(at() / "d/ann", at() / "d/eve");
  const auto data =
      open_client_data({.source = DataSource::kFolder, .path = "d"}, at(), 0, kSeed).value();
  ASSERT_EQ(data->clients(), 2U);
  EXPECT_EQ(data->name(1), "bob");
  EXPECT_THAT(texts_of(*data, 0), ElementsAre("First.\n", "Second.\n"));
  EXPECT_THAT(texts_of(*data, 1), ElementsAre("A row."));
}

TEST_F(ClientDataOf, ItsBytesAreThoseOfTheTrainingPieces) {
  std::string tsv = "user\ttext\n";
  for (int i = 0; i < 200; ++i) tsv += cat("u", i % 3, "\tline ", i, "\n");
  write(at() / "u.tsv", tsv);
  const auto data =
      open_client_data({.source = DataSource::kTsv, .path = "u.tsv", .user_column = "user"}, at(),
                       0, kSeed)
          .value();
  for (std::uint64_t client = 0; client < 3; ++client) {
    std::uint64_t train = 0;
    for (const Piece& piece : pieces_of(*data, client)) {
      EXPECT_EQ(piece.split, split_of(piece));
      if (piece.split == Split::kTrain) train += piece.text.size();
    }
    EXPECT_EQ(data->bytes(client), train);
  }
}

TEST_F(ClientDataOf, UsersWithLittleTextAreLeftOut) {
  write(at() / "u.tsv", "user\ttext\na\tshort\nb\ta longer text\na\tx\n");
  DataSettings settings{.source = DataSource::kTsv, .path = "u.tsv", .user_column = "user"};
  settings.min_bytes = 10;
  const auto data = open_client_data(settings, at(), 0, kSeed).value();
  ASSERT_EQ(data->clients(), 1U);
  EXPECT_EQ(data->name(0), "b");
  settings.min_bytes = 100;
  EXPECT_EQ(refusal(settings, at()).code, ErrorCode::kInvalidArgument);
}

TEST_F(ClientDataOf, APinnedSourceIsRefusedOnceItDiffers) {
  const std::string_view text = "user\ttext\na\tAs it was.\n";
  write(at() / "u.tsv", text);
  const std::string pin = sha256(as_bytes(text)).hex();
  const DataSettings settings{
      .source = DataSource::kTsv, .path = "u.tsv", .sha256 = pin, .user_column = "user"};
  EXPECT_TRUE(open_client_data(settings, at(), 0, kSeed).ok());
  write(at() / "u.tsv", "user\ttext\na\tAs it is.\n");
  const Error error = refusal(settings, at());
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr(pin));
  EXPECT_THAT(error.message, HasSubstr(sha256_file(at() / "u.tsv").value().hex()));
}

TEST_F(ClientDataOf, BrokenSourcesAreRefusedWithTheirLine) {
  const DataSettings tsv{.source = DataSource::kTsv, .path = "u", .user_column = "user"};
  write(at() / "u", "user\ttext\na\tb\na\tb\tc\n");
  EXPECT_EQ(refusal(tsv, at()).code, ErrorCode::kCorrupt);
  EXPECT_THAT(refusal(tsv, at()).message, HasSubstr("line 3"));
  write(at() / "u", "name\ttext\na\tb\n");
  EXPECT_THAT(refusal(tsv, at()).message, HasSubstr("name, text"));
  write(at() / "u", "user\ttext\na\x01\tb\n");
  EXPECT_EQ(refusal(tsv, at()).code, ErrorCode::kCorrupt);
  write(at() / "u", cat("user\ttext\na\t", std::string(2U << 20U, 'x'), "\n"));
  EXPECT_EQ(refusal(tsv, at()).code, ErrorCode::kTooLarge);
  write(at() / "u", "user\ttext\n");
  EXPECT_EQ(refusal(tsv, at()).code, ErrorCode::kInvalidArgument);
  write(at() / "u", std::string_view("\xfd\x37zXZ\0\0\0", 8));
  EXPECT_THAT(refusal(tsv, at()).message, HasSubstr("xz -dk"));
  const DataSettings jsonl{.source = DataSource::kJsonl, .path = "u", .user_column = "user"};
  write(at() / "u", "{\"user\": \"a\", \"text\": \"b\"}\n{\"text\": \"c\"}\n");
  EXPECT_THAT(refusal(jsonl, at()).message, HasSubstr("line 2"));
  EXPECT_EQ(refusal({.source = DataSource::kJsonl, .path = "none"}, at()).code,
            ErrorCode::kNotFound);
  EXPECT_EQ(refusal({.source = DataSource::kFolder, .path = "none"}, at()).code,
            ErrorCode::kNotFound);
}

// A client is unseen whatever the number of clients. 5 standard deviations of a binomial.
TEST(HeldOutClients, AreTheirShareAndTheSameWhateverThePopulation) {
  const DataSettings settings{.held_out = 0.1};
  const auto few = open_client_data(settings, {}, 1000, kSeed).value();
  const auto many = open_client_data(settings, {}, 20'000, kSeed).value();
  std::uint64_t unseen = 0;
  for (std::uint64_t client = 0; client < many->clients(); ++client) {
    if (client < few->clients()) {
      EXPECT_EQ(few->unseen(client), many->unseen(client));
    }
    if (many->unseen(client)) ++unseen;
  }
  EXPECT_NEAR(static_cast<double>(unseen), 2000, 5 * std::sqrt(20'000 * 0.1 * 0.9));
}

TEST(PeopleClients, AreAsManyAsAskedForAndEachFoundAlone) {
  const DataSettings settings{.bytes_each = 3000};
  const auto millions = open_client_data(settings, {}, 5'000'000, kSeed).value();
  const auto texts = texts_of(*millions, 4'321'987);
  std::size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  EXPECT_GE(bytes, 3000U);
  EXPECT_EQ(millions->name(4'321'987), make_person(kSeed, 4'321'987).name);
  EXPECT_EQ(texts_of(*open_client_data(settings, {}, 5'000'000, kSeed).value(), 4'321'987), texts);
  EXPECT_EQ(refusal(settings, {}, 0).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal({.partition = Partition::kShards}, {}, 5).code, ErrorCode::kInvalidArgument);
}

// What a device reads from the person's folder, but for the canary that such a folder holds.
TEST(PeopleClients, HaveWhatADeviceReadsFromThatPersonsFolder) {
  const TestFolder folder;
  const auto written = write_population(folder.path(), kSeed, 2, 4000).value();
  const auto data = open_client_data({.bytes_each = 4000}, {}, 2, kSeed).value();
  for (std::uint64_t person = 0; person < 2; ++person) {
    std::string device;
    const auto read = read_pieces(written[person].folder, {}, nullptr).value();
    for (const Piece& piece : read) {
      if (piece.text.find(written[person].canary) == std::string::npos) {
        device += piece.text + piece.response;
      }
    }
    std::string simulated;
    for (const Piece& piece : pieces_of(*data, person)) {
      simulated += piece.text + piece.response;
    }
    EXPECT_NEAR(static_cast<double>(device.size()), static_cast<double>(simulated.size()), 1500);
    EXPECT_THAT(simulated, HasSubstr(device.substr(0, 300)));
  }
}

// A portion's subject is drawn from the mixture, so each label has its share p of mean 1 / S; for
// alpha -> 0 a client has one subject, for iid 40 portions have many.
TEST(PeopleClients, AreUnequalByAlpha) {
  const auto entropy = [](const DataSettings& settings) {
    return measure_skew(*open_client_data(settings, {}, 200, kSeed).value(), 0).mean_label_entropy;
  };
  const double narrow = entropy({.partition = Partition::kDirichlet, .alpha = 0.001});
  const double some = entropy({.partition = Partition::kDirichlet, .alpha = 0.1});
  const double iid = entropy({.partition = Partition::kIid});
  EXPECT_LT(narrow, 0.1);
  EXPECT_GT(some, narrow + 0.5);
  EXPECT_GT(iid, some + 0.5);
  const double two = entropy({.partition = Partition::kPathological, .labels_per_client = 2});
  EXPECT_NEAR(two, 1, 1e-9);
}

TEST(PeopleClients, ShareNoTextUnderAPartitionByLabel) {
  const auto data =
      open_client_data({.partition = Partition::kDirichlet, .alpha = 0.3, .bytes_each = 5000}, {},
                       40, kSeed)
          .value();
  std::set<std::string> seen;
  std::size_t pieces = 0;
  for (std::uint64_t client = 0; client < 40; ++client) {
    for (const std::string& text : texts_of(*data, client)) {
      if (text.size() < 200) continue; // a short answer may be given by two people
      ++pieces;
      seen.insert(text);
    }
  }
  EXPECT_GT(pieces, 100U);
  EXPECT_EQ(seen.size(), pieces);
}

TEST(DataHash, DiffersByWhateverChangesTexts) {
  std::set<std::string> hashes;
  const auto add = [&](const DataSettings& settings, std::uint64_t devices, std::uint64_t seed) {
    hashes.insert(open_client_data(settings, {}, devices, seed).value()->hash().hex());
  };
  add({}, 10, 1);
  add({}, 10, 2);
  add({.bytes_each = 1000}, 10, 1);
  add({.partition = Partition::kDirichlet}, 10, 1);
  add({.partition = Partition::kDirichlet, .alpha = 1}, 10, 1);
  EXPECT_EQ(hashes.size(), 5U);
  add({}, 10, 1);
  EXPECT_EQ(hashes.size(), 5U);
}

TEST(Gini, IsThatOfItsClosedForms) {
  EXPECT_NEAR(gini({5, 5, 5, 5}), 0, 1e-12);
  EXPECT_NEAR(gini({0, 0, 0, 8}), 0.75, 1e-12); // (n - 1) / n
  EXPECT_EQ(gini({0, 0}), 0);
  EXPECT_EQ(gini({}), 0);
}

// ../shared/data/README.md counts 1,345 pairs of play and role, 30,913 speeches, 635 roles of
// at least 1,000 characters.
TEST_F(ClientDataOf, ShakespeareHas1345RolesByPlayAndSpeaker) {
  COPPICE_NEEDS_SHARED("fed/shakespeare_speeches.tsv.xz");
  const fs::path tsv = at() / "speeches.tsv";
  const std::string unpack =
      cat("xz -dc '", shared_data("fed/shakespeare_speeches.tsv.xz").string(), "' > '",
          tsv.string(), "' 2>/dev/null");
  if (std::system(unpack.c_str()) != 0) GTEST_SKIP() << "needs xz"; // NOLINT(cert-env33-c)
  DataSettings settings{.source = DataSource::kTsv,
                        .path = tsv.string(),
                        .user_column = "play,speaker",
                        .label_column = "play"};
  const auto roles = open_client_data(settings, {}, 0, kSeed).value();
  EXPECT_EQ(roles->clients(), 1345U);
  EXPECT_EQ(roles->labels().size(), 37U);
  std::size_t speeches = 0;
  for (std::uint64_t role = 0; role < roles->clients(); ++role) {
    speeches += roles->pieces(role).value().size();
  }
  EXPECT_EQ(speeches, 30'913U);
  settings.min_bytes = 1000;
  EXPECT_NEAR(static_cast<double>(open_client_data(settings, {}, 0, kSeed).value()->clients()), 635,
              8); // characters there, bytes here, and stage breaks counted or not
}

} // namespace
} // namespace coppice
