-- Views over ebrec's recordings for Trino; 'ebrec sql --dialect trino' prints this script.
-- 'man ebrec-recording' describes the rows of 'ebrec', which all views read.

create table if not exists ebrec_rows (
  kind varchar,
  host varchar,
  run_id varchar,
  ts timestamp(6),
  ts_sub_ns smallint,
  dur_ns bigint,
  cpu smallint,
  pid integer,
  tid integer,
  ppid integer,
  ns_pid integer,
  uid bigint,
  comm varchar,
  process varchar,
  cgroup_id bigint,
  container varchar,
  name varchar,
  kstack_id integer,
  ustack_id integer,
  ret bigint,
  bytes bigint,
  op varchar,
  state varchar,
  cause varchar,
  prio integer,
  waker_pid integer,
  waker_tid integer,
  waker_process varchar,
  dev varchar,
  sector bigint,
  family varchar,
  saddr varchar,
  sport integer,
  daddr varchar,
  dport integer,
  filename varchar,
  argv varchar,
  exit_code integer,
  metric varchar,
  unit varchar,
  key varchar,
  bucket_lo bigint,
  bucket_hi bigint,
  count bigint,
  sum bigint,
  min bigint,
  max bigint,
  p50 bigint,
  p99 bigint,
  id integer,
  frames array(integer),
  folded varchar,
  depth integer,
  module varchar,
  build_id varchar,
  file_offset bigint,
  module_addr bigint,
  arg_0 bigint,
  arg_1 bigint,
  arg_2 bigint,
  arg_3 bigint,
  arg_4 bigint,
  arg_5 bigint,
  str_0 varchar,
  str_1 varchar,
  str_2 varchar,
  attr varchar,
  value varchar,
  mono_ns bigint,
  boot_ns bigint,
  real_ns bigint,
  pid_start_ns bigint,
  flags bigint,
  line integer,
  wait_on varchar,
  wait_target bigint,
  wait_by varchar,
  wait_active_ns bigint,
  wait_unknown_ns bigint,
  wait_contended_ns bigint,
  wait_handed_ns bigint,
  wait_request_ns bigint,
  wait_question_ns bigint,
  wait_owner_tid integer,
  wait_name varchar,
  wait_peer_pid integer,
  unit_name varchar,
  pod varchar,
  process_cpu_ns bigint,
  process_max_rss_bytes bigint,
  sched_prev_pid integer,
  sched_prev_tid integer,
  sched_prev_comm varchar,
  sched_from_cpu smallint,
  offcpu_runnable_ns bigint,
  offcpu_waker_comm varchar,
  offcpu_waker_kstack_id integer,
  offcpu_waker_ustack_id integer,
  block_queue_ns bigint,
  block_flags varchar,
  memory_total_vm_bytes bigint,
  memory_anon_rss_bytes bigint,
  memory_file_rss_bytes bigint,
  memory_shmem_rss_bytes bigint,
  memory_swap_bytes bigint,
  memory_pgtables_bytes bigint,
  memory_oom_score_adj integer,
  memory_asker_pid integer,
  memory_asker_comm varchar,
  syscall_errno varchar,
  syscall_class varchar,
  irq_number integer,
  irq_delay_ns bigint,
  locks_address varchar,
  tcp_side varchar,
  tcp_sent_bytes bigint,
  tcp_received_bytes bigint,
  tcp_rtt_ns bigint,
  tcp_segments integer,
  dns_type varchar,
  dns_rcode varchar,
  dns_transport varchar,
  http_status smallint,
  http_side varchar,
  http_tls varchar,
  http_path varchar,
  http_route varchar,
  files_mount varchar,
  files_error varchar,
  signals_sender varchar,
  signals_sender_pid integer,
  signals_outcome varchar,
  events_function varchar,
  events_by varchar
) with (format = 'PARQUET', external_location = 's3://bucket/recordings/');

create or replace view ebrec as
select *, cast(round(to_unixtime(ts) * 1e6) as bigint) * 1000 + ts_sub_ns as ts_ns from ebrec_rows;

