// Any bytes as what a connection receives, and as a chunked body: whatever they are, the outcome
// does not depend on the pieces they arrive in, every view lies inside them, and a head that is
// accepted means the same to Boost.Beast.
#include <algorithm>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "plugin/http/request_reader.h"

namespace webhook::http {
namespace {

constexpr uint64_t kMostBytes = 4096;

void Check(bool holds) {
  if (!holds) std::abort();
}

bool Inside(absl::string_view part, absl::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

struct Decoded {
  ChunkedDecoder::Result result = ChunkedDecoder::Result::kMore;
  int status = 0;
  size_t taken = 0;  // meaningful when done
  std::string content;
};

Decoded Decode(absl::string_view input, size_t piece) {
  const Limits limits;
  ChunkedDecoder decoder(limits, kMostBytes);
  Decoded decoded;
  while (!input.empty() && decoded.result == ChunkedDecoder::Result::kMore) {
    absl::string_view left = input.substr(0, piece);
    const size_t given = left.size();
    do {
      const absl::string_view before = left;
      absl::string_view content;
      decoded.result = decoder.Next(left, content);
      Check(Inside(left, before) && Inside(content, before));
      if (decoded.result != ChunkedDecoder::Result::kContent) break;
      Check(!content.empty());
      decoded.content.append(content.data(), content.size());
    } while (true);
    decoded.taken += given - left.size();
    input.remove_prefix(given - left.size());
    Check(decoded.result != ChunkedDecoder::Result::kMore || left.empty());
  }
  decoded.status = decoder.refusal().status;
  Check(decoded.content.size() <= kMostBytes);
  Check((decoded.status != 0) == (decoded.result == ChunkedDecoder::Result::kRefused));
  return decoded;
}

void FuzzChunked(absl::string_view bytes) {
  const Decoded whole = Decode(bytes, std::max<size_t>(bytes.size(), 1));
  for (const size_t piece : {1, 3}) {
    const Decoded pieces = Decode(bytes, piece);
    Check(pieces.result == whole.result && pieces.status == whole.status);
    Check(pieces.content == whole.content);
    if (whole.result == ChunkedDecoder::Result::kDone) Check(pieces.taken == whole.taken);
  }
}

namespace beast = boost::beast;

// Boost.Beast's reading of a head, as a second opinion.
class SecondOpinion final : public beast::http::basic_parser<true> {
 public:
  SecondOpinion() {
    header_limit((std::numeric_limits<std::uint32_t>::max)());
    body_limit(boost::none);
  }

  std::string method, target;
  int version = 0;
  std::vector<std::pair<std::string, std::string>> fields;

 private:
  void on_request_impl(beast::http::verb, beast::string_view its_method,
                       beast::string_view its_target, int its_version,
                       beast::error_code&) override {
    method = std::string(its_method);
    target = std::string(its_target);
    version = its_version;
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     beast::error_code&) override {
    fields.emplace_back(std::string(name), std::string(value));
  }
  void on_header_impl(beast::error_code&) override {}
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view, beast::error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view, beast::error_code&) override {
    return 0;
  }
  void on_finish_impl(beast::error_code&) override {}
};

// What we accept another reader accepts, too, and sees the same in it. The other way round it need
// not be: we are stricter.
void CompareWithBeast(absl::string_view head, const HeadParser& parser) {
  const RequestHead& ours = parser.head();
  // Beast takes it for Connection; for RFC 9110 it is a field like any other.
  if (ours.Find("Proxy-Connection") != nullptr) return;
  while (head[0] == '\r' || head[0] == '\n') head.remove_prefix(1);
  SecondOpinion theirs;
  beast::error_code error;
  const size_t used = theirs.put(boost::asio::const_buffer(head.data(), head.size()), error);
  Check(!error && theirs.is_header_done() && used == head.size());
  Check(theirs.method == ours.method && theirs.version == 10 + ours.minor_version);
  absl::string_view path, query;
  Check(SplitTarget(theirs.target, ours.method, path, query));
  Check(path == ours.path && query == ours.query);
  Check(theirs.fields.size() == ours.fields.size());
  for (size_t i = 0; i < theirs.fields.size(); ++i) {
    Check(theirs.fields[i].first == ours.fields[i].name);
    Check(theirs.fields[i].second == ours.fields[i].value);
  }
  Check(theirs.chunked() == ours.chunked);
  const auto length = theirs.content_length();
  Check(length.has_value() == ours.content_length.has_value());
  Check(!length.has_value() || *length == *ours.content_length);
  Check(parser.keep_alive() == (ours.minor_version > 0 && theirs.keep_alive()));
}

void FuzzHead(absl::string_view bytes) {
  const Limits limits;
  HeadParser whole, pieces;
  whole.Begin(limits);
  pieces.Begin(limits);
  const HeadParser::Result result = whole.Feed(bytes.data(), bytes.size());
  HeadParser::Result piece_result = HeadParser::Result::kMore;
  // In memory of its own each time, so that a sanitizer sees a byte too far, and a stale view.
  std::vector<char> copy;
  const size_t step = bytes.size() < 1000 ? 1 : 97;
  for (size_t size = 0; size < bytes.size() && piece_result == HeadParser::Result::kMore;) {
    size = std::min(size + step, bytes.size());
    std::vector<char> next(bytes.begin(), bytes.begin() + size);
    piece_result = pieces.Feed(next.data(), size);
    copy.swap(next);
  }
  Check(piece_result == result && pieces.refusal().status == whole.refusal().status);
  Check((whole.refusal().status != 0) == (result == HeadParser::Result::kRefused));
  if (result != HeadParser::Result::kDone) return;
  Check(pieces.size() == whole.size() && whole.size() <= bytes.size());
  const absl::string_view head(copy.data(), pieces.size());
  const RequestHead& parsed = pieces.head();
  Check(!parsed.method.empty() && Inside(parsed.method, head) && Inside(parsed.query, head));
  Check(!(parsed.chunked && parsed.content_length.has_value()));
  for (const HeaderField& field : parsed.fields) {
    Check(!field.name.empty() && Inside(field.name, head) && Inside(field.value, head));
    Check(field.value.find_first_of(absl::string_view("\r\n\0", 3)) == absl::string_view::npos);
  }
  CompareWithBeast(head, pieces);
  if (parsed.chunked) FuzzChunked(bytes.substr(whole.size()));
}

// What a connection would make of the bytes: each request's outcome in turn.
std::string Read(absl::string_view bytes, size_t piece) {
  Limits limits;
  limits.body_bytes = kMostBytes;
  const ByteShares shares(limits);
  BytesInFlight all;
  AddressBytes address{.share = shares.all};
  ByteBudget budget(all, address, shares);
  RequestReader reader;
  Check(reader.Begin(limits, budget));
  std::string told;
  for (bool more = true; more;) {
    switch (reader.Next()) {
      case RequestReader::Event::kHead:
        told += "head " + std::string(reader.head().path);
        if (reader.head().method != "GET") {
          reader.ReadBody(kMostBytes);
          break;
        } else {
          const uint64_t length = reader.head().content_length.value_or(0);
          reader.Finish();
          if (length > 0) reader.Skip(length);
        }
        break;
      case RequestReader::Event::kBody: {
        const absl::string_view body = reader.body();
        Check(body.size() <= kMostBytes);
        for (size_t i = 0; i < kBodyPadding; ++i) Check(body.data()[body.size() + i] == '\0');
        told += " body " + std::string(body);
        reader.Finish();
        break;
      }
      case RequestReader::Event::kSkipped:
        told += " skipped";
        break;
      case RequestReader::Event::kRefused:
        told += " refused " + std::to_string(reader.refusal().status);
        more = false;
        break;
      case RequestReader::Event::kMore: {
        more = !bytes.empty();
        const std::span<char> space = reader.Space();
        const size_t count = std::min({piece, space.size(), bytes.size()});
        std::copy_n(bytes.begin(), count, space.begin());
        bytes.remove_prefix(count);
        reader.Received(count);
        break;
      }
    }
  }
  reader.End();
  Check(all.bytes == 0 && address.bytes == 0);
  return told;
}

void FuzzReader(absl::string_view bytes) {
  const std::string whole = Read(bytes, std::max<size_t>(bytes.size(), 1));
  Check(Read(bytes, bytes.size() < 1000 ? 1 : 97) == whole);
}

}  // namespace
}  // namespace webhook::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  webhook::http::FuzzHead(bytes);
  webhook::http::FuzzChunked(bytes);
  webhook::http::FuzzReader(bytes);
  return 0;
}
