#include "host_stub/admin/metrics.h"

#include <initializer_list>
#include <limits>
#include <map>
#include <utility>

#include "host_stub/engine/hosted_instance.h"
#include "host_stub/observe/process.h"

namespace host_stub {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// An instance can have no such name: names begin with a letter or a digit.
constexpr char kUnknown[] = "_unknown";

using Labels = std::initializer_list<std::pair<const char*, absl::string_view>>;

ClientMetric WithLabels(Labels labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, std::string(value)});
  return metric;
}

// A family of counters or gauges.
class Family {
 public:
  Family(MetricType type, const char* name, const char* help) {
    family_.type = type;
    family_.name = name;
    family_.help = help;
  }

  Family& Add(Labels labels, double value) {
    ClientMetric& metric = family_.metric.emplace_back(WithLabels(labels));
    if (family_.type == MetricType::Counter) metric.counter.value = value;
    if (family_.type == MetricType::Gauge) metric.gauge.value = value;
    return *this;
  }
  Family& Add(Labels labels, int64_t value) { return Add(labels, static_cast<double>(value)); }

  // `counts`: of each bucket alone; one more than there are bounds.
  template <typename Bounds, typename Counts>
  Family& AddHistogram(Labels labels, const Bounds& bounds, const Counts& counts, double unit,
                       double sum) {
    ClientMetric& metric = family_.metric.emplace_back(WithLabels(labels));
    uint64_t total = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      total += static_cast<uint64_t>(counts[i]);
      if (i == bounds.size()) break;
      metric.histogram.bucket.push_back({total, static_cast<double>(bounds[i]) * unit});
    }
    metric.histogram.bucket.push_back({total, std::numeric_limits<double>::infinity()});
    metric.histogram.sample_count = total;
    metric.histogram.sample_sum = sum;
    return *this;
  }

  void MoveTo(std::vector<MetricFamily>& families) {
    if (!family_.metric.empty()) families.push_back(std::move(family_));
  }

 private:
  MetricFamily family_;
};

Family Counter(const char* name, const char* help) { return {MetricType::Counter, name, help}; }
Family Gauge(const char* name, const char* help) { return {MetricType::Gauge, name, help}; }
Family Histogram(const char* name, const char* help) {
  return {MetricType::Histogram, name, help};
}

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

const char* RouteName(RequestDurations::Route route) {
  switch (route) {
    case RequestDurations::Route::kInstance:
      return "/instance/execute/{instance}";
    case RequestDurations::Route::kListen:
      return "/";
    case RequestDurations::Route::kNone:
      break;
  }
  return "";
}

void AddHttp(const RequestDurations& durations, const HostState& state,
             std::vector<MetricFamily>& families) {
  Family histogram = Histogram("http_server_request_duration_seconds",
                               "Time from a request's first byte to its answer");
  durations.ForEach([&](const RequestDurations::Series& series) {
    histogram.AddHistogram({{"http_request_method", series.method},
                            {"http_response_status_code", series.status},
                            {"http_route", RouteName(series.route)},
                            {"url_scheme", series.over_tls ? "https" : "http"}},
                           RequestDurations::kBounds, series.counts, 1e-9,
                           static_cast<double>(series.sum_ns) * 1e-9);
  });
  histogram.MoveTo(families);
  Gauge("http_server_active_requests", "Requests of the front that have a head and no answer yet")
      .Add({}, state.front_active_requests)
      .MoveTo(families);
  Gauge("generic_webhook_front_connections", "Open connections of the front")
      .Add({}, state.front_connections)
      .MoveTo(families);
  Gauge("generic_webhook_front_bytes_in_flight",
        "Bytes of requests and unread answers of the front, which bytes_in_flight limits")
      .Add({}, state.front_bytes_in_flight)
      .MoveTo(families);
}

// The families that have the label `instance`, filled instance by instance.
struct OfInstances {
  Family requests = Counter("generic_webhook_requests_total",
                            "Requests and refused connections by door and outcome");
  Family refused = Counter("generic_webhook_refused_total",
                           "Requests and connections that were not answered as their sender "
                           "wished, by reason");
  Family received = Counter("generic_webhook_received_bytes_total", "Bytes of requests");
  Family created = Counter("generic_webhook_incidents_created_total", "Incidents that were created");
  Family duplicate = Counter("generic_webhook_incidents_duplicate_total",
                             "Incidents that were not created because their delivery key is known");
  Family hidden = Counter("generic_webhook_incidents_hidden_total",
                          "Incidents that were not created because their delivery key is known with "
                          "another content");
  Family forgotten = Counter("generic_webhook_delivery_keys_forgotten_total",
                             "Delivery keys that were forgotten before their time, for want of room");
  Family in_flight = Gauge("generic_webhook_calls_in_flight", "Requests that the plugin has");
  Family faults = Counter("generic_webhook_plugin_faults_total", "Faults of the plugin");
  Family up = Gauge("generic_webhook_instance_up",
                    "1 if the instance serves, 0 if it should and does not");