-- A recording's own facts: when and where it was made, how long its window was, and how.
-- select host, run_id, window_ns / 1e9 as seconds, command from ebrec_recordings
create or replace view ebrec_recordings as
select r.host, r.run_id,
  max(case when r.attr = 'ebrec.version' then r.value end) as version,
  max(case when r.attr = 'ebrec.host' then json_extract_scalar(r.value, '$.kernel') end) as kernel,
  max(case when r.attr = 'ebrec.command' then r.value end) as command,
  max(case when r.attr = 'ebrec.window' then cast(json_extract_scalar(r.value, '$.start_real_ns') as bigint) end) as start_ns,
  max(case when r.attr = 'ebrec.window' then cast(json_extract_scalar(r.value, '$.actual_ns') as bigint) end) as window_ns
from ebrec r
where r.kind = 'recording'
group by r.host, r.run_id;

-- Top processes by CPU: CPU time of each process, and how long its threads waited for a CPU.
-- select process, pid, cpu_ns / 1e9 as cpu_s from ebrec_processes order by cpu_ns desc limit 10
create or replace view ebrec_processes as
select r.host, r.run_id, max_by(r.process, r.ts_ns) as process, r.pid, r.pid_start_ns,
  sum(case when r.metric = 'sched.on_cpu' then r.sum else 0 end) as cpu_ns,
  sum(case when r.metric = 'sched.runqueue_latency' then r.sum else 0 end) as runqueue_ns
from ebrec r
where r.kind = 'metric' and r.metric in ('sched.on_cpu', 'sched.runqueue_latency') and r.pid is not null
group by r.host, r.run_id, r.pid, r.pid_start_ns;

-- Every metric as a whole: count, sum, extremes and percentiles, one row per recording and metric.
-- Counters have no percentiles. Values are in the unit of the row.
-- select metric, unit, n, p50, p99 from ebrec_metrics order by metric
create or replace view ebrec_metrics as
select g.host, g.run_id, g.metric, g.unit, g.n, g.total, g.smallest, g.largest,
  greatest(least(g.p50, g.largest), g.smallest) as p50,
  greatest(least(g.p90, g.largest), g.smallest) as p90,
  greatest(least(g.p99, g.largest), g.smallest) as p99,
  greatest(least(g.p999, g.largest), g.smallest) as p999
