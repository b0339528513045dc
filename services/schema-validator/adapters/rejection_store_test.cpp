#include "adapters/rejection_store.h"

#include "testing/validator_database.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::validator::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TenantId kBlue("blue");
const TenantId kRed("red");
constexpr WallTime kNoon{std::chrono::milliseconds(1'800'014'400'000)};  // 2027-01-15, 12:00 UTC

RejectionRow row(const std::string& tenant, WallTime at, std::int32_t partition,
                 std::int64_t offset, const std::string& reason = "schema_violation") {
  return {.place = {.rejected_at = at, .partition = partition, .offset = offset},
          .tenant = tenant,
          .device_id = "d" + std::to_string(offset % 2),
          .reason = reason,
          .detail = "why",
          .pointer = "/p",
          .schema_id = "meter",
          .schema_version = "1.0"};
}

class RejectionStoreTest : public ::testing::Test {
 protected:
  using Rows = Result<std::vector<RejectionRow>>;
  static std::vector<std::int64_t> offsets(const Rows& rows) {
    std::vector<std::int64_t> out;
    if (!rows) return {-1};
    for (const RejectionRow& each : *rows) out.push_back(each.place.offset);
    return out;
  }
  /// Everything, in pages of two.
  static std::vector<std::int64_t> paged(
      const std::function<Rows(const std::optional<RejectionPlace>&)>& page) {
    std::vector<std::int64_t> out;
    std::optional<RejectionPlace> after;
    for (int pages = 0; pages < 20; ++pages) {
      const Rows rows = page(after);
      EXPECT_TRUE(rows) << rows.error().message();
      if (!rows || rows->empty()) return out;
      EXPECT_LE(rows->size(), 2U);
      for (const RejectionRow& each : *rows) out.push_back(each.place.offset);
      after = rows->back().place;
    }
    ADD_FAILURE() << "there is no last page";
    return out;
  }
  void insert(const std::vector<RejectionRow>& rows) {
    const auto inserted = store.insert(rows);
    ASSERT_TRUE(inserted) << inserted.error().message();
  }
  static RejectionStore::NewRedrive redrive(const std::string& id, RejectionSelection selection) {
    RejectionStore::NewRedrive redrive;
    redrive.tenant = kBlue;
    redrive.redrive_id = id;
    redrive.selection_json = to_json(selection);
    redrive.selection = std::move(selection);
    redrive.max_messages = 100;
    redrive.by = "me";
    redrive.audit = "audit";
    return redrive;
  }
  static RejectionSelection until(WallTime to) {
    RejectionSelection selection;
    selection.to = to;
    return selection;
  }

  ValidatorDatabase database;
  RejectionStore store{*database.pool};
};

TEST_F(RejectionStoreTest, KeepsWhatItIsToldOnceHoweverOften) {
  RejectionRow full = row("blue", kNoon, 3, 7);
  full.message_id = Uuid{};
  full.message_id->bytes.fill(9);
  full.received_at = kNoon - 1s;
  insert({full});
  full.detail = "another";
  insert({full});
  const auto found = store.find(kBlue, 3, 7);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->detail, "why") << "what is there stays";
  EXPECT_EQ(found->message_id, full.message_id);
  EXPECT_EQ(found->received_at, full.received_at);
  EXPECT_EQ(found->place.rejected_at, kNoon);
  EXPECT_EQ(store.find(kBlue, 3, 8).error().code(), ErrorCode::kNotFound);
}

