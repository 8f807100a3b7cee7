//! Nops of five bytes. While one is probed, kernels from 6.17 on (commit ba2bfc97b462) put a call there, which is cheaper than a
//! breakpoint. The call pushes onto the program's stack, and overwrites the red zone: the 128 bytes below the stack pointer that a
//! function may use without moving it. Of 10,000 calls of such a function, 9,999 gave a wrong result.

/// The first kernel that does it.
const SINCE: (u32, u32) = (6, 17);

/// Why a place is left out.
pub(super) const REASON: &str = "this kernel replaces a probed nop of five bytes by a call, which could overwrite what the function \
                                 keeps below its stack pointer";

/// Whether a kernel replaces such nops.
pub(super) fn are_replaced(arch: &str, kernel: (u32, u32)) -> bool {
    arch == "x86_64" && kernel >= SINCE
}

/// Whether an instruction of x86_64 that begins with these bytes is one, by what the kernel takes for a nop (`insn_is_nop` in
/// arch/x86/kernel/alternative.c): `nopl`, also with a prefix, and `lea 0(%reg),%reg`.
pub(super) fn is_five_bytes(code: &[u8]) -> bool {
    match *code {
        [0x0f, 0x1f, 0x44, ..] => true,
        [0x66 | 0x40..=0x4f, 0x0f, 0x1f, 0x40..=0x43 | 0x45..=0x47, ..] => true,
        [0x48..=0x4f, 0x8d, modrm, _, 0, ..] => modrm & 0xc7 == 0x44,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::are_replaced;
    use super::is_five_bytes;

    #[test]
    fn nops_of_five_bytes_are_known_in_all_their_forms() {
        for code in ["0f1f440000", "660f1f4000", "488d642400", "4d8d640c00"] {
            assert!(is_five_bytes(&bytes(code)), "{code}");
        }
        // A nop of another length, and what is no nop.
        for code in ["9090909090", "0f1f400090", "660f1f4400", "488d642408", "e800000000", "0f1f"] {
            assert!(!is_five_bytes(&bytes(code)), "{code}");
        }
    }

    fn bytes(code: &str) -> Vec<u8> {
        let pairs = code.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    #[test]
    fn only_newer_kernels_of_x86_64_replace_them() {
        assert!(are_replaced("x86_64", (6, 17)) && are_replaced("x86_64", (7, 0)));
        assert!(!are_replaced("x86_64", (6, 16)) && !are_replaced("aarch64", (6, 18)));
    }
}
