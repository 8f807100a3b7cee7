//! Sending metrics to a database over HTTP, with retries where another try may help.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use ureq::Agent;

use crate::export::Pushed;
use crate::export::family::Family;
use crate::export::family::Metrics;
use crate::export::family::Series;
use crate::export::prometheus;
use crate::export::remote_write::Request;
use crate::failure::Failure;

/// How long to wait before each further try.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// For one try.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Samples in a request of the remote-write protocol; receivers refuse much larger ones.
const MOST_SAMPLES: u64 = 10_000;
/// Text in a request to VictoriaMetrics.
const MOST_TEXT: usize = 4 << 20;
/// Of an answer that is not a success, as much as may be shown.
const MOST_ANSWER: u64 = 4096;

/// A database's address, and what it takes there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    url: String,
    protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    RemoteWrite,
    Import,
}

impl Endpoint {
    /// Tells by the path what the address takes.
    pub(super) fn of(url: &str) -> Result<Endpoint, Failure> {
        let kinds = "http://HOST:9090/api/v1/write (Prometheus remote write) or \
                     http://HOST:8428/api/v1/import/prometheus (VictoriaMetrics)";
        if url.starts_with("https://") {
            let why = format!("can't push to '{url}': this program speaks plain HTTP only");
            return Err(
                Failure::usage(why).hint("push to an agent on this machine, or export to a file and send it with curl")
            );
        }
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(Failure::usage(format!("'{url}' is not an http:// address")).hint(kinds));
        };
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let protocol = match path {
            _ if path.ends_with("import/prometheus") => Protocol::Import,
            _ if path.ends_with("write") => Protocol::RemoteWrite,
            _ => {
                return Err(Failure::usage(format!("can't push to addresses like '{url}'")).hint(kinds));
            }
        };
        Ok(Endpoint { url: url.to_owned(), protocol })
    }
}

/// Sends all of it.
pub(super) fn push(metrics: &Metrics, endpoint: &Endpoint) -> Result<Pushed> {
    let agent = Agent::new_with_config(
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("ebrec/", env!("CARGO_PKG_VERSION")))
            .build(),
    );
    let mut sender = Sender { agent, endpoint, pushed: Pushed { series: 0, samples: 0, requests: 0 } };
    match endpoint.protocol {
        Protocol::RemoteWrite => sender.remote_write(metrics)?,
        Protocol::Import => sender.import(metrics)?,
    }
    Ok(sender.pushed)
}

struct Sender<'a> {
    agent: Agent,
    endpoint: &'a Endpoint,
    pushed: Pushed,
}

