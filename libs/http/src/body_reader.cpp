#include <sluice/http/body_reader.h>

#include <format>
#include <string>
#include <utility>

namespace sluice::http {
namespace {

std::unexpected<Error> line_too_long(std::uint64_t number, std::size_t max_line) {
  return fail(Error(ErrorCode::kInvalidArgument,
                    std::format("line {} is longer than {} bytes", number, max_line))
                  .with_reason("line_too_long"));
}

}  // namespace

Result<> read_lines(
    BodyReader& body, std::size_t max_line,
    const std::function<Result<>(std::string_view line, std::uint64_t number)>& line) {
  std::string held;  // the start of a line whose end has not come yet
  std::uint64_t number = 1;

  const auto finish_line = [&](std::string_view text) -> Result<> {
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.size() > max_line) return line_too_long(number, max_line);
    if (!text.empty()) SLUICE_TRY(line(text, number));
    ++number;
    return {};
  };

  const auto take_piece = [&](std::string_view piece) -> Result<> {
    while (!piece.empty()) {
      const std::size_t end = piece.find('\n');
      const std::string_view head = piece.substr(0, end);
      // Never more than a line is held; the one byte is for a '\r' that is not part of it.
      if (held.size() + head.size() > max_line + 1) return line_too_long(number, max_line);
      if (end == std::string_view::npos) {
        held += head;
        return {};
      }
      piece.remove_prefix(end + 1);
      if (held.empty()) {
        SLUICE_TRY(finish_line(head));
      } else {
        held += head;
        SLUICE_TRY(finish_line(std::exchange(held, {})));
      }
    }
    return {};
  };
  SLUICE_TRY(body.read(take_piece));
  return held.empty() ? Result<>{} : finish_line(held);
}

}  // namespace sluice::http
