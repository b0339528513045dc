#include "text_column.h"

namespace sluice::series {
namespace {

enum class TextCodec : unsigned { kPlain = 0, kDictionary = 1 };

void put_plain(std::span<const std::string_view> texts, Bytes& out, TextScratch& scratch) {
  scratch.numbers.clear();
  for (const std::string_view text : texts) scratch.numbers.push_back(text.size());
  encode_integers(scratch.numbers, out, scratch.integers);
  for (const std::string_view text : texts) put_text(out, text);
}

void get_plain(Cursor& cursor, std::size_t limit, std::span<std::string_view> out) {
  std::vector<std::uint64_t> lengths(out.size());
  decode_integers(cursor, lengths);
  for (std::size_t i = 0; i < out.size() && !cursor.has_failed(); ++i) {
    if (lengths[i] > limit) return cursor.fail();
    const auto bytes = cursor.take(lengths[i]);
    out[i] = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
}

void get_dictionary(Cursor& cursor, std::size_t limit, std::span<std::string_view> out) {
  const std::uint64_t count = cursor.varint();
  // Every entry is used, hence there are no more than values.
  if (count == 0 || count > out.size()) return cursor.fail();
  std::vector<std::string_view> distinct(static_cast<std::size_t>(count));
  get_plain(cursor, limit, distinct);
  if (cursor.has_failed()) return;
  std::vector<std::uint64_t> ids(out.size());
  decode_integers(cursor, ids);
  for (std::size_t i = 0; i < out.size() && !cursor.has_failed(); ++i) {
    if (ids[i] >= count) return cursor.fail();
    out[i] = distinct[static_cast<std::size_t>(ids[i])];
  }
}

}  // namespace

void encode_texts(std::span<const std::string_view> texts, Bytes& out, TextScratch& scratch) {
  scratch.ids.clear();
  scratch.distinct.clear();
  std::size_t all_bytes = 0;
  std::size_t distinct_bytes = 0;
  for (const std::string_view text : texts) {
    all_bytes += text.size();
    if (scratch.ids.try_emplace(text, scratch.distinct.size()).second) {
      scratch.distinct.push_back(text);
      distinct_bytes += text.size() + 1;
    }
  }
  // The ids are fewer bits than the lengths that they stand for, or about as many.
  if (texts.size() > 1 && distinct_bytes > all_bytes) {
    put_byte(out, static_cast<unsigned>(TextCodec::kPlain));
    return put_plain(texts, out, scratch);
  }
  put_byte(out, static_cast<unsigned>(TextCodec::kDictionary));
  put_varint(out, scratch.distinct.size());
  put_plain(scratch.distinct, out, scratch);
  scratch.numbers.clear();
  for (const std::string_view text : texts) scratch.numbers.push_back(scratch.ids.at(text));
  encode_integers(scratch.numbers, out, scratch.integers);
}

void decode_texts(Cursor& cursor, std::size_t limit, std::span<std::string_view> out) {
  switch (static_cast<TextCodec>(cursor.byte())) {
    case TextCodec::kPlain:
      return get_plain(cursor, limit, out);
    case TextCodec::kDictionary:
      return get_dictionary(cursor, limit, out);
  }
  cursor.fail();
}

std::string_view text_codec_name(unsigned codec) { return codec == 0 ? "plain" : "dictionary"; }

}  // namespace sluice::series
