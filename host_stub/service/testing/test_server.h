// A gRPC server over the smallest plugin, with a store that a test can hold back.
#ifndef HOST_STUB_SERVICE_TESTING_TEST_SERVER_H_
#define HOST_STUB_SERVICE_TESTING_TEST_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/service/grpc_server.h"
#include "host_stub/store/testing/forwarding_store.h"
#include "plugin/http/event_loop.h"

namespace host_stub {

// Passes everything on to a memory store. Batches wait while it is held, so that calls stay in
// flight.
class HoldingStore : public ForwardingStore {
 public:
  void Hold();
  // Lets one waiting batch go, or all; after ReleaseAll it no longer holds.
  void ReleaseOne();
  void ReleaseAll();
  void AwaitHeld(int count);
  int held() const;
  int most_held() const;

  // Reads by id wait, each on its thread. reads() counts how many began.
  void HoldReads(bool hold);
  void AwaitReads(int count);
  int reads() const;

  absl::Status Create(Submission* submission) override;
  absl::StatusOr<StoredIncident> Get(int64_t id) override;
  // As a shared store whose database is away.
  std::atomic<bool> unreadable = false;
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override {
    return unreadable ? nullptr : ForwardingStore::Subscribe(std::move(committed));
  }

 private:
  mutable absl::Mutex mutex_;
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Submission*> held_ ABSL_GUARDED_BY(mutex_);
  int most_held_ ABSL_GUARDED_BY(mutex_) = 0;
  bool holding_reads_ ABSL_GUARDED_BY(mutex_) = false;
  int reads_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Two instances, "first" and "second", served on both listeners. Two more are only listed:
// "third_disabled", and "unserved", which should serve but does not.
class TestServer {
 public:
  explicit TestServer(const webhook::Limits& limits = {});
  ~TestServer();

  HoldingStore& store() { return *store_; }
  GrpcServer& server() { return *server_; }
  GrpcServerParts Parts() const;
  GrpcServerOptions Options() const;
  const std::string& folder() const { return folder_; }
  RecordingLogger& logger() { return *logger_; }
  void StopServer() { server_.reset(); }

 private:
  std::string folder_;
  webhook::Limits limits_;
  std::shared_ptr<HoldingStore> store_;
  std::unique_ptr<webhook::http::IoThreads> io_threads_;
  const std::shared_ptr<RecordingLogger> logger_ = std::make_shared<RecordingLogger>();
  std::shared_ptr<HostedPlugin> plugin_;
  const std::shared_ptr<PublishedInstances> instances_ = std::make_shared<PublishedInstances>();
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_TESTING_TEST_SERVER_H_
