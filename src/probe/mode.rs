//! How much a probe streams.

/// How much a probe streams beside its histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Histograms and counters only.
    Hist,
    /// Also every event at or over the probe's threshold.
    Slow,
    /// Also every event.
    Raw,
}

impl Mode {
    /// Every mode, from the cheapest to the dearest.
    pub const ALL: [Mode; 3] = [Mode::Hist, Mode::Slow, Mode::Raw];

    /// The name on the command line and in the recording.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Hist => "hist",
            Mode::Slow => "slow",
            Mode::Raw => "raw",
        }
    }

    /// The mode of that name.
    pub fn parse(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}
