// TLS on one connection; knows nothing of the event loop.
//
// The connection reads ciphertext from the socket and passes it in as a block. Ciphertext to send
// is written to the socket directly, which must not block. One thread at a time.
#ifndef PLUGIN_HTTP_TLS_SESSION_H_
#define PLUGIN_HTTP_TLS_SESSION_H_

#include <cstddef>
#include <memory>

#include "absl/strings/string_view.h"
#include "plugin/http/tls_context.h"

struct ssl_st;

namespace webhook::http {

class TlsSession {
 public:
  enum class Result {
    kOk,
    kWantRead,   // more ciphertext is needed: Feed it, then call again
    kWantWrite,  // the socket is full: wait until it is writable, then call again
    kEnd,        // the peer has closed its side (close_notify)
    kError,      // the connection cannot be used any more
  };

  // Null when there is no memory. The session writes to `socket` but does not own it.
  static std::unique_ptr<TlsSession> Create(std::shared_ptr<const TlsContext> context, int socket);
  ~TlsSession();

  // Passes in a block that was read from the socket. It must stay in place until kWantRead is
  // returned, which means that all of it was taken.
  void Feed(absl::string_view ciphertext) { in_ = ciphertext; }

  Result Handshake();
  // After kOk, `*count` > 0 bytes were read or written.
  Result Read(char* data, size_t size, size_t* count);
  Result Write(absl::string_view data, size_t* count);
  // Sends close_notify, if the socket takes it at once.
  void Close();

 private:
  friend struct TlsSessionBio;

  TlsSession(std::shared_ptr<const TlsContext> context, int socket);
  Result Explain(int returned);

  std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  int socket_;
  absl::string_view in_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TLS_SESSION_H_
