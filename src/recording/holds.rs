//! What the texts of a column say, and so what must become of them before a recording is given away.

use serde::Deserialize;
use serde::Serialize;

/// What a text is. A recording says it of each of its text columns, so that `ebrec share` knows no probe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A word of ebrec's or of the kernel's: an operation, a state, a system call, an error.
    Word,
    /// The name of a host.
    Host,
    /// The name of a program or of one of its threads.
    Program,
    /// A path.
    Path,
    /// The arguments of a program, as a shell takes them.
    Arguments,
    /// A network address, or the path of a Unix socket.
    Address,
    /// A DNS name.
    DnsName,
    /// The path of a URL.
    Url,
    /// The method of a request, as the client sent it.
    Method,
    /// The id of a container.
    Container,
    /// The path of a control group.
    Cgroup,
    /// The name of a block device.
    Device,
    /// The name of a function.
    Symbol,
    /// Functions of a stack, outermost first, joined by semicolons.
    Stack,
    /// The build id of a program.
    BuildId,
    /// The name of a custom event.
    Event,
    /// The name of one of ebrec's BPF programs; that of a custom event's program has the event in it, as its user wrote it.
    BpfProgram,
    /// What a custom event captured.
    Captured,
    /// The values of a metric's dimensions, joined by spaces.
    Key,
    /// What the kind of the row says that it is, or the probe of its metric ([`super::KindMeta::holds`]).
    ByKind,
    /// Not known: what an older or newer version wrote.
    #[default]
    #[serde(other)]
    Unknown,
}
