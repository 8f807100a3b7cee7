//! The system calls that move bytes through sockets.

use super::types;
use crate::names::syscalls::Arch;

/// What each system call does, by the architecture's numbers.
pub(super) fn knobs(arch: Option<Arch>) -> types::http_knobs {
    use types::http_call as call;
    const OUT: u32 = call::CALL_OUT.0;
    let mut knobs = types::http_knobs::default();
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
        if let Some(slot) = number.and_then(|number| knobs.calls.get_mut(number)) {
            *slot = what as u8;
        }
    }
    knobs
}

#[cfg(test)]
mod tests {
    use super::Arch;
    use super::knobs;
    use super::types::http_call;

    #[test]
    fn the_kernel_is_told_which_calls_move_bytes() {
        let knobs = knobs(Some(Arch::X86_64));
        assert_eq!(u32::from(knobs.calls[1]), http_call::CALL_BUFFER.0 | http_call::CALL_OUT.0);
        assert_eq!(u32::from(knobs.calls[45]), http_call::CALL_BUFFER_FLAGS.0);
        assert_eq!(knobs.calls[3], 0, "close moves none");
    }
}