TEST_F(RejectionStoreTest, OneTenantSeesNothingOfAnother) {
  insert({row("blue", kNoon, 0, 1), row("red", kNoon, 0, 2)});
  EXPECT_THAT(offsets(store.list(kBlue, {}, {}, 10)), ElementsAre(1));
  EXPECT_THAT(offsets(store.list_in_log_order(kRed, {}, {}, 10)), ElementsAre(2));
  EXPECT_EQ(store.find(kRed, 0, 1).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store.groups(kRed, {}, 10)->front().count, 1);
  // A statement that forgets its tenant, and one beside its tables: a day's own partition.
  EXPECT_EQ(database.count({.tenant = kRed}, "rejections"), 1);
  EXPECT_EQ(database.count({}, "rejections"), 0);
  ASSERT_TRUE(store.begin_redrive(redrive("r", until(kNoon + 1h))));
  EXPECT_EQ(store.find_redrive(kRed, "r").error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(*store.list_redrives(kRed, "", 10), IsEmpty());
  EXPECT_EQ(database.count({.tenant = kRed}, "redrives"), 0);
}

TEST_F(RejectionStoreTest, PagesByTimeAndByPlaceInTheLogHaveEverythingOnce) {
  // Rejected at one moment, in several partitions, over midnight.
  insert({row("blue", kNoon, 1, 10), row("blue", kNoon, 0, 11), row("blue", kNoon, 0, 12),
          row("blue", kNoon - 13h, 1, 13), row("blue", kNoon + 13h, 0, 4)});
  EXPECT_THAT(paged([&](const auto& after) { return store.list(kBlue, {}, after, 2); }),
              ElementsAre(13, 11, 12, 10, 4));
  EXPECT_THAT(
      paged([&](const auto& after) { return store.list_in_log_order(kBlue, {}, after, 2); }),
      ElementsAre(4, 11, 12, 10, 13));
}

TEST_F(RejectionStoreTest, ASelectionMeansAllOfItsConditionsTogether) {
  RejectionRow other = row("blue", kNoon, 0, 3);
  other.pointer = "";
  insert({row("blue", kNoon, 0, 1), row("blue", kNoon + 1s, 0, 2), other,
          row("blue", kNoon, 0, 5, "outlier")});
  RejectionSelection selection;
  selection.reason = "schema_violation";
  EXPECT_THAT(offsets(store.list(kBlue, selection, {}, 10)), ElementsAre(1, 3, 2));
  selection.pointer = "";
  EXPECT_THAT(offsets(store.list(kBlue, selection, {}, 10)), ElementsAre(3)) << "empty is a value";
  selection.pointer = "/p";
  selection.from = kNoon;
  selection.to = kNoon + 1s;
  EXPECT_THAT(offsets(store.list(kBlue, selection, {}, 10)), ElementsAre(1)) << "to is left out";
  selection.device_id = "d0";
  EXPECT_THAT(offsets(store.list(kBlue, selection, {}, 10)), IsEmpty());
  EXPECT_THAT(to_json(*parse_selection(to_json(selection))), to_json(selection));
}

TEST_F(RejectionStoreTest, GroupsHaveTheMostFrequentCauseFirst) {
  insert({row("blue", kNoon, 0, 1, "outlier"), row("blue", kNoon, 0, 2),
          row("blue", kNoon + 1s, 0, 3), row("blue", kNoon + 2s, 0, 5)});
  const auto groups = store.groups(kBlue, {}, 10);
  ASSERT_TRUE(groups);
  ASSERT_EQ(groups->size(), 2U);
  EXPECT_EQ(groups->front().reason, "schema_violation");
  EXPECT_EQ(groups->front().count, 3);
  EXPECT_EQ(groups->front().devices, 2);
  EXPECT_EQ(groups->front().first_at, kNoon);
  EXPECT_EQ(groups->front().last_at, kNoon + 2s);
  EXPECT_EQ(store.groups(kBlue, {}, 1)->size(), 1U);
}

TEST_F(RejectionStoreTest, DaysAreDroppedWhole) {
  insert({row("blue", kNoon - 48h, 0, 1), row("blue", kNoon, 0, 2)});
  EXPECT_EQ(store.drop_before(kNoon - 48h).value(), 0) << "its own day stays";
  EXPECT_EQ(store.drop_before(kNoon - 24h).value(), 1);
  EXPECT_THAT(offsets(store.list(kBlue, {}, {}, 10)), ElementsAre(2));
  insert({row("blue", kNoon - 48h, 0, 1)});
  EXPECT_EQ(store.list(kBlue, {}, {}, 10)->size(), 2U) << "a day that comes back is made anew";
}

TEST_F(RejectionStoreTest, ARedriveIsBegunOnceWithItsAuditRecord) {
  insert({row("blue", kNoon, 0, 1), row("blue", kNoon, 0, 2)});
  const auto begun = store.begin_redrive(redrive("r", until(kNoon + 1h)));
  ASSERT_TRUE(begun) << begun.error().message();
  EXPECT_EQ(begun->selected, 2);
  EXPECT_EQ(begun->state, "running");
  insert({row("blue", kNoon, 0, 3)});
  EXPECT_EQ(store.begin_redrive(redrive("r", until(kNoon + 1h)))->selected, 2) << "the same one";
  const auto other = store.begin_redrive(redrive("r", until(kNoon + 2h)));
  EXPECT_EQ(other.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(database.count({.all_tenants = true}, "outbox"), 1);
}

TEST_F(RejectionStoreTest, ARedriveOfTooManyOrATriedOneLeavesNothing) {
  insert({row("blue", kNoon, 0, 1), row("blue", kNoon, 0, 2), row("blue", kNoon, 0, 3)});
  auto asked = redrive("r", until(kNoon + 1h));
  asked.max_messages = 2;
  EXPECT_EQ(store.begin_redrive(asked).error().reason(), "too_many_messages");
  asked.max_messages = 3;
  asked.is_dry_run = true;
  const auto tried = store.begin_redrive(asked);
  ASSERT_TRUE(tried) << tried.error().message();
  EXPECT_EQ(tried->selected, 3);
  EXPECT_EQ(database.count({.all_tenants = true}, "redrives"), 0);
  EXPECT_EQ(database.count({.all_tenants = true}, "outbox"), 0);
}

TEST_F(RejectionStoreTest, TheRedriveThatWaitsLongestIsNext) {
  for (const char* const id : {"b", "a"}) {
    ASSERT_TRUE(store.begin_redrive(redrive(id, until(kNoon))));
  }
  database.database.execute(
      "UPDATE schema_validator.redrives SET updated_at = now() - "
      "CASE redrive_id WHEN 'b' THEN interval '2 minutes' ELSE interval '1 minute' END");
  auto next = store.next_redrive();
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->redrive_id, "b");
  ASSERT_TRUE(store.advance_redrive(**next, {}));
  next = store.next_redrive();
  EXPECT_EQ((*next)->redrive_id, "a") << "b had its turn";
  (*next)->state = "succeeded";
  ASSERT_TRUE(store.advance_redrive(**next, {}));
  EXPECT_EQ((*store.next_redrive())->redrive_id, "b");
  EXPECT_TRUE(store.find_redrive(kBlue, "a")->finished_at);
  EXPECT_EQ(store.list_redrives(kBlue, "", 1)->front().redrive_id, "a");
  EXPECT_EQ(store.list_redrives(kBlue, "a", 5)->front().redrive_id, "b");
}

TEST_F(RejectionStoreTest, AnInstanceThatComesLateTakesNoRedriveBack) {
  ASSERT_TRUE(store.begin_redrive(redrive("r", until(kNoon))));
  Redrive slow = **store.next_redrive();
  Redrive quick = slow;
  const auto go_on = [&](Redrive& one, std::int64_t offset) {
    const auto from = one.cursor;
    one.cursor = RejectionPlace{.rejected_at = kNoon, .partition = 0, .offset = offset};
    one.sent += 10;
    return store.advance_redrive(one, from);
  };
  ASSERT_TRUE(go_on(quick, 10));
  ASSERT_TRUE(go_on(quick, 20));
  const auto late = go_on(slow, 10);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), ErrorCode::kAborted);
  EXPECT_EQ(late.error().reason(), "redrive_moved");
  EXPECT_EQ(store.find_redrive(kBlue, "r")->cursor->offset, 20);
  quick.state = "succeeded";
  ASSERT_TRUE(store.advance_redrive(quick, quick.cursor));
  slow = *store.find_redrive(kBlue, "r");
  slow.state = "running";
  EXPECT_FALSE(store.advance_redrive(slow, slow.cursor)) << "what has ended does not begin again";
}

}  // namespace
}  // namespace sluice::validator::testing
