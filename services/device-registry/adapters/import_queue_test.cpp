#include "adapters/import_queue.h"

#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <sluice/testing/captured_log.h>
#include <sluice/testing/sim_clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

/// A store whose transactions last until they are let go, and that notes which operations are said
/// to be alive. Thread-safe.
class SlowStore final : public Store {
 public:
  Result<> run(const Scope&, const RunOptions&,
               const std::function<Result<>(Transaction&)>&) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return may_end_; });
    return unavailable();
  }
  Result<Begun> begin_operation(const TenantId&, const NewOperation& made) override {
    return Begun{.operation = {.id = made.id}, .is_new = true};
  }
  Result<> report_progress(const TenantId&, std::string_view, const OperationProgress&) override {
    return {};
  }
  Result<> fail_operation(const TenantId&, std::string_view, const OperationOutcome&) override {
    return {};
  }
  Result<Operation> find_operation(const TenantId&, std::string_view id) override {
    return Operation{.id = std::string(id), .state = Operation::State::kFailed};
  }
  Result<> keep_operation_alive(const TenantId&, std::string_view id) override {
    const std::lock_guard lock(mutex_);
    alive_.emplace(id);
    changed_.notify_all();
    return {};
  }
  Result<std::vector<std::string>> read_result(const TenantId&, std::string_view) override {
    return unavailable();
  }
  Result<> mark_result_taken(const TenantId&, std::string_view) override { return unavailable(); }

  void let_go() {
    const std::lock_guard lock(mutex_);
    may_end_ = true;
    changed_.notify_all();
  }
  /// Blocks until each was said to be alive.
  void await_alive(const std::set<std::string>& ids) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return std::ranges::includes(alive_, ids); });
  }

 private:
  static std::unexpected<Error> unavailable() {
    return fail(ErrorCode::kUnavailable, "this store keeps nothing");
  }

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool may_end_ = false;
  std::set<std::string> alive_;
};

class OneLine final : public http::BodyReader {
 public:
  Result<> read(const Piece& piece) override { return piece("{}\n"); }
  std::optional<std::uint64_t> size() const override { return 3; }
};

const std::string kFolder = ::testing::TempDir();

/// An importer that never gets anywhere until it is let go, and what a queue needs around it.
class ImportQueueTest : public ::testing::Test {
 protected:
  ImportQueue make_queue(ImportQueue::Options options) {
    options.workers = 1;
    return ImportQueue(std::move(options), importer_, vault_, log_->logger("test", clock_),
                       metrics);
  }
  static Result<Operation> take(ImportQueue& queue, const char* tenant) {
    OneLine body;
    return queue.take(admin_of(tenant), {}, body);
  }

  SlowStore store;
  Registry metrics;

 private:
  sluice::testing::SimClock clock_;
  sluice::testing::SimRandom random_{1};
  std::shared_ptr<sluice::testing::CapturedLog> log_ =
      std::make_shared<sluice::testing::CapturedLog>();  // and loggers
  FakeVault vault_;
  Importer importer_{store, vault_, clock_, random_};
};

TEST_F(ImportQueueTest, WhatWaitsIsSaidToBeAlive) {
  ImportQueue queue = make_queue({.spool_dir = kFolder, .heartbeat = std::chrono::milliseconds(1)});
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    const auto taken = take(queue, "blue");
    ASSERT_TRUE(taken) << taken.error().message();
    ids.insert(taken->id);
  }
  EXPECT_EQ(ids.size(), 3U);
  store.await_alive(ids);  // one of them is at work, two wait
  store.let_go();
}

TEST_F(ImportQueueTest, OneTenantLeavesHalfOfThePlacesToTheOthers) {
  ImportQueue queue = make_queue({.spool_dir = kFolder, .max_pending = 3});
  const auto outcome = [&](const char* tenant) -> std::string {
    const auto taken = take(queue, tenant);
    if (taken) return "taken";
    EXPECT_EQ(taken.error().code(), ErrorCode::kResourceExhausted);
    return taken.error().reason();
  };
  EXPECT_EQ(outcome("blue"), "taken");
  EXPECT_EQ(outcome("blue"), "taken");
  EXPECT_EQ(outcome("blue"), "too_many_imports_of_tenant");
  EXPECT_EQ(outcome("red"), "taken");
  EXPECT_EQ(outcome("green"), "too_many_imports");
  store.let_go();
  queue.stop();  // gives every place back
  const std::string scraped = metrics.scrape();
  EXPECT_NE(scraped.find("sluice_registry_imports_pending 0"), std::string::npos) << scraped;
}

}  // namespace
}  // namespace sluice::registry::testing
