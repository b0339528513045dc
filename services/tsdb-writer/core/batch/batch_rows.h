#pragma once

#include "core/batch/batch.h"
#include "core/batch/group_encoder.h"
#include "ports.h"

#include <cstddef>
#include <vector>

namespace sluice::tsdb {

/// The rows of a batch, each encoded when its turn comes, so that no more than one chunk is in
/// memory. In order of device and hour: the table's pages and the index's then hold a device's rows
/// beside each other. The batch must outlive it and be filled no more.
class BatchRows final : public HotRowSource {
 public:
  explicit BatchRows(const Batch& batch);

  Result<bool> next(HotRow& row) override;
  void restart(const std::vector<bool>& left_out) override;

  /// Of the rows given since the last restart().
  std::int64_t chunk_bytes() const { return chunk_bytes_; }

 private:
  const Batch& batch_;
  GroupEncoder encoder_;
  std::vector<GroupIndex> order_;
  std::size_t next_ = 0;
  std::vector<bool> left_out_;
  std::vector<std::byte> chunk_;
  std::int64_t chunk_bytes_ = 0;
};

}  // namespace sluice::tsdb