impl Sender<'_> {
    fn remote_write(&mut self, metrics: &Metrics) -> Result<()> {
        let mut request = Request::default();
        for (family, series) in all(metrics) {
            family.lines(series, metrics.times.len(), |line| {
                let name = format!("{}{}", family.name, line.suffix);
                let mut labels: Vec<(&str, &str)> =
                    series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                labels.push(("__name__", &name));
                labels.extend(line.le.map(|le| ("le", le)));
                labels.sort_unstable();
                request.add(&labels, line.values.iter().copied().zip(metrics.times.iter().copied()));
                match request.samples >= MOST_SAMPLES {
                    true => self.send_request(std::mem::take(&mut request)),
                    false => Ok(()),
                }
            })?;
        }
        if request.series > 0 { self.send_request(request) } else { Ok(()) }
    }

    fn send_request(&mut self, request: Request) -> Result<()> {
        let body = request.body().context("can't compress a request")?;
        let headers = [
            ("content-encoding", "snappy"),
            ("content-type", "application/x-protobuf"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ];
        self.send(&headers, &body)?;
        self.pushed.series += request.series;
        self.pushed.samples += request.samples;
        Ok(())
    }

    fn import(&mut self, metrics: &Metrics) -> Result<()> {
        let mut text = Vec::new();
        let headers = [("content-type", "text/plain")];
        for (family, series) in all(metrics) {
            prometheus::samples(family, series, &metrics.times, &mut text).context("can't write into memory")?;
            let lines = family.bounds.as_ref().map_or(1, |bounds| bounds.len() as u64 + 3);
            self.pushed.series += lines;
            self.pushed.samples += lines * metrics.times.len() as u64;
            if text.len() >= MOST_TEXT {
                self.send(&headers, &text)?;
                text.clear();
            }
        }
        if text.is_empty() { Ok(()) } else { self.send(&headers, &text) }
    }

    /// Posts a body until the database has taken it, has refused it, or could not be reached four times.
    fn send(&mut self, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
        self.pushed.requests += 1;
        let mut pauses = PAUSES.iter();
        loop {
            let problem = match self.post(headers, body) {
                PushResult::Taken => return Ok(()),
                PushResult::Refused(problem) => return Err(self.failure(&problem, "").into()),
                PushResult::NotNow(problem) => problem,
            };
            match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(self.failure(&problem, &format!(", {} tries", PAUSES.len() + 1)).into()),
            }
        }
    }

    fn failure(&self, problem: &str, tries: &str) -> Failure {
        let failure = Failure::run(format!("can't push to '{}'{tries}: {problem}", self.endpoint.url));
        match problem {
            _ if problem.starts_with("404") => match self.endpoint.protocol {
                Protocol::RemoteWrite => {
                    failure.hint("Prometheus accepts remote writes only with --web.enable-remote-write-receiver")
                }
                Protocol::Import => {
                    failure.hint("VictoriaMetrics takes it at http://HOST:8428/api/v1/import/prometheus")
                }
            },
            _ if problem.contains("out of bounds") || problem.contains("too old") => failure.hint(
                "Prometheus accepts only recent samples: export --to openmetrics and promtool tsdb create-blocks-from",
            ),
            _ if problem.contains("out of order") => failure.hint(
                "the database has later samples of this host: push recordings of a host in the order in which they were made",
            ),
            _ => failure,
        }
    }

    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> PushResult {
        let mut request = self.agent.post(&self.endpoint.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = match request.send(body) {
            Ok(answer) => answer,
            Err(error) => return PushResult::NotNow(error.to_string()),
        };
        let status = answer.status();
        if status.is_success() {
            return PushResult::Taken;
        }
        let text = answer.body_mut().with_config().limit(MOST_ANSWER).read_to_string().unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim();
        let problem = if line.is_empty() { status.to_string() } else { format!("{}: {line}", status.as_u16()) };
        match status.as_u16() {
            429 | 500..=599 => PushResult::NotNow(problem),
            _ => PushResult::Refused(problem),
        }
    }
}

/// The result of one try.
enum PushResult {
    Taken,
    /// Another try would end alike.
    Refused(String),
    NotNow(String),
}

fn all(metrics: &Metrics) -> impl Iterator<Item = (&Family, &Series)> {
    metrics.families.iter().flat_map(|family| family.series.iter().map(move |series| (family, series)))
}

#[cfg(test)]
mod tests {
    use super::Endpoint;
    use super::Protocol;
    use crate::failure::Blame;

    #[test]
    fn the_path_tells_what_an_address_takes() {
        let protocol = |url: &str| Endpoint::of(url).unwrap().protocol;
        assert_eq!(protocol("http://h:9090/api/v1/write"), Protocol::RemoteWrite);
        assert_eq!(protocol("http://h:8428/api/v1/import/prometheus?extra_label=a=b"), Protocol::Import);
        assert_eq!(protocol("http://h/insert/0/prometheus/api/v1/import/prometheus/"), Protocol::Import);
        for url in ["http://h:9090", "http://h/api/v1/query", "https://h/api/v1/write", "h:9090/api/v1/write"] {
            assert_eq!(Endpoint::of(url).unwrap_err().blame, Blame::Usage, "{url}");
        }
    }
}
