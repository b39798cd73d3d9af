// Reads a JSON document that a person wrote, with errors that name the file, the place and the
// reason.
#ifndef HOST_STUB_CONFIG_DOCUMENT_READER_H_
#define HOST_STUB_CONFIG_DOCUMENT_READER_H_

#include <functional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plugin/base/json_reader.h"

namespace host_stub {

// Reads the document from front to back. Every function that reads a value reads the one that comes
// next, whole; `place` says in messages where that is, as in instances[0].name, and is empty for
// the document itself. After an error nothing more may be read. Not thread-safe. Wipes its copy of
// the text, which may hold secrets.
class DocumentReader {
 public:
  // `file` is how messages call the document.
  explicit DocumentReader(std::string file);
  ~DocumentReader();
  DocumentReader(const DocumentReader&) = delete;
  DocumentReader& operator=(const DocumentReader&) = delete;

  // Copies the text and checks all of it. INVALID_ARGUMENT: it is not JSON, with line and column.
  absl::Status Open(absl::string_view text);

  // INVALID_ARGUMENT "FILE: PLACE: reason".
  absl::Status Fault(absl::string_view place, absl::string_view reason) const;

  // Calls `take` for every member of an object in order, until it fails. `take` reads the member's
  // value. A repeated name is a fault, and so is one that is not in `known`, unless that is empty.
  using TakeMember = std::function<absl::Status(absl::string_view name, const std::string& place)>;
  absl::Status EachMember(const std::string& place, std::span<const absl::string_view> known,
                          const TakeMember& take);

  // The same for the elements of an array.
  absl::Status EachElement(const std::string& place,
                           const std::function<absl::Status(const std::string& place)>& take);

  base::JsonKind NextKind() const;

  // A fault where the value is of another type.
  absl::Status String(absl::string_view place, std::string& text);
  absl::Status Boolean(absl::string_view place, bool& flag);
  // A whole number, in decimal.
  absl::Status WholeNumber(absl::string_view place, std::string& text);

  // What a string stands for; of any other value its JSON text, without blanks around its parts.
  std::string Text();

  // "must be WANTED, but is ...", of the value that comes next.
  absl::Status WrongType(absl::string_view place, absl::string_view wanted) const;

 private:
  const std::string file_;
  std::string text_;  // with the reader's padding
  base::JsonReader reader_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_DOCUMENT_READER_H_
