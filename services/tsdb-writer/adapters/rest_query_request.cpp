#include "adapters/rest_query_request.h"

#include "core/query/parse.h"

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/http/json_reader.h>
#include <sluice/http/query_reader.h>
#include <sluice/http_semantics/field_text.h>

#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using namespace std::chrono_literals;

// What a query without `from` looks at.
constexpr auto kDefaultRange = std::chrono::hours(1);

constexpr std::array<std::pair<std::string_view, Format>, 4> kAccepted = {
    {{"text/csv", Format::kCsv},
     {"application/x-ndjson", Format::kNdjson},
     {"application/vnd.sluice.columnar+json", Format::kColumnar},
     {"application/json", Format::kJson}}};

/// The first type of Accept that we know; what is not acceptable at all the server has refused.
Format accepted_format(const http::Request& request) {
  const std::string accept = request.headers.joined("Accept").value_or("");
  std::size_t first = std::string::npos;
  Format format = Format::kJson;
  for (const auto& [type, each] : kAccepted) {
    if (const std::size_t at = accept.find(type); at < first) {
      first = at;
      format = each;
    }
  }
  return format;
}

/// Reads texts of either kind of request into a query; `fault` is told of each that is wrong.
template <typename Reader>
class Texts {
 public:
  Texts(Reader& reader, ReadQuery& query) : reader_(reader), query_(query) {}

  template <typename Value, typename Parse>
  void take(std::string_view name, const std::optional<std::string>& text, Parse parse,
            Value& into) {
    if (!text) return;
    auto value = parse(*text);
    if (value) {
      into = *std::move(value);
    } else {
      reader_.fault(name, value.error().message());
    }
  }

  void take_range(const std::optional<std::string>& from, const std::optional<std::string>& to,
                  WallTime now) {
    QueryRequest& request = query_.request;
    request.to = now + 1ms;
    take("to", to, parse_time, request.to);
    request.from = request.to - kDefaultRange;
    take("from", from, parse_time, request.from);
  }

  void take_aggregates(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      Aggregate aggregate{};
      take("agg", name, parse_aggregate, aggregate);
      auto& all = query_.request.aggregates;
      if (std::ranges::contains(all, aggregate)) continue;
      all.push_back(aggregate);
    }
  }

  /// Without a resolution values are raw, with aggregates windows are chosen.
  void take_resolution(const std::optional<std::string>& text) {
    QueryRequest& request = query_.request;
    if (!request.aggregates.empty()) request.resolution.kind = Resolution::Kind::kAuto;
    take("resolution", text, parse_resolution, request.resolution);
  }

  void take_format(const std::optional<std::string>& format,
                   const std::optional<std::string>& times) {
    take("format", format, parse_format, query_.format.format);
    query_.format.with_iso_times = times == "iso";
  }

 private:
  Reader& reader_;
  ReadQuery& query_;
};

std::vector<std::string> parts_of(const std::vector<std::string>& lists) {
  std::vector<std::string> all;
  for (const std::string& list : lists) {
    for (std::string& part : split_list(list)) all.push_back(std::move(part));
  }
  return all;
}

constexpr std::int64_t kMaxLimit = 10'000'000;
// Fleet, class and three attributes: groups multiply, and each is held in memory.
constexpr std::size_t kMaxGroupBy = 5;
constexpr std::string_view kAttribute = "attribute.";
constexpr std::size_t kMaxAttributeBytes = 64;  // as the registry's

void take_attribute(http::JsonReader& reader, std::string name, std::vector<std::string>& names) {
  if (name.empty() || name.size() > kMaxAttributeBytes) {
    return reader.fault("group_by", "attributes have names of 1 to 64 bytes");
  }
  if (name.contains('\0')) return reader.fault("group_by", "a name holds a zero byte");
  if (!std::ranges::contains(names, name)) names.push_back(std::move(name));
}

}  // namespace

