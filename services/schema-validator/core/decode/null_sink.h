#pragma once

#include "core/payload/payload_sink.h"

namespace sluice::validator {

/// Takes everything and keeps nothing: for finding out whether bytes read as a format.
class NullSink final : public PayloadSink {
 public:
  bool on_null() override { return true; }
  bool on_bool(bool) override { return true; }
  bool on_int64(std::int64_t) override { return true; }
  bool on_uint64(std::uint64_t) override { return true; }
  bool on_double(double) override { return true; }
  bool on_string(std::string_view) override { return true; }
  bool on_bytes(std::span<const std::byte>) override { return true; }
  bool begin_object() override { return true; }
  bool on_key(std::string_view) override { return true; }
  bool end_object() override { return true; }
  bool begin_array() override { return true; }
  bool end_array() override { return true; }
};

}  // namespace sluice::validator
