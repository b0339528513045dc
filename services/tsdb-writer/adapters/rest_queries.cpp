#include "adapters/rest_queries.h"

#include "adapters/rest_query_request.h"
#include "core/query/latest.h"
#include "core/query/plan.h"
#include "core/query/run.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <sluice/http/page.h>
#include <sluice/http/query_reader.h>

#include <nlohmann/json.hpp>

namespace sluice::tsdb {
namespace {

using http::Request;
using http::Response;

http::RouteOptions query_options(bool is_body) {
  http::RouteOptions options;
  options.action = "telemetry.query";
  for (const Format format : {Format::kJson, Format::kNdjson, Format::kCsv, Format::kColumnar}) {
    const std::string_view type = media_type(format);
    options.produces.emplace_back(type.substr(0, type.find(';')));
  }
  // The first one is there by default.
  options.produces.erase(options.produces.begin());
  options.is_read = is_body;
  return options;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : ", ") + part;
  return all;
}

/// Plans, so that everything that can be refused is, and answers with a stream: what has been read
/// waits for whoever asked, and no more than a piece of it is in memory.
Result<Response> answer(const QueryParts& parts, const Request& request, ReadQuery query,
                        std::string_view endpoint) {
  const MonoTime begun = parts.clock.mono();
  auto planned = plan_query(parts.source, request.tenant(), std::move(query.request), parts.limits,
                            parts.clock.wall());
  if (!planned) {
    parts.metrics.note(endpoint, fail(planned.error()), parts.clock.mono() - begun);
    return fail(planned.error());
  }
  // Shared with the stream, which is a copyable function.
  const auto plan = std::make_shared<const QueryPlan>(*std::move(planned));
  const Deadline deadline(parts.clock, parts.limits.timeout);
  auto stream = [parts, plan, deadline, format = query.format, endpoint,
                 begun](http::BodyWriter& writer) -> Result<> {
    AnswerSize size;
    const auto sink =
        make_format(format, [&](std::string_view piece) { return writer.write(piece); }, size);
    Result<> done = run_query(parts.source, *plan, deadline, *sink);
    parts.metrics.note(endpoint, done, parts.clock.mono() - begun);
    parts.metrics.note_answer(size, plan->head.tiers);
    return done;
  };
  Response response =
      Response::streamed(std::string(media_type(query.format.format)), std::move(stream))
          .with_header("Sluice-Resolution", plan->head.resolution)
          .with_header("Sluice-Tiers", joined(plan->head.tiers))
          .with_header("Cache-Control", "no-store");
  if (!plan->head.available_from) return response;
  return std::move(response).with_header("Sluice-Available-From",
                                         format_rfc3339(*plan->head.available_from));
}

Result<Response> device_metrics(const QueryParts& parts, const Request& request) {
  SLUICE_TRY_ASSIGN(ReadQuery query, read_device_query(request, parts.clock.wall()));
  return answer(parts, request, std::move(query), "device_metrics");
}

Result<Response> query_many(const QueryParts& parts, const Request& request) {
  SLUICE_TRY_ASSIGN(ReadQuery query, read_query_body(request, parts.limits, parts.clock.wall()));
  return answer(parts, request, std::move(query), "query");
}

Result<Response> latest(const QueryParts& parts, const Request& request) {
  http::QueryReader reader(request);
  const std::vector<std::string> names = reader.list("metric", kMaxNames, kMaxNameBytes);
  const bool with_iso_times = reader.one_of("times", {"ms", "iso"}) == "iso";
  SLUICE_TRY(reader.finish());
  SLUICE_TRY_ASSIGN(const auto values, latest_values(parts.source, request.tenant(),
                                                     request.param("device_id"), names));
  // By hand, so that numbers are spelled as they are in all other answers.
  std::string text = "{\"device\":";
  append_json_text(text, request.param("device_id"));
  text += ",\"values\":[";
  for (const LatestValue& each : values) {
    if (&each != values.data()) text += ',';
    text += "{\"metric\":";
    append_json_text(text, each.metric);
    text += ",\"unit\":";
    append_json_text(text, each.unit);
    text += ",\"type\":";
    append_json_text(text, series::to_string(each.type));
    text += ",\"time\":";
    if (with_iso_times) {
      append_json_text(text, format_rfc3339(WallTime(std::chrono::milliseconds(each.time_ms))));
    } else {
      text += std::to_string(each.time_ms);
    }
    text += ",\"value\":";
    append_json(text, each.value);
    text += ",\"tier\":";
    append_json_text(text, each.tier);
    text += '}';
  }
  text += "]}\n";
  return Response::bytes("application/json", std::move(text))
      .with_header("Cache-Control", "no-store");
}

Result<Response> metric_names(const QueryParts& parts, const Request& request) {
  http::QueryReader reader(request);
  const http::PageRequest page = http::read_page(reader, request, 1);
  SLUICE_TRY(reader.finish());
  SLUICE_TRY_ASSIGN(const StoredDevice device,
                    find_device(parts.source, request.tenant(), request.param("device_id")));
  MetricFilter filter;
  filter.device_types = std::vector{device.device_type};
  if (!page.after.empty()) filter.after = page.after.front();
  const auto size = static_cast<std::size_t>(page.size);
  // A name has a key for each of the five types at the most.
  SLUICE_TRY_ASSIGN(const auto metrics,
                    parts.source.metrics(request.tenant(), filter, (size + 1) * 5));
  nlohmann::json items = nlohmann::json::array();
  std::vector<std::string> next_after;
  for (const StoredMetric& metric : metrics) {
    if (!items.empty() && items.back()["metric"] == metric.name) {
      items.back()["types"].push_back(series::to_string(metric.type));
      continue;
    }
    if (items.size() == size) {
      next_after = {items.back()["metric"].get<std::string>()};
      break;
    }
    items.push_back({{"metric", metric.name},
                     {"unit", metric.unit},
                     {"types", nlohmann::json::array({series::to_string(metric.type)})}});
  }
  return http::list_response(request, std::move(items), next_after);
}

using QueryHandler = Result<Response> (*)(const QueryParts&, const Request&);

/// A handler whose result is counted; those that stream are counted at their end.
http::Handler counted(const QueryParts& parts, std::string_view endpoint, QueryHandler handler) {
  return [parts, endpoint, handler](const Request& request) -> Result<Response> {
    const MonoTime begun = parts.clock.mono();
    Result<Response> response = handler(parts, request);
    parts.metrics.note(endpoint, response ? Result<>() : Result<>(fail(response.error())),
                       parts.clock.mono() - begun);
    return response;
  };
}

}  // namespace

void add_query_routes(http::Router& router, const QueryParts& parts) {
  const auto viewer = http::Access::role(auth::Role::kViewer);
  router.get(
      "/v1/devices/{device_id}/metrics", viewer,
      [parts](const Request& request) { return device_metrics(parts, request); },
      query_options(false));
  router.get("/v1/devices/{device_id}/latest", viewer, counted(parts, "latest", latest),
             {.action = "telemetry.latest"});
  router.get("/v1/devices/{device_id}/metric-names", viewer,
             counted(parts, "metric_names", metric_names), {.action = "telemetry.metric_names"});
  router.post(
      "/v1/query", viewer, [parts](const Request& request) { return query_many(parts, request); },
      query_options(true));
}

}  // namespace sluice::tsdb
