#include "core/importer.h"

#include "testing/fake_store.h"
#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

using testing::FakeStore;
using testing::FakeVault;
using testing::TextLines;

class ImporterTest : public ::testing::Test {
 protected:
  Operation import(const std::string& text, const ImportRequest& request = {},
                   const std::function<bool()>& stop = {}) {
    const auto begun = importer.begin(caller, request);
    EXPECT_TRUE(begun);
    TextLines lines(text);
    auto operation = importer.run(caller, begun->operation.id, request, lines, stop);
    EXPECT_TRUE(operation) << operation.error().message();
    return operation ? *operation : Operation();
  }
  static std::string line(int n) {
    return std::format("{{\"external_id\":\"e{}\",\"device_class\":\"m\"}}\n", n);
  }
  std::size_t devices() {
    return static_cast<std::size_t>(std::ranges::count_if(
        store.rows().resources,
        [](const auto& row) { return row.second.kind == ResourceKind::kDevice; }));
  }

  sluice::testing::SimClock clock;
  sluice::testing::SimRandom random{1};
  FakeStore store{clock};
  FakeVault vault;
  Importer importer{
      store, vault, clock, random, {.batch_lines = 2, .max_line_bytes = 200, .max_lines = 10}};
  Caller caller = testing::admin_of("blue");
};

TEST_F(ImporterTest, NeedsExternalIdsThatOccurOnce) {
  const Operation operation = import(line(1) + "\n" + line(1) + "{\"device_class\":\"m\"}\n");
  EXPECT_EQ(operation.fields["faulty_lines"], 2);
  EXPECT_EQ(operation.fields["faults"][0]["line"], 3);
  EXPECT_EQ(operation.fields["faults"][1]["line"], 4);
  EXPECT_EQ(operation.fields["faults"][1]["pointer"], "/external_id");
  EXPECT_EQ(devices(), 0U);
}

TEST_F(ImporterTest, ReportsFaultsOfAllLines) {
  const Operation operation =
      import("{\n[]\n" + std::string(300, ' ') + "x\n" + line(1) +
             "{\"external_id\":\"e2\",\"device_class\":\"m\",\"fleet_id\":7}\n");
  EXPECT_EQ(operation.fields["faulty_lines"], 4);
  EXPECT_EQ(operation.fields["lines_read"], 5);
  EXPECT_EQ(operation.fields["faults"].back()["pointer"], "/fleet_id");
}

TEST_F(ImporterTest, NamesTheLineWithAnUnknownFleet) {
  const Operation operation =
      import(line(1) + line(2) + line(3) +
             "{\"external_id\":\"e4\",\"device_class\":\"m\",\"fleet_id\":\"none\"}\n");
  EXPECT_EQ(operation.state, Operation::State::kFailed);
  EXPECT_EQ(operation.fields["faults"][0]["line"], 4);
  EXPECT_EQ(operation.fields["faults"][0]["pointer"], "/fleet_id");
  EXPECT_EQ(devices(), 0U);
}

TEST_F(ImporterTest, TellsProgressWhileItWorks) {
  std::string text;
  for (int i = 0; i < 6; ++i) text += line(i);
  EXPECT_EQ(import(text).state, Operation::State::kSucceeded);
  EXPECT_EQ(store.progress_reports, 3);
}

TEST_F(ImporterTest, KeepsNothingOfADryRun) {
  const Operation operation = import(line(1), {.issue_tokens = true, .is_dry_run = true});
  EXPECT_EQ(operation.state, Operation::State::kSucceeded);
  EXPECT_EQ(operation.fields["reason"], "dry_run");
  EXPECT_EQ(operation.fields["devices_written"], 1);
  EXPECT_EQ(operation.fields["has_result"], false);
  EXPECT_EQ(devices(), 0U);
  EXPECT_TRUE(store.rows().outbox.empty());
}

TEST_F(ImporterTest, EndsInGoodOrderWhenToldToStop) {
  int asked = 0;
  const Operation operation =
      import(line(1) + line(2) + line(3) + line(4), {}, [&] { return ++asked == 2; });
  EXPECT_EQ(operation.state, Operation::State::kFailed);
  EXPECT_EQ(operation.fields["reason"], "shutting_down");
  EXPECT_EQ(devices(), 0U);
}

TEST_F(ImporterTest, WritesNothingOnceDeclaredDead) {
  const auto begun = importer.begin(caller, {});
  store.kill_operation(begun->operation.id);
  TextLines lines(line(1));
  ASSERT_TRUE(importer.run(caller, begun->operation.id, {}, lines, {}));
  EXPECT_EQ(devices(), 0U);
  EXPECT_TRUE(store.rows().outbox.empty());
}

TEST_F(ImporterTest, RefusesMoreLinesThanAllowed) {
  std::string text;
  for (int i = 0; i < 11; ++i) text += line(i);
  const Operation operation = import(text);
  EXPECT_EQ(operation.fields["reason"], "too_many_lines");
  EXPECT_EQ(devices(), 0U);
}

TEST_F(ImporterTest, NeedsTheRightToCreateDevices) {
  caller.role = Role::kViewer;
  EXPECT_FALSE(importer.begin(caller, {}));
}

}  // namespace
}  // namespace sluice::registry
