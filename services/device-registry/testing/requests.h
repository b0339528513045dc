#pragma once

#include "core/caller.h"
#include "core/importer.h"
#include "ports.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Callers and inputs for tests.
namespace sluice::registry::testing {

/// Lines from a text.
class TextLines final : public LineSource {
 public:
  explicit TextLines(std::string text) : text_(std::move(text)) {}
  Result<> read(const Line& line) override {
    std::uint64_t number = 0;
    for (std::size_t begin = 0; begin < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', begin), text_.size());
      SLUICE_TRY(line(std::string_view(text_).substr(begin, end - begin), ++number));
      begin = end + 1;
    }
    return {};
  }

 private:
  std::string text_;
};

/// Keeps what it is told.
class AuditList final : public AuditTrail {
 public:
  void record(const common::v1::AuditRecord& record) override { records.push_back(record); }
  std::vector<common::v1::AuditRecord> records;
};

inline Caller admin_of(std::string tenant) {
  return {.home = TenantId(tenant),
          .tenant = TenantId(tenant),
          .role = Role::kAdmin,
          .kind = common::v1::AUDIT_ACTOR_KIND_API_KEY,
          .id = "key-of-" + tenant,
          .address = "192.0.2.1",
          .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
}

}  // namespace sluice::registry::testing