from (
  select k.host, k.run_id, k.metric, k.unit, coalesce(max(k.t_n), max(k.h_n)) as n, max(k.t_sum) as total,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_min else k.h_min end) as smallest,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_max else k.h_max end) as largest,
    min(case when k.up_to >= ceil(5e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p50,
    min(case when k.up_to >= ceil(9e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p90,
    min(case when k.up_to >= ceil(99e-2 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p99,
    min(case when k.up_to >= ceil(999e-3 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p999
  from (
    select c.host, c.run_id, c.metric, c.unit, c.lo, c.hi,
      case when c.lo is not null then
        sum(c.n) over (partition by c.host, c.run_id, c.metric, c.unit order by c.lo, c.hi rows between unbounded preceding and current row) end as up_to,
      sum(c.n) over (partition by c.host, c.run_id, c.metric, c.unit) as h_n,
      min(c.lo) over (partition by c.host, c.run_id, c.metric, c.unit) as h_min,
      max(c.hi) over (partition by c.host, c.run_id, c.metric, c.unit) - 1 as h_max,
      max(c.t_n) over (partition by c.host, c.run_id, c.metric, c.unit) as t_n,
      max(c.t_sum) over (partition by c.host, c.run_id, c.metric, c.unit) as t_sum,
      min(c.t_min) over (partition by c.host, c.run_id, c.metric, c.unit) as t_min,
      max(c.t_max) over (partition by c.host, c.run_id, c.metric, c.unit) as t_max
    from (
      select r.host, r.run_id, r.metric, r.unit, r.bucket_lo as lo, r.bucket_hi as hi,
        sum(case when r.kind = 'hist' then r.count end) as n,
        sum(case when r.kind = 'metric' then r.count end) as t_n,
        sum(r.sum) as t_sum,
        min(case when r.count > 0 then r.min end) as t_min,
        max(case when r.count > 0 then r.max end) as t_max
      from ebrec r
      where r.kind in ('hist', 'metric')
      group by r.host, r.run_id, r.metric, r.unit, r.bucket_lo, r.bucket_hi
    ) c
  ) k
  group by k.host, k.run_id, k.metric, k.unit
) g;

-- Percentiles by key: the same per value of the metric's dimensions, such as device and operation, or process.
-- select dev, op, n, p99 / 1e6 as p99_ms from ebrec_metrics_by_key where metric = 'block.device_time' order by p99 desc
create or replace view ebrec_metrics_by_key as
select g.host, g.run_id, g.metric, g.unit, g.key, g.pid, g.pid_start_ns, max_by(g.process, g.at_ns) over (partition by g.run_id, g.pid, g.pid_start_ns) as process, g.comm, g.dev, g.op, g.name, g.state, g.cause, g.n, g.total, g.smallest, g.largest,
  greatest(least(g.p50, g.largest), g.smallest) as p50,
  greatest(least(g.p90, g.largest), g.smallest) as p90,
  greatest(least(g.p99, g.largest), g.smallest) as p99,
  greatest(least(g.p999, g.largest), g.smallest) as p999
from (
  select k.host, k.run_id, k.metric, k.unit, k.key, k.pid, k.pid_start_ns, max_by(k.process, k.at_ns) as process, max_by(k.comm, k.at_ns) as comm, max_by(k.dev, k.at_ns) as dev, max_by(k.op, k.at_ns) as op, max_by(k.name, k.at_ns) as name, max_by(k.state, k.at_ns) as state, max_by(k.cause, k.at_ns) as cause, max(k.at_ns) as at_ns, coalesce(max(k.t_n), max(k.h_n)) as n, max(k.t_sum) as total,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_min else k.h_min end) as smallest,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_max else k.h_max end) as largest,
    min(case when k.up_to >= ceil(5e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p50,
    min(case when k.up_to >= ceil(9e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p90,
    min(case when k.up_to >= ceil(99e-2 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p99,
    min(case when k.up_to >= ceil(999e-3 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p999
  from (
    select c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns, c.process, c.comm, c.dev, c.op, c.name, c.state, c.cause, c.at_ns, c.lo, c.hi,
      case when c.lo is not null then
        sum(c.n) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns order by c.lo, c.hi rows between unbounded preceding and current row) end as up_to,
      sum(c.n) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) as h_n,
      min(c.lo) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) as h_min,
      max(c.hi) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) - 1 as h_max,
      max(c.t_n) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) as t_n,
      max(c.t_sum) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) as t_sum,
      min(c.t_min) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) as t_min,
      max(c.t_max) over (partition by c.host, c.run_id, c.metric, c.unit, c.key, c.pid, c.pid_start_ns) as t_max
    from (
      select r.host, r.run_id, r.metric, r.unit, r.key, r.pid, r.pid_start_ns, max_by(r.process, r.ts_ns) as process, max_by(r.comm, r.ts_ns) as comm, max_by(r.dev, r.ts_ns) as dev, max_by(r.op, r.ts_ns) as op, max_by(r.name, r.ts_ns) as name, max_by(r.state, r.ts_ns) as state, max_by(r.cause, r.ts_ns) as cause, max(r.ts_ns) as at_ns, r.bucket_lo as lo, r.bucket_hi as hi,
        sum(case when r.kind = 'hist' then r.count end) as n,
        sum(case when r.kind = 'metric' then r.count end) as t_n,
        sum(r.sum) as t_sum,
        min(case when r.count > 0 then r.min end) as t_min,
        max(case when r.count > 0 then r.max end) as t_max
      from ebrec r
      where r.kind in ('hist', 'metric')
      group by r.host, r.run_id, r.metric, r.unit, r.key, r.pid, r.pid_start_ns, r.bucket_lo, r.bucket_hi
    ) c
  ) k
  group by k.host, k.run_id, k.metric, k.unit, k.key, k.pid, k.pid_start_ns
) g;

-- Percentiles over time: the same per interval; ts_ns is the interval's end in nanoseconds since 1970.
-- select ts_ns, n, p99 / 1e3 as p99_us from ebrec_metrics_over_time where metric = 'sched.runqueue_latency' order by ts_ns
create or replace view ebrec_metrics_over_time as
select g.host, g.run_id, g.metric, g.unit, g.ts_ns, g.n, g.total, g.smallest, g.largest,
  greatest(least(g.p50, g.largest), g.smallest) as p50,
  greatest(least(g.p90, g.largest), g.smallest) as p90,
  greatest(least(g.p99, g.largest), g.smallest) as p99,
  greatest(least(g.p999, g.largest), g.smallest) as p999
from (
  select k.host, k.run_id, k.metric, k.unit, k.ts_ns, coalesce(max(k.t_n), max(k.h_n)) as n, max(k.t_sum) as total,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_min else k.h_min end) as smallest,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_max else k.h_max end) as largest,
    min(case when k.up_to >= ceil(5e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p50,
    min(case when k.up_to >= ceil(9e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p90,
    min(case when k.up_to >= ceil(99e-2 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p99,
    min(case when k.up_to >= ceil(999e-3 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p999
  from (
    select c.host, c.run_id, c.metric, c.unit, c.ts_ns, c.lo, c.hi,
      case when c.lo is not null then
        sum(c.n) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns order by c.lo, c.hi rows between unbounded preceding and current row) end as up_to,
      sum(c.n) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) as h_n,
      min(c.lo) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) as h_min,
      max(c.hi) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) - 1 as h_max,
      max(c.t_n) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) as t_n,
      max(c.t_sum) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) as t_sum,
      min(c.t_min) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) as t_min,
      max(c.t_max) over (partition by c.host, c.run_id, c.metric, c.unit, c.ts_ns) as t_max
    from (
      select r.host, r.run_id, r.metric, r.unit, r.ts_ns, r.bucket_lo as lo, r.bucket_hi as hi,
        sum(case when r.kind = 'hist' then r.count end) as n,
        sum(case when r.kind = 'metric' then r.count end) as t_n,
        sum(r.sum) as t_sum,
        min(case when r.count > 0 then r.min end) as t_min,
        max(case when r.count > 0 then r.max end) as t_max
      from ebrec r
      where r.kind in ('hist', 'metric')
      group by r.host, r.run_id, r.metric, r.unit, r.ts_ns, r.bucket_lo, r.bucket_hi
    ) c
  ) k
  group by k.host, k.run_id, k.metric, k.unit, k.ts_ns
) g;

-- Percentiles over hosts: the same over all recordings together. Buckets add up, so these are as exact as those of one recording.
-- select metric, hosts, n, p50, p99 from ebrec_fleet_metrics where unit = 'ns' order by metric
create or replace view ebrec_fleet_metrics as
select m.*, h.hosts, h.recordings
from (
  select g.metric, g.unit, g.n, g.total, g.smallest, g.largest,
  greatest(least(g.p50, g.largest), g.smallest) as p50,
  greatest(least(g.p90, g.largest), g.smallest) as p90,
  greatest(least(g.p99, g.largest), g.smallest) as p99,
  greatest(least(g.p999, g.largest), g.smallest) as p999
from (
  select k.metric, k.unit, coalesce(max(k.t_n), max(k.h_n)) as n, max(k.t_sum) as total,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_min else k.h_min end) as smallest,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_max else k.h_max end) as largest,
    min(case when k.up_to >= ceil(5e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p50,
    min(case when k.up_to >= ceil(9e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p90,
    min(case when k.up_to >= ceil(99e-2 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p99,
    min(case when k.up_to >= ceil(999e-3 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p999
  from (
    select c.metric, c.unit, c.lo, c.hi,
      case when c.lo is not null then
        sum(c.n) over (partition by c.metric, c.unit order by c.lo, c.hi rows between unbounded preceding and current row) end as up_to,
      sum(c.n) over (partition by c.metric, c.unit) as h_n,
      min(c.lo) over (partition by c.metric, c.unit) as h_min,
      max(c.hi) over (partition by c.metric, c.unit) - 1 as h_max,
      max(c.t_n) over (partition by c.metric, c.unit) as t_n,
      max(c.t_sum) over (partition by c.metric, c.unit) as t_sum,
      min(c.t_min) over (partition by c.metric, c.unit) as t_min,
      max(c.t_max) over (partition by c.metric, c.unit) as t_max
    from (
      select r.metric, r.unit, r.bucket_lo as lo, r.bucket_hi as hi,
        sum(case when r.kind = 'hist' then r.count end) as n,
        sum(case when r.kind = 'metric' then r.count end) as t_n,
        sum(r.sum) as t_sum,
        min(case when r.count > 0 then r.min end) as t_min,
        max(case when r.count > 0 then r.max end) as t_max
      from ebrec r
      where r.kind in ('hist', 'metric')
      group by r.metric, r.unit, r.bucket_lo, r.bucket_hi
    ) c
  ) k
  group by k.metric, k.unit
) g
) m
join (
  select c.metric as metric, c.unit as unit, count(distinct c.host) as hosts, count(distinct c.run_id) as recordings
  from ebrec c
  where c.kind = 'metric'
  group by c.metric, c.unit
) h on h.metric = m.metric and h.unit = m.unit;

-- The same per host, over all of its recordings.
-- select host, n, p99 / 1e3 as p99_us from ebrec_host_metrics where metric = 'sched.runqueue_latency' order by p99 desc
create or replace view ebrec_host_metrics as
select g.host, g.metric, g.unit, g.n, g.total, g.smallest, g.largest,
  greatest(least(g.p50, g.largest), g.smallest) as p50,
  greatest(least(g.p90, g.largest), g.smallest) as p90,
  greatest(least(g.p99, g.largest), g.smallest) as p99,
  greatest(least(g.p999, g.largest), g.smallest) as p999
from (
  select k.host, k.metric, k.unit, coalesce(max(k.t_n), max(k.h_n)) as n, max(k.t_sum) as total,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_min else k.h_min end) as smallest,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_max else k.h_max end) as largest,
    min(case when k.up_to >= ceil(5e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p50,
    min(case when k.up_to >= ceil(9e-1 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p90,
    min(case when k.up_to >= ceil(99e-2 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p99,
    min(case when k.up_to >= ceil(999e-3 * k.h_n) then k.lo + (k.hi - k.lo) / 2 end) as p999
  from (
    select c.host, c.metric, c.unit, c.lo, c.hi,
      case when c.lo is not null then
        sum(c.n) over (partition by c.host, c.metric, c.unit order by c.lo, c.hi rows between unbounded preceding and current row) end as up_to,
      sum(c.n) over (partition by c.host, c.metric, c.unit) as h_n,
      min(c.lo) over (partition by c.host, c.metric, c.unit) as h_min,
      max(c.hi) over (partition by c.host, c.metric, c.unit) - 1 as h_max,
      max(c.t_n) over (partition by c.host, c.metric, c.unit) as t_n,
      max(c.t_sum) over (partition by c.host, c.metric, c.unit) as t_sum,
      min(c.t_min) over (partition by c.host, c.metric, c.unit) as t_min,
      max(c.t_max) over (partition by c.host, c.metric, c.unit) as t_max
    from (
      select r.host, r.metric, r.unit, r.bucket_lo as lo, r.bucket_hi as hi,
        sum(case when r.kind = 'hist' then r.count end) as n,
        sum(case when r.kind = 'metric' then r.count end) as t_n,
        sum(r.sum) as t_sum,
        min(case when r.count > 0 then r.min end) as t_min,
        max(case when r.count > 0 then r.max end) as t_max
      from ebrec r
      where r.kind in ('hist', 'metric')
      group by r.host, r.metric, r.unit, r.bucket_lo, r.bucket_hi
    ) c
  ) k
  group by k.host, k.metric, k.unit
) g;

-- Where a service's time went: for each thread, time by state and cause; those of a thread add up to lived_ns.
-- A process and a thread have the last of their names in all rows, in this view and in the next two.
-- select tid, comm, state, cause, ns / 1e9 as seconds from ebrec_threads where process = 'redis-server' order by ns desc
create or replace view ebrec_threads as
select s.host, s.run_id, s.last_process as process, s.pid, s.pid_start_ns, s.tid, s.last_comm as comm,
  s.state, s.cause, sum(s.ns) as ns, sum(s.times) as times, s.lived_ns as lived_ns
from (
  select i.*,
    max_by(i.process, i.ts_ns) over (partition by i.run_id, i.pid, i.pid_start_ns) as last_process,
    max_by(i.comm, i.ts_ns) over (partition by i.run_id, i.pid, i.pid_start_ns, i.tid) as last_comm,
    sum(case when i.nth = 1 then i.dur_ns else 0 end) over (partition by i.run_id, i.pid, i.pid_start_ns, i.tid) as lived_ns
  from (
    select r.host, r.run_id, r.process, r.pid, r.pid_start_ns, r.tid, r.comm, r.state, r.cause, r.ts_ns, r.dur_ns, r.sum as ns, r.count as times,
      row_number() over (partition by r.run_id, r.pid, r.pid_start_ns, r.tid, r.ts_ns order by r.state, r.cause) as nth
    from ebrec r
    where r.kind = 'ledger'
  ) i
) s
group by s.host, s.run_id, s.last_process, s.pid, s.pid_start_ns, s.tid, s.last_comm, s.state, s.cause, s.lived_ns;

-- Who waited for whom: waits of each process, by what it waited for and whose thread ended them.
-- select process, waker_process, wait_on, waits, ns / 1e6 as ms from ebrec_waits order by ns desc limit 20
create or replace view ebrec_waits as
select w.host, w.run_id, w.last_process as process, w.pid, w.pid_start_ns,
  w.last_waker as waker_process, w.waker_pid, w.cause, w.wait_on, w.wait_by,
  sum(w.count) as waits, sum(w.sum) as ns, max(w.max) as longest_ns
from (
  select r.host, r.run_id, r.pid, r.pid_start_ns, r.waker_pid, r.cause, r.wait_on, r.wait_by, r.count, r.sum, r.max,
    max_by(r.process, r.ts_ns) over (partition by r.run_id, r.pid, r.pid_start_ns) as last_process,
    max_by(r.waker_process, r.ts_ns) over (partition by r.run_id, r.waker_pid) as last_waker
  from ebrec r
  where r.kind = 'wait'
) w
group by w.host, w.run_id, w.last_process, w.pid, w.pid_start_ns, w.last_waker, w.waker_pid, w.cause, w.wait_on, w.wait_by;

-- Samples of the CPUs ('cpu') and time asleep ('offcpu') by process and pair of stacks; stacks are ids of rows of kind 'stack'.
-- select profile, process, sum(ns) / 1e9 as seconds from ebrec_samples group by profile, process order by seconds desc
create or replace view ebrec_samples as
select t.host, t.run_id, case when t.kind = 'cpu_sample' then 'cpu' else 'offcpu' end as profile,
  t.last_process as process, t.pid, t.pid_start_ns, t.kstack_id, t.ustack_id, sum(t.sum) as ns, sum(t.count) as n
from (
  select r.host, r.run_id, r.kind, r.pid, r.pid_start_ns, r.kstack_id, r.ustack_id, r.sum, r.count,
    max_by(r.process, r.ts_ns) over (partition by r.run_id, r.pid, r.pid_start_ns) as last_process
  from ebrec r
  where r.kind = 'cpu_sample' or (r.kind = 'stack_total' and r.metric = 'offcpu.time' and coalesce(r.state, '') <> 'idle')
) t
group by t.host, t.run_id, t.kind, t.last_process, t.pid, t.pid_start_ns, t.kstack_id, t.ustack_id;

-- The frames of each stack, one row each: place 1 is the innermost.
-- select function, count(*) as stacks from ebrec_frames group by function order by stacks desc limit 20
create or replace view ebrec_frames as
select f.host, f.run_id, f.stack_id, f.place, coalesce(s.name, '[unknown]') as function, coalesce(s.module, '') as module
from (
  select r.host, r.run_id, r.id as stack_id, e.symbol_id, e.place
  from ebrec r cross join unnest(r.frames) with ordinality as e(symbol_id, place)
  where r.kind = 'stack'
) f
join ebrec s on s.run_id = f.run_id and s.id = f.symbol_id and s.kind = 'symbol';

-- Flame graph: folded stacks, the process outermost, as flamegraph.pl and speedscope read them.
-- Of time asleep, the scheduler's own frames are left out.
-- select stack, sum(ns) as ns from ebrec_flame_graph where profile = 'cpu' group by stack order by stack
create or replace view ebrec_flame_graph as
select p.host, p.run_id, p.profile, p.process,
  case
    when p.frames is null then p.process
    when p.profile = 'offcpu' and not regexp_like(p.frames, '^(__schedule|schedule|__cond_resched|schedule_timeout|schedule_preempt_disabled|schedule_hrtimeout_range_clock|schedule_hrtimeout_range|io_schedule|io_schedule_timeout)(;(__schedule|schedule|__cond_resched|schedule_timeout|schedule_preempt_disabled|schedule_hrtimeout_range_clock|schedule_hrtimeout_range|io_schedule|io_schedule_timeout))*$')
      then p.process || ';' || regexp_replace(p.frames, '(;(__schedule|schedule|__cond_resched|schedule_timeout|schedule_preempt_disabled|schedule_hrtimeout_range_clock|schedule_hrtimeout_range|io_schedule|io_schedule_timeout))+$', '')
    else p.process || ';' || p.frames
  end as stack,
  sum(p.ns) as ns, sum(p.n) as n
from (
  select w.host as host, w.run_id as run_id, w.profile as profile, coalesce(w.process, '?') as process, w.ns as ns, w.n as n,
    case
      when u.folded is null then k.folded
      when k.folded is null then u.folded
      else u.folded || ';' || k.folded
    end as frames
  from ebrec_samples w
  left join (select a.run_id, a.id, nullif(a.folded, '') as folded from ebrec a where a.kind = 'stack') u on u.run_id = w.run_id and u.id = w.ustack_id
  left join (select b.run_id, b.id, nullif(b.folded, '') as folded from ebrec b where b.kind = 'stack') k on k.run_id = w.run_id and k.id = w.kstack_id
) p
group by p.host, p.run_id, p.profile, p.process, p.frames;

-- Self and total time per function, on the CPUs and asleep. A function that is in a stack twice counts once in total_ns.
-- select function, module, self_ns / 1e6 as self_ms, total_ns / 1e6 as total_ms from ebrec_functions where profile = 'cpu' order by self_ns desc limit 20
create or replace view ebrec_functions as
select d.host, d.run_id, d.profile, d.function, d.module,
  sum(case when d.place = d.innermost then d.ns else 0 end) as self_ns, sum(d.ns) as total_ns
from (
  select c.host, c.run_id, c.profile, c.kstack_id, c.ustack_id, c.ns, c.function, c.module, c.innermost, min(c.place) as place
  from (
    select l.*, coalesce(
        min(case when l.profile = 'cpu' or l.function not in ('__schedule', 'schedule', '__cond_resched', 'schedule_timeout', 'schedule_preempt_disabled', 'schedule_hrtimeout_range_clock', 'schedule_hrtimeout_range', 'io_schedule', 'io_schedule_timeout') then l.place end)
          over (partition by l.run_id, l.profile, l.kstack_id, l.ustack_id),
        1) as innermost
    from (
      select w.host, w.run_id, w.profile, w.kstack_id, w.ustack_id, w.ns, k.function, k.module, k.place
      from (select x.host, x.run_id, x.profile, x.kstack_id, x.ustack_id, sum(x.ns) as ns from ebrec_samples x
        group by x.host, x.run_id, x.profile, x.kstack_id, x.ustack_id) w
      join ebrec_frames k on k.run_id = w.run_id and k.stack_id = w.kstack_id
      union all
      select w.host, w.run_id, w.profile, w.kstack_id, w.ustack_id, w.ns, u.function, u.module, u.place + coalesce(k.depth, 0) as place
      from (select x.host, x.run_id, x.profile, x.kstack_id, x.ustack_id, sum(x.ns) as ns from ebrec_samples x
        group by x.host, x.run_id, x.profile, x.kstack_id, x.ustack_id) w
      join ebrec_frames u on u.run_id = w.run_id and u.stack_id = w.ustack_id
      left join (select e.run_id, e.stack_id, max(e.place) as depth from ebrec_frames e group by e.run_id, e.stack_id) k
        on k.run_id = w.run_id and k.stack_id = w.kstack_id
    ) l
  ) c
  where c.place >= c.innermost
  group by c.host, c.run_id, c.profile, c.kstack_id, c.ustack_id, c.ns, c.function, c.module, c.innermost
) d
group by d.host, d.run_id, d.profile, d.function, d.module;

-- Slowest events of all kinds, without sleeps that last by design and lifetimes.
-- select kind, process, pid, name, op, dev, dur_ns / 1e6 as ms from ebrec_slow_events order by dur_ns desc limit 20
create or replace view ebrec_slow_events as
select r.host, r.run_id, r.ts_ns, r.kind, r.process, r.pid, r.tid, r.cpu, r.name, r.op, r.dev, r.filename, r.daddr, r.dport, r.ret,
  r.waker_process, r.dur_ns, r.kstack_id, r.ustack_id
from ebrec r
where r.dur_ns is not null and r.kind in ('wakeup', 'off_cpu', 'block_io', 'reclaim', 'compaction', 'syscall', 'irq', 'softirq', 'lock', 'tcp', 'dns', 'http', 'http_unanswered', 'file', 'signal_taken')
  and coalesce(r.state, '') not in ('idle', 'sleeping') and coalesce(r.syscall_class, '') <> 'wait'
  and not (r.kind = 'tcp' and coalesce(r.op, '') in ('close', 'still open'));

-- Process starts: every program of every process, with its arguments and how it ended.
-- status is the exit status or signal; 'running' at the window's end; 'replaced' by another program. A fork without a program has executed = false.
-- select ppid, pid, argv, dur_ns / 1e6 as ms, status from ebrec_process_starts order by start_ns
create or replace view ebrec_process_starts as
select e.host, e.run_id, e.pid, e.pid_start_ns, e.ppid, e.comm, e.argv, e.executed, e.start_ns, e.end_ns - e.start_ns as dur_ns,
  case e.next_kind
    when 'exec' then 'replaced'
    when 'exit' then coalesce(cast(e.next_exit_code as varchar), e.next_name)
    else 'running'
  end as status, e.cpu_ns, e.max_rss_bytes
from (
  select s.host, s.run_id, s.pid, s.pid_start_ns, s.kind = 'exec' as executed,
    case when s.kind = 'exec' and s.last_kind = 'fork' then coalesce(s.ppid, s.last_ppid) else s.ppid end as ppid,
    case when s.next_kind = 'exit' then coalesce(s.next_comm, s.comm) else s.comm end as comm,
    case when s.kind = 'exec' then coalesce(s.argv, s.filename) end as argv,
    s.kind, s.next_kind, s.next_exit_code, s.next_name, s.next_cpu_ns as cpu_ns, s.next_max_rss_bytes as max_rss_bytes,
    case when s.kind = 'exec' and s.last_kind = 'fork' then s.last_ns else s.ts_ns end as start_ns,
    s.next_ns as end_ns
  from (
    select r.host, r.run_id, r.pid, r.pid_start_ns, r.kind, r.ppid, r.comm, r.argv, r.filename, r.ts_ns,
      lag(r.kind) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as last_kind,
      lag(r.ppid) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as last_ppid,
      lag(r.ts_ns) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as last_ns,
      lead(r.kind) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_kind,
      lead(r.comm) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_comm,
      lead(r.ts_ns) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_ns,
      lead(r.exit_code) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_exit_code,
      lead(r.name) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_name,
      lead(r.process_cpu_ns) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_cpu_ns,
      lead(r.process_max_rss_bytes) over (partition by r.run_id, r.pid, r.pid_start_ns order by r.ts_ns, r.kind_order) as next_max_rss_bytes
    from (
      select x.host, x.run_id, x.pid, x.pid_start_ns, x.kind, x.ppid, x.comm, x.argv, x.filename, x.ts_ns, x.exit_code, x.name,
        x.process_cpu_ns, x.process_max_rss_bytes,
        case x.kind when 'fork' then 0 when 'exec' then 1 else 2 end as kind_order
      from ebrec x
      where x.kind in ('fork', 'exec', 'exit')
    ) r
  ) s
  where s.kind = 'exec' or (s.kind = 'fork' and coalesce(s.next_kind, '') <> 'exec')
) e;

-- Losses by probe and cause; a recording without rows lost nothing.
-- select host, probe, cause, lost from ebrec_losses order by lost desc
create or replace view ebrec_losses as
select r.host, r.run_id, r.name as probe, r.cause, sum(r.count) as lost, min(r.ts_ns) as first_ns, max(r.ts_ns) as last_ns
from ebrec r
where r.kind = 'lost'
group by r.host, r.run_id, r.name, r.cause;

-- Cost: each BPF program, and under the name 'ebrec' the recorder itself: CPU time in the window (cpu), before (cpu_start) and
-- after it (cpu_finish), memory (rss) and kernel memory (maps). measured_ns is how long a program was measured.
-- select program, what, runs, ns / 1e6 as ms, bytes from ebrec_cost order by ns desc
create or replace view ebrec_cost as
select r.host, r.run_id, r.name as program, r.op as what, sum(r.count) as runs, sum(r.sum) as ns, sum(r.dur_ns) as measured_ns, max(r.max) as bytes
from ebrec r
where r.kind = 'cost'
group by r.host, r.run_id, r.name, r.op;

-- Compare two recordings: each metric that both have, side by side, for every pair of recordings.
-- select metric, before_p99, after_p99 from ebrec_compare where before_run = 'A' and after_run = 'B' order by metric
create or replace view ebrec_compare as
select a.run_id as before_run, b.run_id as after_run, a.metric, a.unit,
  a.n as before_n, b.n as after_n, a.n * 1e9 / a.window_ns as before_per_s, b.n * 1e9 / b.window_ns as after_per_s,
  a.total as before_total, b.total as after_total, a.p50 as before_p50, b.p50 as after_p50, a.p99 as before_p99, b.p99 as after_p99
from (select m.*, w.window_ns from ebrec_metrics m join ebrec_recordings w on w.run_id = m.run_id) a
join (select m.*, w.window_ns from ebrec_metrics m join ebrec_recordings w on w.run_id = m.run_id) b on b.metric = a.metric
where a.run_id <> b.run_id;
