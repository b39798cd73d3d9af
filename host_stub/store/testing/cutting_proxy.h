// Stands between a store and PostgreSQL, and cuts a connection at one message of their protocol.
#ifndef HOST_STUB_STORE_TESTING_CUTTING_PROXY_H_
#define HOST_STUB_STORE_TESTING_CUTTING_PROXY_H_

#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace host_stub {

class CuttingProxy {
 public:
  struct Cut {
    bool to_server = true;
    int messages = 0;             // so many pass, counted in that direction over all connections
    std::string last_words = "";  // instead of the next one: a fatal error with this code
  };

  // To the server whose unix socket is in that folder.
  explicit CuttingProxy(std::string server_folder);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  // The folder with the proxy's own socket.
  const std::string& folder() const { return folder_; }
  // From now on: messages are counted anew, also after each cut.
  void CutAt(std::deque<Cut> cuts);
  int cuts_left() const;
  // Since CutAt was called last.
  int messages(bool to_server) const;

 private:
  void Accept();
  void Pass(int from, int to, bool to_server);
  // Whether the message may pass. Or else changes it to the last words.
  bool Count(bool to_server, std::string& message);

  const std::string server_;
  std::string folder_;
  int listener_ = -1;
  mutable std::mutex mutex_;
  std::deque<Cut> cuts_;
  int messages_[2] = {};
  std::set<int> open_;
  std::vector<std::thread> threads_;
  std::thread accepter_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_CUTTING_PROXY_H_
