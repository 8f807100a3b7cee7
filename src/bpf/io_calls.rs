//! The system calls that move bytes through descriptors, as a table for programs.

use super::shared::types;
use crate::names::syscalls::Arch;

/// `IO_CALLS` of bpf/shared/io_calls.h: beyond all numbers.
const CALLS: usize = 512;

/// What each system call does (`enum io_call`), by the architecture's numbers.
pub fn table(arch: Option<Arch>) -> [u8; CALLS] {
    use types::io_call as call;
    const OUT: u32 = call::CALL_OUT.0;
    let mut table = [0; CALLS];
    let known = [
        ("read", call::CALL_BUFFER.0),
        ("write", call::CALL_BUFFER.0 | OUT),
        ("recvfrom", call::CALL_BUFFER_FLAGS.0),
        ("sendto", call::CALL_BUFFER_FLAGS.0 | OUT),
        ("readv", call::CALL_VECTOR.0),
        ("writev", call::CALL_VECTOR.0 | OUT),
        ("recvmsg", call::CALL_MESSAGE.0),
        ("sendmsg", call::CALL_MESSAGE.0 | OUT),
        ("sendfile", call::CALL_SENDFILE.0 | OUT),
        ("recvmmsg", call::CALL_MANY.0),
        ("sendmmsg", call::CALL_MANY.0 | OUT),
        ("splice", call::CALL_SPLICE.0 | OUT),
    ];
    for (name, what) in known {
        let number = arch.and_then(|arch| arch.number(name)).map(|number| number as usize);
        if let Some(slot) = number.and_then(|number| table.get_mut(number)) {
            *slot = what as u8;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::Arch;
    use super::table;
    use super::types::io_call;

    #[test]
    fn the_kernel_is_told_which_calls_move_bytes() {
        let table = table(Some(Arch::X86_64));
        assert_eq!(u32::from(table[1]), io_call::CALL_BUFFER.0 | io_call::CALL_OUT.0);
        assert_eq!(u32::from(table[45]), io_call::CALL_BUFFER_FLAGS.0);
        assert_eq!(table[3], 0, "close moves none");
    }
}