  void AddTraffic(absl::string_view instance, const TrafficCounts& counts) {
    for (int door = 0; door < kDoors; ++door) {
      for (int i = 0; i < static_cast<int>(Outcome::kCount); ++i) {
        const auto outcome = static_cast<Outcome>(i);
        const int64_t count = counts.of(door, outcome);
        // The usual ones are there from the start, so that a rate of them can be asked for.
        const bool usual = instance != kUnknown && outcome == Outcome::kAccepted &&
                           (door == LRI_DOOR_FRONT || door == LRI_DOOR_LISTEN);
        if (count == 0 && !usual) continue;
        requests.Add({{"instance", instance}, {"via", DoorName(door)},
                      {"outcome", OutcomeName(outcome)}},
                     count);
      }
    }
    for (const auto& [reason, count] : counts.reasons()) {
      refused.Add({{"instance", instance}, {"reason", reason}}, count);
    }
    received.Add({{"instance", instance}}, counts.bytes_received());
  }

  void Add(const InstanceEntry& entry) {
    const std::string& name = entry.settings.name;
    const Labels instance = {{"instance", name}};
    if (!entry.settings.disabled) {
      const bool serves = entry.instance != nullptr && !entry.start_error.has_value() &&
                          entry.instance->health().state != HealthState::kUnhealthy;
      up.Add(instance, int64_t{serves});
    }
    if (entry.instance == nullptr) return;
    AddTraffic(name, entry.instance->traffic());
    const InstanceCounts counts = entry.instance->counts();
    created.Add(instance, counts.incidents_created);
    duplicate.Add(instance, counts.incidents_duplicate);
    hidden.Add(instance, counts.incidents_hidden);
    forgotten.Add(instance, counts.keys_forgotten_early);
    in_flight.Add(instance, counts.calls_in_flight);
    faults.Add(instance, counts.faults);
  }

  void MoveTo(std::vector<MetricFamily>& families) {
    for (Family* family : {&requests, &refused, &received, &created, &duplicate, &hidden,
                           &forgotten, &in_flight, &faults, &up}) {
      family->MoveTo(families);
    }
  }
};

void AddProcess(std::vector<MetricFamily>& families) {
  const ProcessUse use = ReadProcessUse();
  Counter("process_cpu_seconds_total", "Processor time")
      .Add({}, absl::ToDoubleSeconds(use.processor))
      .MoveTo(families);
  Gauge("process_resident_memory_bytes", "Resident memory").Add({}, use.resident_bytes)
      .MoveTo(families);
  Gauge("process_virtual_memory_bytes", "Virtual memory").Add({}, use.virtual_bytes)
      .MoveTo(families);
  Gauge("process_open_fds", "Open file descriptors").Add({}, use.open_descriptors)
      .MoveTo(families);
  Gauge("process_max_fds", "File descriptors that the system permits").Add({}, use.most_descriptors)
      .MoveTo(families);
  Gauge("process_threads", "Threads").Add({}, use.threads).MoveTo(families);
  Gauge("process_start_time_seconds", "When the process was started, in Unix time")
      .Add({}, Seconds(use.started))
      .MoveTo(families);
}

}  // namespace

std::vector<MetricFamily> HostMetrics::Collect() const {
  std::vector<MetricFamily> families;
  const HostState state = parts_.state();
  AddHttp(parts_.traffic->durations(), state, families);

  OfInstances of_instances;
  of_instances.AddTraffic(kUnknown, parts_.traffic->without_instance());
  const std::shared_ptr<const InstanceSnapshot> snapshot = parts_.instances->current();
  for (const auto& [name, entry] : snapshot->entries()) of_instances.Add(*entry);
  of_instances.MoveTo(families);

  Gauge("generic_webhook_store_up", "1 if the last commit succeeded, 0 if the store cannot write")
      .Add({}, int64_t{parts_.store->health().ok()})
      .MoveTo(families);
  Gauge("generic_webhook_config_last_reload_successful",
        "1 if the configuration was taken over when it was last read")
      .Add({}, int64_t{state.last_reload_succeeded})
      .MoveTo(families);
  Gauge("generic_webhook_config_last_reload_success_timestamp_seconds",
        "When the configuration was last taken over, in Unix time")
      .Add({}, Seconds(state.last_reload))
      .MoveTo(families);
  Counter("generic_webhook_log_lines_dropped_total",
          "Lines that were left out of the log, because of log_lines_per_second or because they "
          "could not be written at once")
      .Add({}, parts_.logger->dropped())
      .MoveTo(families);
  Family limits = Gauge("generic_webhook_limit", "The limits of the configuration, by name");
  for (const webhook::LimitDescription& limit : webhook::DescribeLimits()) {
    limits.Add({{"name", limit.name}}, parts_.limits.*limit.member);
  }
  limits.MoveTo(families);
  Gauge("generic_webhook_build_info", "1, with the version as a label")
      .Add({{"version", parts_.version}}, int64_t{1})
      .MoveTo(families);
  AddProcess(families);
  return families;
}

}  // namespace host_stub
