// SPDX-License-Identifier: Apache-2.0
// coppice.h as a C program sees it: only its own names, on the model of assets/.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "capi/coppice.h"

namespace {

namespace fs = std::filesystem;

const std::string kModel = std::string(COPPICE_SOURCE_DIR) + "/assets/coppice-4m.q4_0.gguf";

std::string some_text() {
  std::string text;
  for (int day = 1; day <= 40; ++day) {
    text += "On day " + std::to_string(day) + " the old ferry carried " + std::to_string(day * 7) +
            " sacks of grain across the river, and the miller counted them twice.\n\n";
  }
  return text;
}

class CApi : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("coppice_capi_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    ASSERT_EQ(COPPICE_OK, coppice_model_open(kModel.c_str(), nullptr, &model_));
  }
  void TearDown() override {
    coppice_model_close(model_);
    fs::remove_all(folder_);
  }

  coppice_adapter* train(coppice_train_options options, coppice_train_report* report = nullptr) {
    options.struct_size = sizeof(options);
    const std::string text = some_text();
    coppice_adapter* adapter = nullptr;
    EXPECT_EQ(COPPICE_OK, coppice_train(model_, nullptr, 0, text.data(), text.size(), &options,
                                        &adapter, report))
        << coppice_last_error();
    return adapter;
  }
  double nats(const coppice_adapter* adapter) {
    const std::string text = some_text();
    coppice_text_score score{};
    EXPECT_EQ(COPPICE_OK, coppice_score(model_, &adapter, adapter == nullptr ? 0 : 1, text.data(),
                                        text.size(), &score));
    return score.nats;
  }
  std::string generate(const coppice_adapter* adapter) {
    coppice_generate_options options{};
    options.struct_size = sizeof(options);
    options.max_tokens = 24;
    char* text = nullptr;
    std::size_t bytes = 0;
    EXPECT_EQ(COPPICE_OK, coppice_generate(model_, &adapter, adapter == nullptr ? 0 : 1, "The", 3,
                                           &options, &text, &bytes))
        << coppice_last_error();
    const std::string made(text, bytes);
    EXPECT_EQ('\0', text[bytes]);
    coppice_free(text);
    return made;
  }

  fs::path folder_;
  coppice_model* model_ = nullptr;
};

TEST_F(CApi, TheLibraryAndTheHeaderAreOfOneVersion) {
  EXPECT_EQ(static_cast<std::uint32_t>(COPPICE_ABI_VERSION), coppice_abi_version());
  EXPECT_STREQ("ok", coppice_status_name(COPPICE_OK));
}

TEST_F(CApi, AFailureIsAStatusAndASentenceOfItsOwnThread) {
  coppice_model* none = nullptr;
  EXPECT_EQ(COPPICE_NOT_FOUND, coppice_model_open("/nowhere.gguf", nullptr, &none));
  EXPECT_EQ(nullptr, none);
  const std::string sentence = coppice_last_error();
  EXPECT_NE(std::string::npos, sentence.find("/nowhere.gguf")) << sentence;
  std::thread([] { EXPECT_STREQ("", coppice_last_error()); }).join();
}

TEST_F(CApi, NullsAreRefusedAndClosingNullDoesNothing) {
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT, coppice_model_open(nullptr, nullptr, &model_));
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT, coppice_model_open(kModel.c_str(), nullptr, nullptr));
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT, coppice_score(nullptr, nullptr, 0, "a", 1, nullptr));
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT,
            coppice_train(model_, nullptr, 1, "a", 1, nullptr, nullptr, nullptr));
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT, coppice_device_run(nullptr, nullptr));
  coppice_train_options unsized{};
  coppice_adapter* adapter = nullptr;
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT,
            coppice_train(model_, nullptr, 0, "a", 1, &unsized, &adapter, nullptr));
  coppice_model_close(nullptr);
  coppice_adapter_close(nullptr);
  coppice_device_close(nullptr);
  coppice_free(nullptr);
}

TEST_F(CApi, TokensBecomeTheSameTextAgain) {
  const std::string text = "The ferry, caf\xc3\xa9 and 12 sacks.";
  std::uint32_t* tokens = nullptr;
  std::size_t count = 0;
  ASSERT_EQ(COPPICE_OK, coppice_tokenize(model_, text.data(), text.size(), 0, &tokens, &count));
  char* again = nullptr;
  std::size_t bytes = 0;
  ASSERT_EQ(COPPICE_OK, coppice_detokenize(model_, tokens, count, &again, &bytes));
  EXPECT_EQ(text, std::string(again, bytes));
  tokens[0] = 1U << 30U;
  EXPECT_EQ(COPPICE_INVALID_ARGUMENT, coppice_detokenize(model_, tokens, 1, &again, &bytes));
  coppice_free(again);
  coppice_free(tokens);
}

TEST_F(CApi, AnOlderCallersShorterOptionsTakeDefaultsForTheRest) {
  struct Older {
    std::size_t struct_size = sizeof(Older);
    std::uint32_t steps = 2;
    std::uint32_t seconds = 0;
  } older;
  const std::string text = some_text();
  coppice_adapter* adapter = nullptr;
  coppice_train_report report{};
  ASSERT_EQ(COPPICE_OK, coppice_train(model_, nullptr, 0, text.data(), text.size(),
                                      reinterpret_cast<const coppice_train_options*>(&older),
                                      &adapter, &report))
      << coppice_last_error();
  EXPECT_EQ(2U, report.steps);
  coppice_adapter_close(adapter);
}

