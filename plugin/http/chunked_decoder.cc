#include "plugin/http/chunked_decoder.h"

#include <algorithm>

#include "plugin/base/characters.h"

namespace webhook::http {

using base::IsBlank;

ChunkedDecoder::ChunkedDecoder(const Limits& limits, uint64_t most_bytes)
    : limits_(&limits), left_(most_bytes) {}

ChunkedDecoder::Result ChunkedDecoder::Refuse(int status, const char* text) {
  if (refusal_.status == 0) refusal_ = {status, text};
  return Result::kRefused;
}

ChunkedDecoder::Result ChunkedDecoder::Next(absl::string_view& input, absl::string_view& content) {
  while (state_ != State::kDone) {
    if (input.empty()) return Result::kMore;
    if (state_ == State::kContent) {
      const size_t run = std::min<uint64_t>(input.size(), size_);
      content = input.substr(0, run);
      input.remove_prefix(run);
      size_ -= run;
      if (size_ == 0) state_ = State::kContentCr;
      return Result::kContent;
    }
    const char octet = input[0];
    input.remove_prefix(1);
    const bool good =
        state_ >= State::kTrailerStart ? TakeTrailerOctet(octet) : TakeHeaderOctet(octet);
    if (!good) return Refuse(400, "the chunked body is malformed");
  }
  return Result::kDone;
}

bool ChunkedDecoder::TakeSizeDigit(char octet) {
  const int digit = base::HexDigit(octet);
  if (digit < 0) return any_digit_ && Go(State::kExtension) && TakeExtensionOctet(octet);
  any_digit_ = true;
  if (digits_ == 0 && digit == 0) {
    // Leading zeros are valid in any number (RFC 9112 section 7.1), so they are counted.
    return ++overhead_bytes_ <= limits_->request_line_bytes;
  }
  if (++digits_ > 16) return false;  // past 2^64
  size_ = size_ * 16 + digit;
  return true;
}

bool ChunkedDecoder::TakeHeaderOctet(char octet) {
  switch (state_) {
    case State::kSize:
      return TakeSizeDigit(octet);
    case State::kContentCr:
      return octet == '\r' && Go(State::kContentLf);
    case State::kContentLf:
      size_ = 0;
      digits_ = 0;
      any_digit_ = false;
      return octet == '\n' && Go(State::kSize);
    case State::kHeaderLf:
      if (size_ > left_) {
        Refuse(413, "the body is longer than the limit body_bytes");
        return false;
      }
      left_ -= size_;
      return octet == '\n' && Go(size_ == 0 ? State::kTrailerStart : State::kContent);
    default:
      return TakeExtensionOctet(octet);
  }
}

// chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
bool ChunkedDecoder::TakeExtensionOctet(char octet) {
  if (octet != '\r' && ++overhead_bytes_ > limits_->request_line_bytes) {
    Refuse(413, "the chunk extensions are longer than the limit request_line_bytes");
    return false;
  }
  switch (state_) {
    case State::kExtension:
      if (octet == '\r') return Go(State::kHeaderLf);
      if (octet == ';') return Go(State::kBeforeName);
      return IsBlank(octet) && Go(State::kAfterBlank);
    case State::kAfterBlank:
      return IsBlank(octet) || (octet == ';' && Go(State::kBeforeName));
    case State::kBeforeName:
      return IsBlank(octet) || (base::kTokenCharacters.Has(octet) && Go(State::kName));
    case State::kName:
      if (base::kTokenCharacters.Has(octet)) return true;
      if (octet == '\r') return Go(State::kHeaderLf);
      if (octet == ';') return Go(State::kBeforeName);
      if (octet == '=') return Go(State::kBeforeValue);
      return IsBlank(octet) && Go(State::kAfterName);
    case State::kAfterName:
      if (octet == ';') return Go(State::kBeforeName);
      if (octet == '=') return Go(State::kBeforeValue);
      return IsBlank(octet);
    case State::kBeforeValue:
      if (octet == '"') return Go(State::kQuoted);
      return IsBlank(octet) || (base::kTokenCharacters.Has(octet) && Go(State::kValue));
    case State::kValue:
      return base::kTokenCharacters.Has(octet) ||
             (Go(State::kExtension) && TakeExtensionOctet(octet));
    case State::kQuoted:
      if (octet == '"') return Go(State::kExtension);
      if (octet == '\\') return Go(State::kEscaped);
      return base::kFieldValueCharacters.Has(octet);
    case State::kEscaped:
      return Go(State::kQuoted) && base::kFieldValueCharacters.Has(octet);
    default:
      return false;
  }
}

bool ChunkedDecoder::TakeTrailerOctet(char octet) {
  if (++trailer_bytes_ > limits_->header_section_bytes) {
    Refuse(431, "the trailer section is longer than the limit header_section_bytes");
    return false;
  }
  switch (state_) {
    case State::kTrailerStart:
      if (octet == '\r') return Go(State::kFinalLf);
      if (++trailer_fields_ > limits_->header_fields) {
        Refuse(431, "there are more trailer fields than the limit header_fields");
        return false;
      }
      state_ = State::kTrailerName;
      return base::kTokenCharacters.Has(octet);
    case State::kTrailerName:
      if (octet == ':') return Go(State::kTrailerValue);
      return base::kTokenCharacters.Has(octet);
    case State::kTrailerValue:
      if (octet == '\r') return Go(State::kTrailerLf);
      return base::kFieldValueCharacters.Has(octet);
    case State::kTrailerLf:
      return octet == '\n' && Go(State::kTrailerStart);
    case State::kFinalLf:
      return octet == '\n' && Go(State::kDone);
    default:
      return false;
  }
}

}  // namespace webhook::http
