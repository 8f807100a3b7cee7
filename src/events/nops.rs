//! Nops of five bytes. While one is probed, kernels from 6.17 on (commit ba2bfc97b462) put a call there, which is cheaper than a
//! breakpoint. The call pushes onto the program's stack, and overwrites the red zone: the 128 bytes below the stack pointer that a
//! function may use without moving it. Of 10,000 calls of such a function, 9,999 gave a wrong result.

/// The first kernel that does it.
const SINCE: (u32, u32) = (6, 17);

/// Why a place is left out: a clause.
pub(super) const REASON: &str = "this kernel replaces a probed nop of five bytes by a call, which could overwrite what the function \
                                 keeps below its stack pointer";

/// Whether a kernel replaces such nops.
pub(super) fn are_replaced(arch: &str, kernel: (u32, u32)) -> bool {
    arch == "x86_64" && kernel >= SINCE
}

/// Whether code of x86_64 may begin with a nop of five bytes: `nopl` or `xchg`, with prefixes. What it is tells the decoder, which takes
/// more time.
pub(super) fn could_be(code: &[u8]) -> bool {
    matches!(code, [0x66 | 0x40..=0x4f | 0xf2 | 0xf3, ..] | [0x0f, 0x1f, ..])
}

#[cfg(test)]
mod tests {
    use super::are_replaced;
    use super::could_be;

    #[test]
    fn nops_of_five_bytes_are_looked_at_in_all_their_forms() {
        for code in [[0x0f, 0x1f, 0x44, 0, 0], [0x66, 0x0f, 0x1f, 0x40, 0], [0x66, 0x66, 0x66, 0x66, 0x90]] {
            assert!(could_be(&code), "{code:x?}");
        }
        assert!(!could_be(&[0x90; 5]) && !could_be(&[0xe8, 0, 0, 0, 0]) && !could_be(&[]));
    }

    #[test]
    fn only_newer_kernels_of_x86_64_replace_them() {
        assert!(are_replaced("x86_64", (6, 17)) && are_replaced("x86_64", (7, 0)));
        assert!(!are_replaced("x86_64", (6, 16)) && !are_replaced("aarch64", (6, 18)));
    }
}
