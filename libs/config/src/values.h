#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/config/settings.h>

/// The written forms of values. Reading gives an error whose message goes after a setting's name:
/// `"5 apples" is not a whole number`.
namespace sluice::config_detail {

Result<std::int64_t> read_integer(std::string_view text);
Result<double> read_number(std::string_view text);
Result<bool> read_boolean(std::string_view text);
Result<std::chrono::milliseconds> read_duration(std::string_view text);
Result<Bytes> read_bytes(std::string_view text);
/// Whether it is host:port.
Result<> check_listen_address(std::string_view text);
/// Valid UTF-8 without control characters, so that it can be shown anywhere.
Result<> check_printable(std::string_view text);
/// Splits at commas and takes the blanks around the items away; an empty text is an empty list.
std::vector<std::string> read_list(std::string_view text);

std::string write(std::int64_t value);
std::string write(double value);
std::string write(bool value);
std::string write(std::chrono::milliseconds value);
std::string write(Bytes value);
std::string write(const std::vector<std::string>& items);

/// For messages: in quotation marks, cut where it is long, whatever it holds made visible.
std::string quote(std::string_view text);

/// The one of `names` that `text` most probably means; empty when none is near.
std::string closest(std::string_view text, const std::vector<std::string>& names);

}  // namespace sluice::config_detail
