#pragma once

#include "ports.h"
#include "testing/fake_stores.h"
#include "writer/tables.h"

#include <span>
#include <vector>

namespace sluice::simulation {

/// The hot store with its failures.
class SimHotStore final : public tsdb::HotStore {
 public:
  explicit SimHotStore(World& world) : world_(world) {}

  Result<std::vector<std::optional<tsdb::Offset>>> positions(
      std::span<const tsdb::TopicPartition> partitions) override;
  Result<tsdb::FlushReport> flush(std::span<const tsdb::PartitionSpan> spans,
                                  tsdb::HotRowSource& rows) override;

  const tsdb::testing::FakeHotStore& rows() const { return rows_; }

 private:
  /// How many of them are in the tables whole.
  std::size_t stored_already(std::span<const tsdb::PartitionSpan> spans) const;

  World& world_;
  tsdb::testing::FakeHotStore rows_;
};

/// The dictionary with its failures.
class SimDictionary final : public tsdb::DictionaryStore {
 public:
  explicit SimDictionary(World& world) : world_(world) {}

  Result<Keys> resolve(std::span<const tsdb::DeviceIdentity> devices,
                       std::span<const tsdb::MetricIdentity> metrics) override;

  const tsdb::testing::FakeDictionary& names() const { return names_; }

 private:
  World& world_;
  tsdb::testing::FakeDictionary names_;
};

struct Tables::Parts {
  explicit Parts(World& world) : hot(world), dictionary(world) {}
  SimHotStore hot;
  SimDictionary dictionary;
};

}  // namespace sluice::simulation
