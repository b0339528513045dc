#include "adapters/rest_prometheus.h"

#include "core/promql/answer.h"
#include "core/promql/attribute_labels.h"
#include "core/promql/form.h"
#include "core/promql/parser.h"
#include "core/promql/stored_series.h"
#include "core/query/run.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace sluice::tsdb {
namespace {

using http::Request;
using http::Response;
using promql::Form;

// As Prometheus has it, for Grafana asks for no more than fits on a screen.
constexpr std::int64_t kMaxSteps = 11'000;
constexpr std::string_view kFormType = "application/x-www-form-urlencoded";

Response json_response(std::string text, int status = 200) {
  Response response = Response::bytes("application/json", std::move(text));
  response.status = status;
  return std::move(response).with_header("Cache-Control", "no-store");
}

/// Errors of the inside tell nothing but that.
Response refused(const Request& request, const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kOutOfRange:
      // A query that is well-formed but cannot be carried out is Prometheus' "execution".
      if (!error.reason().empty()) {
        return json_response(promql::error_text("execution", error.message()), 422);
      }
      return json_response(promql::error_text("bad_data", error.message()), 400);
    case ErrorCode::kDeadlineExceeded:
      return json_response(promql::error_text("timeout", "the query took too long"), 503);
    case ErrorCode::kUnavailable:
    case ErrorCode::kResourceExhausted:
      return json_response(promql::error_text("unavailable", "the store is not available"), 503);
    default:
      if (request.log) {
        request.log->error("promql_failed", error);
      }
      return json_response(promql::error_text("internal", "something went wrong inside"), 500);
  }
}

Result<Form> form_of(const Request& request) {
  Form form;
  for (const auto& [name, value] : request.query) form.add(name, value);
  if (request.method == "POST") SLUICE_TRY(form.add_encoded(request.body));
  return form;
}

/// One query under way.
struct Asked {
  const QueryParts& parts;
  const Request& request;
  const Form& form;
  promql::StoredSeriesSource& source;
};

Result<Response> evaluated(const Asked& asked, const promql::Steps& steps, bool is_range) {
  SLUICE_TRY_ASSIGN(const promql::ExprPtr expr, promql::parse_query(asked.form.text("query")));
  if (is_range && expr->type == promql::ValueType::kText) {
    return fail(ErrorCode::kInvalidArgument,
                "invalid expression type \"string\" for range query, must be scalar or vector");
  }
  SLUICE_TRY_ASSIGN(auto value, promql::evaluate(*expr, steps, asked.source,
                                                 {.max_points = asked.parts.limits.max_points}));
  AnswerSize size;
  for (const promql::Line& line : value.lines) size.points += line.values.size();
  const auto& tiers = asked.source.tiers();
  asked.parts.metrics.note_answer(size, {tiers.begin(), tiers.end()});
  // Evaluated before the first byte, so that errors have a status; then written piece by piece.
  const auto shared = std::make_shared<promql::Evaluated>(std::move(value));
  auto stream = [shared, steps, is_range](http::BodyWriter& writer) -> Result<> {
    const WritePiece write = [&](std::string_view piece) { return writer.write(piece); };
    return is_range ? promql::write_matrix(std::move(*shared), steps, write)
                    : promql::write_instant(std::move(*shared), steps, write);
  };
  return Response::streamed("application/json", std::move(stream))
      .with_header("Cache-Control", "no-store");
}

Result<Response> query(const Asked& asked) {
  SLUICE_TRY_ASSIGN(const std::int64_t at,
                    asked.form.time("time", asked.parts.clock.wall().time_since_epoch().count()));
  return evaluated(asked, {.start_ms = at, .end_ms = at, .step_ms = 1}, false);
}

Result<Response> query_range(const Asked& asked) {
  promql::Steps steps;
  SLUICE_TRY_ASSIGN(steps.start_ms, asked.form.time("start", std::nullopt));
  SLUICE_TRY_ASSIGN(steps.end_ms, asked.form.time("end", std::nullopt));
  SLUICE_TRY_ASSIGN(steps.step_ms, asked.form.step("step"));
  if (steps.end_ms < steps.start_ms) {
    return fail(ErrorCode::kInvalidArgument,
                "invalid parameter \"end\": end timestamp must not be before start time");
  }
  if ((steps.end_ms - steps.start_ms) / steps.step_ms > kMaxSteps) {
    return fail(ErrorCode::kInvalidArgument,
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                "query resolution (?step=XX)");
  }
  return evaluated(asked, steps, true);
}

/// The labels of all series that any of match[] fits.
Result<std::set<promql::LabelSet>> matched(const Asked& asked, bool is_required) {
  const std::vector<std::string> selectors = asked.form.all("match[]");
  if (selectors.empty() && is_required) {
    return fail(ErrorCode::kInvalidArgument, "no match[] parameter provided");
  }
  std::set<promql::LabelSet> all;
  if (selectors.empty()) {
    SLUICE_TRY_ASSIGN(const auto found, asked.source.labels({}));
    all.insert(found.begin(), found.end());
  }
  for (const std::string& selector : selectors) {
    SLUICE_TRY_ASSIGN(const auto matchers, promql::parse_selector(selector));
    SLUICE_TRY_ASSIGN(const auto found, asked.source.labels(matchers));
    all.insert(found.begin(), found.end());
  }
  return all;
}

