#include "core/importer.h"

#include "testing/fake_store.h"
#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <utility>

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
  std::ptrdiff_t published_devices() {
    return std::ranges::count_if(store.rows().outbox, [](const OutboxRecord& record) {
      return record.topic == "control.devices" && !record.key.contains("$class");
    });
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
  Importer importer{store,
                    vault,
                    clock,
                    random,
                    {.batch_lines = 2,
                     .batch_bytes = 150,
                     .max_line_bytes = 200,
                     .max_lines = 10,
                     .max_result_bytes = 1500}};
  Operations operations{store, vault};
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
  EXPECT_EQ(published_devices(), 0);
}

TEST_F(ImporterTest, RefusesMoreLinesThanAllowed) {
  std::string text;
  for (int i = 0; i < 11; ++i) text += line(i);
  const Operation operation = import(text);
  EXPECT_EQ(operation.fields["reason"], "too_many_lines");
  EXPECT_EQ(devices(), 0U);
}

TEST_F(ImporterTest, WritesFewerLongLinesAtATime) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    text += std::format(
        "{{\"external_id\":\"e{}\",\"device_class\":\"m\",\"metadata\":{{\"a\":\"{}\"}}}}\n", i,
        std::string(120, 'x'));
  }
  EXPECT_EQ(import(text).state, Operation::State::kSucceeded);
  EXPECT_EQ(store.batches, (std::vector<std::size_t>{1, 1, 1, 1}));
}

TEST_F(ImporterTest, FailsWithoutATraceWhereTheTokensWouldBeTooMany) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += line(i);
  const Operation operation = import(text, {.issue_tokens = true});
  EXPECT_EQ(operation.state, Operation::State::kFailed);
  EXPECT_EQ(operation.fields["reason"], "result_too_large");
  EXPECT_EQ(devices(), 0U);
  EXPECT_EQ(operations.take_result(caller, operation.id).error().reason(), "result_gone");
}

TEST_F(ImporterTest, NamesTheLineWhoseTokenIsTaken) {
  const auto with_token = [](int n, char id) {
    return std::format(
        "{{\"external_id\":\"e{}\",\"device_class\":\"m\",\"auth_token\":\"sld_{}_{}\"}}\n", n,
        std::string(12, id), std::string(43, 's'));
  };
  ASSERT_EQ(import(with_token(1, 'a')).state, Operation::State::kSucceeded);
  const Operation taken = import(with_token(2, 'b') + with_token(3, 'a'));
  EXPECT_EQ(taken.fields["reason"], "faulty_lines");
  ASSERT_EQ(taken.fields["faults"].size(), 1U);
  EXPECT_EQ(taken.fields["faults"][0]["line"], 2);
  EXPECT_EQ(taken.fields["faults"][0]["pointer"], "/auth_token");
  EXPECT_EQ(devices(), 1U);
  const Operation twice = import(with_token(4, 'c') + with_token(5, 'c'));
  EXPECT_EQ(twice.fields["faults"][0]["line"], 2);
  EXPECT_EQ(twice.fields["faults"][0]["pointer"], "/auth_token");
}

TEST_F(ImporterTest, ADryRunLeavesTheKeyToTheUpload) {
  const ImportRequest dry{.idempotency_key = "k", .request_hash = "dry", .is_dry_run = true};
  const ImportRequest real{.idempotency_key = "k", .request_hash = "real"};
  import(line(1), dry);
  const auto begun = importer.begin(caller, real);
  ASSERT_TRUE(begun) << begun.error().message();
  EXPECT_TRUE(begun->is_new);
}

TEST_F(ImporterTest, TokensCanBeFetchedAgainForAnHour) {
  const Operation operation = import(line(1) + line(2) + line(3), {.issue_tokens = true});
  const auto first = operations.take_result(caller, operation.id);
  ASSERT_TRUE(first) << first.error().message();
  clock.advance(kResultGrace - std::chrono::seconds(1));
  EXPECT_EQ(operations.take_result(caller, operation.id).value_or(""), *first);
  clock.advance(std::chrono::seconds(1));
  const auto late = operations.take_result(caller, operation.id);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "result_gone");
}

TEST_F(ImporterTest, TokensThatCouldNotBeOpenedAreNotTaken) {
  const Operation operation = import(line(1), {.issue_tokens = true});
  std::string& sealed = store.rows().operations.at(operation.id).result.at(0);
  const std::string good = std::exchange(sealed, "sealed with a lost key");
  EXPECT_FALSE(operations.take_result(caller, operation.id));
  clock.advance(kResultGrace * 2);
  sealed = good;
  EXPECT_TRUE(operations.take_result(caller, operation.id));
}

TEST_F(ImporterTest, NeedsTheRightToCreateDevices) {
  caller.role = Role::kViewer;
  EXPECT_FALSE(importer.begin(caller, {}));
}

}  // namespace
}  // namespace sluice::registry
