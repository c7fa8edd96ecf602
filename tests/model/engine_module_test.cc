// SPDX-License-Identifier: Apache-2.0
#include "model/engine_module.h"

#include <gmock/gmock.h>

#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

// What lies beside this test program comes first, so these need a build without the module there.
class EngineModule : public ::testing::Test {
 protected:
  void SetUp() override {
    if (fs::exists(fs::read_symlink("/proc/self/exe").parent_path() / "libcoppice_graph.so")) {
      GTEST_SKIP() << "the module lies beside this program and opens";
    }
  }
  void TearDown() override { unsetenv("COPPICE_GRAPH_MODULE"); }

  Error refusal() {
    auto engine = open_graph_engine(base_, {.threads = 1});
    if (engine.ok()) return {ErrorCode::kInternal, "it opened"};
    return std::move(engine).error();
  }

  TestFolder folder_;
  std::shared_ptr<const BaseModel> base_ = TinyModel::make().open(folder_.path()).value();
};

TEST_F(EngineModule, SaysWhatToDoWhereThereIsNone) {
  unsetenv("COPPICE_GRAPH_MODULE");
  EXPECT_EQ(refusal().code, ErrorCode::kUnavailable);
  EXPECT_THAT(refusal().message, HasSubstr("COPPICE_GRAPH_MODULE"));
}

TEST_F(EngineModule, IsUnavailableWhereTheVariableNamesNoModule) {
  setenv("COPPICE_GRAPH_MODULE", (folder_.path() / "none.so").c_str(), 1);
  EXPECT_THAT(refusal().message, HasSubstr("none.so"));
  setenv("COPPICE_GRAPH_MODULE", base_->path().c_str(), 1); // a file, but no module
  EXPECT_EQ(refusal().code, ErrorCode::kUnavailable);
}

} // namespace
} // namespace coppice
