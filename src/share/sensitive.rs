//! What could identify someone, by the names that `--keep` and `--redact` take.

use crate::recording::Holds;

/// A sort of text that says something of a person, a company or a network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sensitive {
    /// Arguments of programs.
    Arguments,
    /// Parts of paths that no common system has.
    Paths,
    /// Names of programs and threads that no common system has.
    Programs,
    /// Network addresses and Unix sockets, except loopback.
    Addresses,
    /// DNS names.
    Dns,
    /// Paths of URLs.
    Urls,
    /// Names of hosts.
    Hosts,
    /// Containers, control groups and devices with names of their own.
    Containers,
    /// Texts that custom events captured, such as SQL, and the events' names.
    Captured,
    /// Names of functions of programs that no common system has.
    Symbols,
    /// Build ids of programs that no common system has.
    BuildIds,
}

impl Sensitive {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Sensitive; 11] = [
        Sensitive::Arguments,
        Sensitive::Paths,
        Sensitive::Programs,
        Sensitive::Addresses,
        Sensitive::Dns,
        Sensitive::Urls,
        Sensitive::Hosts,
        Sensitive::Containers,
        Sensitive::Captured,
        Sensitive::Symbols,
        Sensitive::BuildIds,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Sensitive::Arguments => "arguments",
            Sensitive::Paths => "paths",
            Sensitive::Programs => "programs",
            Sensitive::Addresses => "addresses",
            Sensitive::Dns => "dns",
            Sensitive::Urls => "urls",
            Sensitive::Hosts => "hosts",
            Sensitive::Containers => "containers",
            Sensitive::Captured => "captured",
            Sensitive::Symbols => "symbols",
            Sensitive::BuildIds => "build-ids",
        }
    }

    /// What it is, for people.
    pub fn help(self) -> &'static str {
        match self {
            Sensitive::Arguments => "arguments of programs",
            Sensitive::Paths => "parts of paths that no common system has",
            Sensitive::Programs => "names of programs and threads that no common system has",
            Sensitive::Addresses => "network addresses and Unix sockets, except loopback",
            Sensitive::Dns => "DNS names",
            Sensitive::Urls => "paths and unusual methods of HTTP requests",
            Sensitive::Hosts => "host names",
            Sensitive::Containers => "containers, control groups and devices with their own names",
            Sensitive::Captured => "texts and names of custom events, such as SQL",
            Sensitive::Symbols => "functions of programs that no common system has",
            Sensitive::BuildIds => "build ids of programs that no common system has",
        }
    }

    /// Whether it is replaced unless `--keep` names it. Stacks are what a recording is for, and say what a program does rather than for whom.
    pub fn by_default(self) -> bool {
        !matches!(self, Sensitive::Symbols | Sensitive::BuildIds)
    }

    /// What decides about a text; `None` for texts that say nothing of anyone.
    pub(super) fn of(holds: Holds) -> Option<Sensitive> {
        Some(match holds {
            Holds::Word | Holds::Key => return None,
            Holds::Host => Sensitive::Hosts,
            Holds::Program => Sensitive::Programs,
            Holds::Path => Sensitive::Paths,
            Holds::Arguments => Sensitive::Arguments,
            Holds::Address => Sensitive::Addresses,
            Holds::DnsName => Sensitive::Dns,
            Holds::Url | Holds::Method => Sensitive::Urls,
            Holds::Container | Holds::Cgroup | Holds::Device => Sensitive::Containers,
            Holds::Symbol | Holds::Stack => Sensitive::Symbols,
            Holds::BuildId => Sensitive::BuildIds,
            // What nobody has classified is treated as the most telling.
            Holds::Event | Holds::BpfProgram | Holds::Captured | Holds::ByKind | Holds::Unknown => Sensitive::Captured,
        })
    }
}
