// SPDX-License-Identifier: Apache-2.0
// `coppice adapter` on adapters that other programs wrote, and on our own.
#include <map>

#include "adapters/adapter_file.h"
#include "aggregator/sqlite_database.h"
#include "formats/safetensors_reader.h"
#include "model/base_model.h"
#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

const fs::path kShared = fs::path(COPPICE_SOURCE_DIR) / ".." / "shared" / "data";

#define COPPICE_NEEDS_SHARED() \
  if (!fs::exists(kShared)) GTEST_SKIP() << "the shared test data is not there"

std::map<std::string, Bytes> tensors_of(const fs::path& folder) {
  std::map<std::string, Bytes> tensors;
  const auto file = SafetensorsFile::open(folder / "adapter_model.safetensors");
  EXPECT_TRUE(file.ok());
  if (!file.ok()) return tensors;
  for (const SafeTensor& tensor : file->tensors()) {
    tensors[tensor.name] = Bytes(tensor.data.begin(), tensor.data.end());
  }
  return tensors;
}

Ran convert(const fs::path& from, const fs::path& to, const std::vector<std::string>& more) {
  std::vector<std::string> line{"adapter",     "convert", "--adapter",
                                from.string(), "--out",   to.string()};
  line.insert(line.end(), more.begin(), more.end());
  Ran ran = run_coppice(line);
  EXPECT_EQ(ran.exit, 0) << ran.error;
  return ran;
}

// A trained-looking adapter on the repository's model, in our own format.
fs::path own_adapter(const TestFolder& folder) {
  const auto base = BaseModel::open(small_model());
  EXPECT_TRUE(base.ok());
  const std::vector<std::string> all{"all-linear"};
  auto spec = (*base)->make_spec(4, 8, LoraScaling::kStandard, all);
  EXPECT_TRUE(spec.ok());
  Adapter adapter = Adapter::initial(std::make_shared<const AdapterSpec>(*spec), 7);
  KeyedRandom random({.experiment = 3});
  for (float& value : adapter.values()) value += 0.02F * (random.uniform_float() - 0.5F);
  EXPECT_TRUE(write_adapter_file(folder / "own.coppice", adapter).ok());
  return folder / "own.coppice";
}

TEST(AdapterConvert, AllThreeKindsAreOneAdapterBitForBit) {
  const TestFolder folder;
  const fs::path own = own_adapter(folder);
  const std::vector<std::string> model{"-m", small_model()};
  convert(own, folder / "a.gguf", {});
  convert(folder / "a.gguf", folder / "a-peft", model);
  convert(folder / "a-peft", folder / "back.coppice", model);
  EXPECT_EQ(*read_file(own, std::size_t{1} << 24U),
            *read_file(folder / "back.coppice", std::size_t{1} << 24U));
}

TEST(AdapterConvert, APeftFolderInHuggingFaceOrderComesBackByteForByte) {
  COPPICE_NEEDS_SHARED();
  const TestFolder folder;
  const fs::path theirs = kShared / "models" / "coppice-4m.q4_0.golden" / "adapter";
  const std::vector<std::string> model{"-m", small_model()};
  convert(theirs, folder / "a.gguf", model);
  convert(folder / "a.gguf", folder / "a.coppice", model);
  convert(folder / "a.coppice", folder / "back", {});
  EXPECT_EQ(tensors_of(folder / "back"), tensors_of(theirs));
}

TEST(AdapterConvert, APeftFolderInGgufOrderNeedsNoModel) {
  COPPICE_NEEDS_SHARED();
  const TestFolder folder;
  const fs::path theirs = kShared / "adapters" / "babyllama361-shakespeare-r8";
  convert(theirs, folder / "a.gguf", {"--rows", "gguf"});
  convert(folder / "a.gguf", folder / "back", {"--rows", "gguf"});
  EXPECT_EQ(tensors_of(folder / "back"), tensors_of(theirs));
  const Ran same = run_coppice({"adapter", "diff", (theirs / "adapter.gguf").string(),
                                (folder / "a.gguf").string(), "--format", "json"});
  EXPECT_EQ(same.json()["equal"], true);
}

TEST(AdapterConvert, WithoutTheHeadCountItRefusesToReorderRows) {
  const TestFolder folder;
  convert(own_adapter(folder), folder / "peft", {});
  const Ran ran = run_coppice({"adapter", "convert", "--adapter", (folder / "peft").string(),
                               "--out", (folder / "a.gguf").string()});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_NE(ran.error.find("give --model FILE"), std::string::npos) << ran.error;
  EXPECT_FALSE(fs::exists(folder / "a.gguf"));
}

TEST(AdapterInfo, CountsParametersAndNamesEachModule) {
  const TestFolder folder;
  const Json document =
      run_coppice({"adapter", "info", own_adapter(folder).string(), "--format", "json"}).json();
  EXPECT_EQ(document["schema"], "coppice.adapter_info.v1");
  EXPECT_EQ(document["kind"], "coppice");
  EXPECT_EQ(document["rank"], 4);
  EXPECT_EQ(document["modules"].size(), 28U); // seven in each of four layers
  // Half of the 155,648 that rank 8 has.
  EXPECT_EQ(document["parameters"], 77'824);
}

TEST(AdapterInfo, RefusesAnAdapterOfAnotherBase) {
  COPPICE_NEEDS_SHARED();
  const Ran ran = run_coppice({"adapter", "info",
                               (kShared / "adapters" / "babyllama361-shakespeare-r8").string(),
                               "-m", small_model()});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_NE(ran.error.find("another base"), std::string::npos) << ran.error;
}

TEST(AdapterVerify, AcceptsAFreshFleetAndSeesDamage) {
  const TestFolder folder;
  const std::string fleet = (folder / "fleet").string();
  const Ran made = run_coppice({"aggregator", "init", fleet, "--model", small_model()});
  ASSERT_EQ(made.exit, 0) << made.error;
  const Ran good = run_coppice({"adapter", "verify", fleet, "--format", "json"});
  EXPECT_EQ(good.exit, 0);
  EXPECT_EQ(good.json()["ok"], true);
  EXPECT_EQ(good.json()["releases"].size(), 1U);

  const auto change = [&fleet](const char* sql) {
    auto state = SqliteDatabase::open(fs::path(fleet) / "state.sqlite");
    ASSERT_TRUE(state.ok());
    ASSERT_TRUE(state->execute(sql).ok());
  };
  change("UPDATE contents SET bytes = zeroblob(length(bytes))");
  const Ran damaged = run_coppice({"adapter", "verify", fleet, "--format", "json"});
  EXPECT_EQ(damaged.exit, 4);
  EXPECT_EQ(damaged.json()["releases"][0]["signature"], "ok");
  EXPECT_EQ(damaged.json()["releases"][0]["content"], "damaged");
  change("UPDATE releases SET signature = zeroblob(length(signature))");
  const Ran forged = run_coppice({"adapter", "verify", fleet, "--format", "json"});
  EXPECT_EQ(forged.exit, 4);
  EXPECT_EQ(forged.json()["releases"][0]["signature"], "doesn't verify");
}

} // namespace
} // namespace coppice
