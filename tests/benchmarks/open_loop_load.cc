// Sends one HTTP request again and again at a fixed rate, whatever the server does, on one
// connection after the other. Prints `begin` once it is warm, and at the end one line of JSON with
// the latencies. Each is counted from the moment at which the request was due:
// a server that stands still for a while pays for all that should have been sent meanwhile
// ("coordinated omission" would leave those out).
// Usage: open_loop_load PORT REQUEST_FILE CONNECTIONS RATE SECONDS WARM_SECONDS
//   PORT          of 127.0.0.1
//   REQUEST_FILE  head and body, as they are sent
//   RATE          requests a second
//   WARM_SECONDS  sent before, and not counted
#include <sys/prctl.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using asio::ip::tcp;

struct Options {
  uint16_t port;
  std::string request_file;
  int connections;
  double rate;
  double seconds;
  double warm_seconds;
};

// What the run adds up to.
struct Results {
  std::vector<double> microseconds;
  int64_t errors = 0;  // answers other than 200, and connections that ended
};

class Connection {
 public:
  using Done = std::function<void(Connection&, bool ok)>;

  Connection(asio::io_context& context, const tcp::endpoint& server, const std::string& request,
             Done done)
      : socket_(context), request_(request), done_(std::move(done)) {
    socket_.connect(server);
    socket_.set_option(tcp::no_delay(true));
    socket_.non_blocking(true);
  }

  void Send(Clock::time_point due) {
    due_ = due;
    answer_.clear();
    // Small enough for the socket's buffer: it is empty, for the last request was answered.
    asio::async_write(socket_, asio::buffer(request_),
                      [this](const boost::system::error_code& error, size_t) {
                        if (error) return done_(*this, false);
                        Read();
                      });
  }

  Clock::time_point due() const { return due_; }

 private:
  void Read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [this](const boost::system::error_code& error, size_t size) {
                              if (error) return done_(*this, false);
                              answer_.append(buffer_, size);
                              if (!IsWhole()) return Read();
                              done_(*this, answer_.compare(8, 5, " 200 ") == 0);
                            });
  }

  // All servers here answer with a Content-Length, in one case or the other.
  bool IsWhole() const {
    const size_t head = answer_.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    size_t length = answer_.find("ontent-");
    for (; length != std::string::npos && length < head;
         length = answer_.find("ontent-", length + 1)) {
      const std::string name = answer_.substr(length + 7, 8);
      if (name != "Length: " && name != "length: ") continue;
      return answer_.size() >= head + 4 + std::stoul(answer_.substr(length + 15));
    }
    return true;
  }

  tcp::socket socket_;
  const std::string& request_;
  const Done done_;
  Clock::time_point due_;
  std::string answer_;
  char buffer_[16 * 1024];
};

class Load {
 public:
  Load(const Options& options, const std::string& request)
      : options_(options), timer_(context_), begin_(Clock::now()) {
    const tcp::endpoint server(asio::ip::address_v4::loopback(), options.port);
    for (int i = 0; i < options.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(
          context_, server, request,
          [this](Connection& connection, bool ok) { Take(connection, ok); }));
      idle_.push_back(connections_.back().get());
    }
    results_.microseconds.reserve(static_cast<size_t>(options.rate * options.seconds) + 1);
  }

  const Results& Run() {
    begin_ = Clock::now();
    SendWhatIsDue();
    context_.run();
    return results_;
  }

 private:
  Clock::time_point Due(int64_t number) const {
    return begin_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(static_cast<double>(number) / options_.rate));
  }

  bool IsWarm(Clock::time_point time) const {
    return time - begin_ >= std::chrono::duration<double>(options_.warm_seconds);
  }

  // Requests that find every connection busy wait, and their time runs.
  void SendWhatIsDue() {
    const Clock::time_point now = Clock::now();
    if (!is_warm_ && IsWarm(now)) {
      is_warm_ = true;
      std::printf("begin\n");
      std::fflush(stdout);
    }
    const Clock::time_point end =
        begin_ + std::chrono::duration_cast<Clock::duration>(
                     std::chrono::duration<double>(options_.warm_seconds + options_.seconds));
    for (; Due(next_) <= now && Due(next_) < end; ++next_) waiting_.push_back(Due(next_));
    while (!waiting_.empty() && !idle_.empty()) {
      Connection* const connection = idle_.front();
      idle_.pop_front();
      connection->Send(waiting_.front());
      waiting_.pop_front();
    }
    if (Due(next_) >= end) return;
    timer_.expires_at(Due(next_));
    timer_.async_wait([this](const boost::system::error_code&) { SendWhatIsDue(); });
  }

  void Take(Connection& connection, bool ok) {
    const std::chrono::duration<double, std::micro> latency = Clock::now() - connection.due();
    if (!ok) {
      ++results_.errors;
    } else if (IsWarm(connection.due())) {
      results_.microseconds.push_back(latency.count());
    }
    if (!waiting_.empty()) {
      connection.Send(waiting_.front());
      waiting_.pop_front();
    } else {
      idle_.push_back(&connection);
    }
  }

  const Options options_;
  asio::io_context context_{1};
  asio::steady_timer timer_;
  Clock::time_point begin_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<Connection*> idle_;           // the one that has rested longest is first
  std::deque<Clock::time_point> waiting_;  // when each was due
  int64_t next_ = 0;
  bool is_warm_ = false;
  Results results_;
};

double Percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const Options options{static_cast<uint16_t>(std::stoi(argv[1])),
                        argv[2],
                        std::stoi(argv[3]),
                        std::stod(argv[4]),
                        std::stod(argv[5]),
                        std::stod(argv[6])};

  ::prctl(PR_SET_TIMERSLACK, 1);  // the kernel would be up to 50 us late
  std::ifstream file(options.request_file, std::ios::binary);
  const std::string request{std::istreambuf_iterator<char>(file), {}};
  Load load(options, request);
  Results results = load.Run();
  std::sort(results.microseconds.begin(), results.microseconds.end());
  std::printf(
      "{\"requests\":%zu,\"errors\":%lld,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
      "\"max_us\":%.1f}\n",
      results.microseconds.size(), static_cast<long long>(results.errors),
      Percentile(results.microseconds, 0.5), Percentile(results.microseconds, 0.99),
      Percentile(results.microseconds, 0.999), Percentile(results.microseconds, 1));
  return results.microseconds.empty() ? 1 : 0;
}
