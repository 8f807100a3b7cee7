select $by(g)$named(g, at_ns)g.n, g.total, g.smallest, g.largest,
  greatest(least(g.p50, g.largest), g.smallest) as p50,
  greatest(least(g.p90, g.largest), g.smallest) as p90,
  greatest(least(g.p99, g.largest), g.smallest) as p99,
  greatest(least(g.p999, g.largest), g.smallest) as p999
from (
  select $by(k)$lasts(k, at_ns)$at(max(k.at_ns) as at_ns)$int(coalesce(max(k.t_n), max(k.h_n))) as n, $int(max(k.t_sum)) as total,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_min else k.h_min end) as smallest,
    max(case when k.t_n > 0 and (k.h_n is null or k.t_n >= k.h_n) then k.t_max else k.h_max end) as largest,
    min(case when k.up_to >= ceil(5e-1 * k.h_n) then k.lo + $half(k.hi - k.lo) end) as p50,
    min(case when k.up_to >= ceil(9e-1 * k.h_n) then k.lo + $half(k.hi - k.lo) end) as p90,
    min(case when k.up_to >= ceil(99e-2 * k.h_n) then k.lo + $half(k.hi - k.lo) end) as p99,
    min(case when k.up_to >= ceil(999e-3 * k.h_n) then k.lo + $half(k.hi - k.lo) end) as p999
  from (
    select $by(c)$with(c)$at(c.at_ns)c.lo, c.hi,
      case when c.lo is not null then
        sum(c.n) over (partition by $group(c) order by c.lo, c.hi rows between unbounded preceding and current row) end as up_to,
      sum(c.n) over (partition by $group(c)) as h_n,
      min(c.lo) over (partition by $group(c)) as h_min,
      max(c.hi) over (partition by $group(c)) - 1 as h_max,
      max(c.t_n) over (partition by $group(c)) as t_n,
      max(c.t_sum) over (partition by $group(c)) as t_sum,
      min(c.t_min) over (partition by $group(c)) as t_min,
      max(c.t_max) over (partition by $group(c)) as t_max
    from (
      select $by(r)$lasts(r, ts_ns)$at(max(r.ts_ns) as at_ns)r.bucket_lo as lo, r.bucket_hi as hi,
        sum(case when r.kind = 'hist' then r.count end) as n,
        sum(case when r.kind = 'metric' then r.count end) as t_n,
        sum(r.sum) as t_sum,
        min(case when r.count > 0 then r.min end) as t_min,
        max(case when r.count > 0 then r.max end) as t_max
      from ebrec r
      where r.kind in ('hist', 'metric')
      group by $by(r)r.bucket_lo, r.bucket_hi
    ) c
  ) k
  group by $group(k)
) g