Result<ReadQuery> read_device_query(const http::Request& request, WallTime now) {
  ReadQuery query{.request = {}, .format = {.format = accepted_format(request)}};
  query.request.devices = {request.param("device_id")};
  http::QueryReader reader(request);
  Texts texts(reader, query);
  query.request.metrics = parts_of(reader.list("metric", kMaxNames, 4096));
  if (query.request.metrics.size() > kMaxNames) reader.fault("metric", "names more than 100");
  for (const std::string& name : query.request.metrics) {
    if (name.empty() || name.size() > kMaxNameBytes) {
      reader.fault("metric", "names must have 1 to 255 bytes");
    }
  }
  const auto from = reader.text("from");
  texts.take_range(from, reader.text("to"), now);
  texts.take_aggregates(parts_of(reader.list("agg", kAggregateCount)));
  texts.take_resolution(reader.text("resolution"));
  texts.take("fill", reader.text("fill"), parse_fill, query.request.fill);
  query.request.limit =
      static_cast<std::size_t>(reader.integer("limit", {.min = 1, .max = kMaxLimit}).value_or(0));
  const auto format = reader.text("format");
  texts.take_format(format, reader.one_of("times", {"ms", "iso"}));
  SLUICE_TRY(reader.finish());
  return query;
}

Result<ReadQuery> read_query_body(const http::Request& request, const QueryLimits& limits,
                                  WallTime now) {
  SLUICE_TRY_ASSIGN(const nlohmann::json body, request.json());
  http::QueryReader parameters(request);
  ReadQuery query{.request = {}, .format = {.format = accepted_format(request)}};
  const auto format = parameters.text("format");
  Texts(parameters, query).take_format(format, parameters.one_of("times", {"ms", "iso"}));
  SLUICE_TRY(parameters.finish());

  http::JsonReader reader(body);
  Texts texts(reader, query);
  QueryRequest& wanted = query.request;
  const http::JsonTextRule id{.min_size = 1, .max_size = 255};
  wanted.devices =
      reader.optional_text_list("devices", {.min_items = 1, .max_items = limits.max_devices}, id)
          .value_or(std::vector<std::string>());
  wanted.fleet = reader.optional_text("fleet", id);
  wanted.device_type = reader.optional_text("device_type", id);
  wanted.metrics = reader.text_list("metrics", {.min_items = 1, .max_items = kMaxNames}, id);
  const auto from = reader.optional_text("from");
  texts.take_range(from, reader.optional_text("to"), now);
  texts.take_aggregates(
      reader.optional_text_list("agg", {.min_items = 1, .max_items = kAggregateCount})
          .value_or(std::vector<std::string>()));
  texts.take_resolution(reader.optional_text("resolution"));
  texts.take("fill", reader.optional_text("fill"), parse_fill, wanted.fill);
  if (const auto names = reader.optional_text_list("group_by", {.max_items = kMaxGroupBy})) {
    wanted.group_by.emplace();
    for (const std::string& name : *names) {
      if (name.starts_with(kAttribute)) {
        take_attribute(reader, name.substr(kAttribute.size()), wanted.group_attributes);
        continue;
      }
      GroupBy group{};
      texts.take("group_by", name, parse_group_by, group);
      wanted.group_by->push_back(group);
    }
  }
  reader.optional_object("top", [&](http::JsonReader& top) {
    Top ranked{.count = static_cast<std::size_t>(top.integer("count", {.min = 1, .max = 1'000}))};
    const auto by = parse_aggregate(top.optional_text("by").value_or("avg"));
    if (by) {
      ranked.by = *by;
    } else {
      top.fault("by", by.error().message());
    }
    ranked.is_lowest = top.optional_text("order", {.one_of = {"highest", "lowest"}}) == "lowest";
    wanted.top = ranked;
  });
  wanted.limit = static_cast<std::size_t>(
      reader.optional_integer("limit", {.min = 1, .max = kMaxLimit}).value_or(0));
  SLUICE_TRY(reader.finish());
  return query;
}

}  // namespace sluice::tsdb
