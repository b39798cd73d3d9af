// Any bytes as what a connection receives, and as a chunked body: whatever they are, the outcome
// does not depend on the pieces they arrive in, and every view lies inside them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "plugin/http/chunked_decoder.h"
#include "plugin/http/head_parser.h"
#include "plugin/http/head_scan.h"

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

void FuzzHead(absl::string_view bytes) {
  const Limits limits;
  HeadScan whole(limits), octetwise(limits);
  const HeadScan::Result result = whole.Feed(bytes.data(), bytes.size());
  HeadScan::Result piece_result = HeadScan::Result::kMore;
  for (size_t size = 1; size <= bytes.size() && piece_result == HeadScan::Result::kMore; ++size) {
    piece_result = octetwise.Feed(bytes.data(), size);
  }
  Check(piece_result == result && octetwise.refusal().status == whole.refusal().status);
  if (result != HeadScan::Result::kDone) return;
  Check(whole.begin() == octetwise.begin() && whole.end() == octetwise.end());
  Check(whole.begin() < whole.end() && whole.end() <= bytes.size());
  // Memory of its own, so that a sanitizer sees a byte too far.
  const absl::string_view view = bytes.substr(whole.begin(), whole.end() - whole.begin());
  const std::vector<char> copy(view.begin(), view.end());
  const absl::string_view head(copy.data(), copy.size());
  std::vector<HeaderField> fields;
  ParsedHead parsed;
  if (ParseHead(head, fields, parsed).status != 0) return;
  Check(!parsed.head.method.empty() && Inside(parsed.head.method, head));
  Check(Inside(parsed.head.query, head));
  Check(!(parsed.head.chunked && parsed.head.content_length.has_value()));
  for (const HeaderField& field : parsed.head.fields) {
    Check(!field.name.empty() && Inside(field.name, head) && Inside(field.value, head));
    Check(field.value.find_first_of(absl::string_view("\r\n\0", 3)) == absl::string_view::npos);
  }
  if (parsed.head.chunked) FuzzChunked(bytes.substr(whole.end()));
}

}  // namespace
}  // namespace webhook::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  webhook::http::FuzzHead(bytes);
  webhook::http::FuzzChunked(bytes);
  return 0;
}