TEST_F(CApi, TrainingHelpsOnItsTextAndTheAdapterIsTheSameFromAnyFile) {
  coppice_train_report report{};
  coppice_train_options options{};
  options.steps = 12;
  coppice_adapter* adapter = train(options, &report);
  EXPECT_EQ(12U, report.steps);
  EXPECT_LT(report.loss_last, report.loss_first);
  const double trained = nats(adapter);
  EXPECT_LT(trained, 0.9 * nats(nullptr));
  const std::string text = generate(adapter);
  EXPECT_NE(text, generate(nullptr));
  for (const char* name : {"a.gguf", "a.coppice", "peft"}) {
    const std::string path = (folder_ / name).string();
    ASSERT_EQ(COPPICE_OK, coppice_adapter_save(adapter, path.c_str())) << coppice_last_error();
    coppice_adapter* again = nullptr;
    ASSERT_EQ(COPPICE_OK, coppice_adapter_load(model_, path.c_str(), &again))
        << coppice_last_error();
    EXPECT_EQ(coppice_adapter_parameters(adapter), coppice_adapter_parameters(again));
    EXPECT_DOUBLE_EQ(trained, nats(again)) << name;
    EXPECT_EQ(text, generate(again)) << name;
    coppice_adapter_close(again);
  }
  coppice_adapter_close(adapter);
}

TEST_F(CApi, ACallbackEndsTrainingEarlyAndKeepsWhatWasTrained) {
  coppice_train_options options{};
  options.steps = 50;
  options.on_step = [](void*, std::uint64_t step, std::uint64_t, double) {
    return step == 5 ? 1 : 0;
  };
  coppice_train_report report{};
  coppice_adapter* adapter = train(options, &report);
  EXPECT_EQ(5U, report.steps);
  EXPECT_LT(nats(adapter), nats(nullptr));
  coppice_adapter_close(adapter);
}

TEST_F(CApi, GenerationStopsWhereItsCallbackSaysSo) {
  int seen = 0;
  coppice_generate_options options{};
  options.struct_size = sizeof(options);
  options.context = &seen;
  options.on_token = [](void* context, std::uint32_t, const char*, std::size_t) {
    return ++*static_cast<int*>(context) == 4 ? 1 : 0;
  };
  ASSERT_EQ(COPPICE_OK, coppice_generate(model_, nullptr, 0, "The", 3, &options, nullptr, nullptr));
  EXPECT_EQ(4, seen);
}

TEST_F(CApi, MemoryThatIsHandedOutIsTheCallersAllocators) {
  struct Counts {
    int given = 0;
    int back = 0;
  } counts;
  const coppice_allocator allocator{[](void* context, std::size_t bytes) {
                                      static_cast<Counts*>(context)->given += 1;
                                      return std::malloc(bytes);
                                    },
                                    [](void* context, void* memory) {
                                      static_cast<Counts*>(context)->back += 1;
                                      std::free(memory);
                                    },
                                    &counts};
  ASSERT_EQ(COPPICE_OK, coppice_set_allocator(&allocator));
  generate(nullptr);
  EXPECT_EQ(1, counts.given);
  EXPECT_EQ(1, counts.back);
  const coppice_allocator empty{[](void*, std::size_t) -> void* { return nullptr; },
                                [](void*, void*) {}, nullptr};
  ASSERT_EQ(COPPICE_OK, coppice_set_allocator(&empty));
  std::uint32_t* tokens = nullptr;
  std::size_t count = 0;
  EXPECT_EQ(COPPICE_RESOURCE_EXHAUSTED, coppice_tokenize(model_, "a", 1, 0, &tokens, &count));
  EXPECT_EQ(nullptr, tokens);
  EXPECT_EQ(COPPICE_OK, coppice_set_allocator(nullptr));
}

TEST_F(CApi, ADeviceIsMadeOnceAndRefusesABadInvite) {
  const std::string data = (folder_ / "data").string();
  fs::create_directories(data);
  std::ofstream(data + "/notes.txt") << some_text();
  const char* settings[] = {"floors.min_survivors=5"};
  const std::string where = (folder_ / "device").string();
  coppice_device* device = nullptr;
  EXPECT_EQ(COPPICE_NOT_FOUND, coppice_device_open(where.c_str(), nullptr, &device));
  coppice_device_options options{};
  options.struct_size = sizeof(options);
  options.model = kModel.c_str();
  options.data = data.c_str();
  options.settings = settings;
  options.setting_count = 1;
  ASSERT_EQ(COPPICE_OK, coppice_device_open(where.c_str(), &options, &device))
      << coppice_last_error();
  coppice_device_close(device);
  ASSERT_EQ(COPPICE_OK, coppice_device_open(where.c_str(), nullptr, &device));
  EXPECT_EQ(0, coppice_device_is_enrolled(device));
  EXPECT_NE(COPPICE_OK, coppice_device_enroll(device, "coppice1-nonsense", 100));
  EXPECT_EQ(COPPICE_NOT_FOUND, coppice_device_run(device, nullptr));
  EXPECT_EQ(COPPICE_OK, coppice_device_stop(device));
  coppice_device_close(device);
}

} // namespace
