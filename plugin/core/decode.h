// Undoes the Content-Encoding of a body (RFC 9110 section 8.4), and converts its charset to UTF-8.
#ifndef PLUGIN_CORE_DECODE_H_
#define PLUGIN_CORE_DECODE_H_

#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/header_view.h"
#include "plugin/limits/limits.h"

namespace webhook::core {

// A decoded body. 64 readable bytes follow `text()`.
struct DecodedBody {
  absl::string_view text() const { return {bytes.get(), size}; }

  std::unique_ptr<char[]> bytes;
  size_t size = 0;
};

// Whether a Content-Encoding or a charset is named, or begins the body as a byte order mark, so
// that DecodeBody is needed: anything but identity and UTF-8.
bool IsEncoded(absl::string_view body, std::span<const HeaderView> headers);

// The codings that DecodeBody undoes, as a 415 tells them (RFC 9110 section 12.5.3).
inline constexpr absl::string_view kAcceptEncoding = "gzip, deflate, br, zstd";

enum class DecodeStep { kCoding, kCharset };

// Undoes gzip (RFC 1952, of one member or several), x-gzip, deflate (RFC 1950, or the raw RFC 1951
// that some senders mean by it), br (RFC 7932) and zstd (RFC 8878, of one frame or several, with a
// window of 8 MiB at most as RFC 9659 demands), and converts the charset that Content-Type names,
// or a byte order mark, to UTF-8. The text may begin with the mark of UTF-8.
//   INVALID_ARGUMENT   cut short, corrupt, or followed by other bytes; bytes that the charset does
//                      not have, or a mark of another one; HTTP 400
//   RESOURCE_EXHAUSTED longer than expanded_body_bytes or expansion_ratio allow; HTTP 413. What a
//                      sender may send uncompressed (body_bytes) has no ratio
//   UNIMPLEMENTED      another coding or charset, or several; HTTP 415
// `step`, if given, tells which of the two failed. Thread-safe. Besides the result it takes at most
// 20 MiB while it works, for what br and zstd look back upon.
absl::StatusOr<DecodedBody> DecodeBody(absl::string_view body, std::span<const HeaderView> headers,
                                       const Limits& limits, DecodeStep* step = nullptr);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DECODE_H_
