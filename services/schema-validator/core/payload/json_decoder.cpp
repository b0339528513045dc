#include "core/payload/json_decoder.h"

#include <algorithm>
#include <string>
#include <string_view>

// Its checks of how it is used cost more than the parsing; the tests here walk every order there
// is.
#define SIMDJSON_DEVELOPMENT_CHECKS 0
#include <simdjson.h>

namespace sluice::validator {

struct JsonDecoder::Inside {
  simdjson::ondemand::parser parser{};
};

namespace {

using simdjson::ondemand::json_type;
using simdjson::ondemand::number_type;

static_assert(kPayloadPadding >= simdjson::SIMDJSON_PADDING);

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether a token that simdjson refuses is a number at all: then it is one that is too large.
bool is_number(std::string_view token) {
  const auto end = token.find_first_of(" \t\r\n,]}");
  token = token.substr(0, end);
  const auto digits = [&] {
    std::size_t count = 0;
    while (count < token.size() && is_digit(token[count])) ++count;
    token.remove_prefix(count);
    return count;
  };
  if (token.starts_with('-')) token.remove_prefix(1);
  const bool starts_with_zero = token.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (starts_with_zero && whole > 1)) return false;
  if (token.starts_with('.')) {
    token.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (!token.empty() && (token.front() == 'e' || token.front() == 'E')) {
    token.remove_prefix(1);
    if (!token.empty() && (token.front() == '+' || token.front() == '-')) token.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return token.empty();
}

/// Walks one document. Each function returns whether to go on.
template <typename Sink>
class Walk {
 public:
  Walk(const PayloadLimits& limits, Sink& sink) : limits_(limits), sink_(sink) {}

  bool document(simdjson::ondemand::document& document) {
    json_type type{};
    if (const auto error = document.type().get(type)) return malformed(error);
    bool goes_on = false;
    if (type == json_type::object) {
      simdjson::ondemand::object members;
      if (const auto error = document.get_object().get(members)) return malformed(error);
      goes_on = object(members);
    } else if (type == json_type::array) {
      simdjson::ondemand::array elements;
      if (const auto error = document.get_array().get(elements)) return malformed(error);
      goes_on = array(elements);
    } else {
      goes_on = scalar(document, type);
    }
    if (!goes_on) return false;
    return document.at_end() || fault(RejectReason::kMalformedPayload, "text after the value");
  }

  std::optional<Rejection> take_rejection() { return std::move(rejection_); }

 private:
  bool object(simdjson::ondemand::object members) {
    if (!enter() || !sink_.begin_object()) return false;
    for (auto member : members) {
      simdjson::ondemand::field field;
      if (const auto error = std::move(member).get(field)) return malformed(error);
      std::string_view key = field.escaped_key();
      if (key.find('\\') != std::string_view::npos) [[unlikely]] {
        if (const auto error = field.unescaped_key().get(key)) return malformed(error);
      }
      if (key.size() > limits_.max_text) return too_long();
      if (!sink_.on_key(key) || !value(field.value())) return false;
    }
    --depth_;
    return sink_.end_object();
  }

  bool array(simdjson::ondemand::array elements) {
    if (!enter() || !sink_.begin_array()) return false;
    for (auto element : elements) {
      simdjson::ondemand::value each;
      if (const auto error = std::move(element).get(each)) return malformed(error);
      if (!value(each)) return false;
    }
    --depth_;
    return sink_.end_array();
  }

  bool value(simdjson::ondemand::value value) {
    json_type type{};
    if (const auto error = value.type().get(type)) return malformed(error);
    if (type == json_type::object) {
      simdjson::ondemand::object members;
      if (const auto error = value.get_object().get(members)) return malformed(error);
      return object(members);
    }
    if (type == json_type::array) {
      simdjson::ondemand::array elements;
      if (const auto error = value.get_array().get(elements)) return malformed(error);
      return array(elements);
    }
    return scalar(value, type);
  }

  template <typename Value>
  bool scalar(Value& value, json_type type) {
    if (!count()) return false;
    switch (type) {
      case json_type::number: {
        simdjson::ondemand::number number;
        if (const auto error = value.get_number().get(number)) return no_number(value, error);
        if (number.is_double()) return sink_.on_double(number.get_double());
        if (number.is_int64()) return sink_.on_int64(number.get_int64());
        return sink_.on_uint64(number.get_uint64());
      }
      case json_type::string: {
        std::string_view text;
        if (const auto error = value.get_string().get(text)) return malformed(error);
        return text.size() <= limits_.max_text ? sink_.on_string(text) : too_long();
      }
      case json_type::boolean: {
        bool truth = false;
        if (const auto error = value.get_bool().get(truth)) return malformed(error);
        return sink_.on_bool(truth);
      }
      default: {
        bool is_null = false;
        if (const auto error = value.is_null().get(is_null)) return malformed(error);
        return is_null ? sink_.on_null()
                       : fault(RejectReason::kMalformedPayload, "a literal that is none");
      }
    }
  }

  bool enter() {
    if (++depth_ > limits_.max_depth) {
      return fault(RejectReason::kPayloadTooDeep,
                   "more than " + std::to_string(limits_.max_depth) + " levels");
    }
    return count();
  }
  bool count() {
    return ++values_ <= limits_.max_values ||
           fault(RejectReason::kPayloadTooComplex,
                 "more than " + std::to_string(limits_.max_values) + " values");
  }
  bool too_long() {
    return fault(RejectReason::kPayloadTooComplex,
                 "a text of more than " + std::to_string(limits_.max_text) + " bytes");
  }
  template <typename Value>
  bool no_number(Value& value, simdjson::error_code error) {
    std::string_view token;
    if constexpr (requires { value.raw_json_token().get(token); }) {
      if (value.raw_json_token().get(token) != simdjson::SUCCESS) return malformed(error);
    } else {
      token = value.raw_json_token();
    }
    if (!is_number(token)) return malformed(error);
    return fault(RejectReason::kNumberOutOfRange, "a number that no 64 bits hold");
  }
  bool malformed(simdjson::error_code error) {
    return fault(RejectReason::kMalformedPayload,
                 std::string("no JSON: ") + simdjson::error_message(error));
  }
  bool fault(RejectReason reason, std::string detail) {
    rejection_ = {.reason = reason, .detail = std::move(detail), .pointer = {}};
    return false;
  }

  const PayloadLimits& limits_;
  Sink& sink_;
  std::size_t depth_ = 0;
  std::size_t values_ = 0;
  std::optional<Rejection> rejection_{};
};

template <typename Sink>
std::optional<Rejection> decode_with(simdjson::ondemand::parser& parser,
                                     std::span<const std::byte> payload,
                                     const PayloadLimits& limits, Sink& sink) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (text.size() > limits.max_bytes) {
    return Rejection{.reason = RejectReason::kPayloadTooLarge,
                     .detail = "more than " + std::to_string(limits.max_bytes) + " bytes"};
  }
  // simdjson would skip it; RFC 8259 forbids to send one.
  if (text.starts_with("\xEF\xBB\xBF")) {
    return Rejection{.reason = RejectReason::kMalformedPayload, .detail = "a byte order mark"};
  }
  simdjson::ondemand::document document;
  const simdjson::padded_string_view padded(text, text.size() + kPayloadPadding);
  if (const auto error = parser.iterate(padded).get(document)) {
    return Rejection{.reason = RejectReason::kMalformedPayload,
                     .detail = std::string("no JSON: ") + simdjson::error_message(error)};
  }
  Walk<Sink> walk(limits, sink);
  walk.document(document);
  return walk.take_rejection();
}

}  // namespace

JsonDecoder::JsonDecoder() : inside_(std::make_unique<Inside>()) {}
JsonDecoder::~JsonDecoder() = default;

std::optional<Rejection> JsonDecoder::decode(std::span<const std::byte> payload,
                                             const PayloadLimits& limits, Extractor& extractor) {
  const std::string_view json(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (extractor.take_flat_json(json, limits)) return std::nullopt;
  return decode_generally(payload, limits, extractor);
}

std::optional<Rejection> JsonDecoder::decode_generally(std::span<const std::byte> payload,
                                                       const PayloadLimits& limits,
                                                       Extractor& extractor) {
  return decode_with(inside_->parser, payload, limits, extractor);
}

std::optional<Rejection> JsonDecoder::decode(std::span<const std::byte> payload,
                                             const PayloadLimits& limits, PayloadSink& sink) {
  return decode_with(inside_->parser, payload, limits, sink);
}

}  // namespace sluice::validator