template <typename Items, typename Append>
Response data_response(const Items& items, Append append) {
  std::string text = R"({"status":"success","data":[)";
  bool is_first = true;
  for (const auto& item : items) {
    if (!is_first) text += ',';
    is_first = false;
    append(text, item);
  }
  return json_response(text + "]}");
}

Response text_list(const std::set<std::string, std::less<>>& texts) {
  return data_response(
      texts, [](std::string& out, const std::string& text) { append_json_text(out, text); });
}

Result<Response> labels(const Asked& asked) {
  std::set<std::string, std::less<>> names;
  if (asked.form.all("match[]").empty()) {
    SLUICE_TRY_ASSIGN(const auto all, asked.source.label_names());
    names.insert(all.begin(), all.end());
    return text_list(names);
  }
  SLUICE_TRY_ASSIGN(const auto series, matched(asked, false));
  for (const promql::LabelSet& each : series) {
    for (const auto& [name, value] : each) names.insert(name);
  }
  return text_list(names);
}

Result<Response> label_values(const Asked& asked) {
  const std::string& label = asked.request.param("label_name");
  std::set<std::string, std::less<>> values;
  if (label == promql::kNameLabel && asked.form.all("match[]").empty()) {
    // Without looking at devices, of which there may be many.
    SLUICE_TRY_ASSIGN(const auto metrics,
                      asked.parts.source.metrics(asked.request.tenant(), {}, 20'000));
    for (const StoredMetric& metric : metrics) values.insert(metric.name);
    return text_list(values);
  }
  if (promql::is_attribute_label(label) && asked.form.all("match[]").empty()) {
    SLUICE_TRY_ASSIGN(const auto found, asked.source.attribute_label_values(label));
    values.insert(found.begin(), found.end());
    return text_list(values);
  }
  SLUICE_TRY_ASSIGN(const auto series, matched(asked, false));
  for (const promql::LabelSet& each : series) {
    if (const auto value = each.get(label); !value.empty()) values.emplace(value);
  }
  return text_list(values);
}

Result<Response> series(const Asked& asked) {
  SLUICE_TRY_ASSIGN(const auto found, matched(asked, true));
  return data_response(found, [](std::string& out, const promql::LabelSet& labels) {
    out += promql::to_json(labels);
  });
}

Result<Response> metadata(const Asked& asked) {
  SLUICE_TRY_ASSIGN(const auto metrics,
                    asked.parts.source.metrics(asked.request.tenant(), {}, 20'000));
  std::string text = R"({"status":"success","data":{)";
  std::string_view last;
  for (const StoredMetric& metric : metrics) {
    if (metric.name == last) continue;
    if (!last.empty()) text += ',';
    last = metric.name;
    append_json_text(text, metric.name);
    text += R"(:[{"type":"gauge","help":"","unit":)";
    append_json_text(text, metric.unit);
    text += "}]";
  }
  return json_response(text + "}}");
}

Result<Response> build_info(const Asked&) {
  // Grafana asks which Prometheus it talks to. This one names the version whose reading API it has.
  return json_response(
      R"({"status":"success","data":{"version":"3.0.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":"","application":"sluice"}})");
}

using PromHandler = Result<Response> (*)(const Asked&);

http::Handler handled(const QueryParts& parts, std::string_view endpoint, PromHandler handler) {
  return [parts, endpoint, handler](const Request& request) -> Result<Response> {
    const MonoTime begun = parts.clock.mono();
    const Deadline deadline(parts.clock, parts.limits.timeout);
    promql::StoredSeriesSource source(parts.source, request.tenant(), parts.limits, parts.clock,
                                      deadline);
    const auto answer = [&]() -> Result<Response> {
      SLUICE_TRY_ASSIGN(const Form form, form_of(request));
      return handler({.parts = parts, .request = request, .form = form, .source = source});
    };
    Result<Response> response = answer();
    parts.metrics.note(endpoint, response ? Result<>() : Result<>(fail(response.error())),
                       parts.clock.mono() - begun);
    if (!response) return refused(request, response.error());
    return response;
  };
}

}  // namespace

void add_prometheus_routes(http::Router& router, const QueryParts& parts) {
  const auto viewer = http::Access::role(auth::Role::kViewer);
  // Grafana sends forms by POST unless told otherwise.
  const http::RouteOptions form{.action = "telemetry.promql",
                                .consumes = {std::string(kFormType)},
                                .is_body_optional = true,
                                .is_read = true};
  const auto add = [&](const std::string& path, std::string_view endpoint, PromHandler handler,
                       bool takes_form) {
    router.get(path, viewer, handled(parts, endpoint, handler), {.action = "telemetry.promql"});
    if (takes_form) router.post(path, viewer, handled(parts, endpoint, handler), form);
  };
  add("/api/v1/query", "promql_query", query, true);
  add("/api/v1/query_range", "promql_query_range", query_range, true);
  add("/api/v1/labels", "promql_labels", labels, true);
  add("/api/v1/label/{label_name}/values", "promql_label_values", label_values, false);
  add("/api/v1/series", "promql_series", series, true);
  add("/api/v1/metadata", "promql_metadata", metadata, false);
  add("/api/v1/status/buildinfo", "promql_buildinfo", build_info, false);
}

}  // namespace sluice::tsdb
