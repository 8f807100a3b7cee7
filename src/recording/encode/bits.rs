//! Parquet's two encodings of integers in few bits: runs mixed with packed groups, and packed differences.

use crate::recording::encode::varint;

/// Values of a block of differences, and of each of its four parts.
const BLOCK: usize = 128;
const PART: usize = 32;

/// Bits that numbers below `count` take.
pub(crate) fn width_below(count: usize) -> u8 {
    // At most 64.
    (usize::BITS - count.saturating_sub(1).leading_zeros()) as u8
}

/// Runs and groups of eight, as levels and dictionary indices are written; values take up to `width` bits (at most 32).
pub(crate) fn hybrid(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        if !values.is_empty() {
            run(values.len(), 0, 0, out);
        }
        return;
    }
    let mut packed = values;
    let mut groups = 0;
    let mut rest = values;
    while let Some((first, _)) = rest.split_first() {
        let len = rest.iter().take_while(|value| *value == first).count();
        if len < 16 && len < rest.len() {
            // Not worth a run: these eight are packed.
            rest = rest.get(8..).unwrap_or(&[]);
            groups += 1;
            continue;
        }
        pack_groups(packed, groups, width, out);
        run(len, *first, width, out);
        rest = rest.get(len..).unwrap_or(&[]);
        packed = rest;
        groups = 0;
    }
    pack_groups(packed, groups, width, out);
}

/// The same value in a row.
pub(crate) fn run(len: usize, value: u32, width: u8, out: &mut Vec<u8>) {
    varint((len as u64) << 1, out);
    let bytes = usize::from(width).div_ceil(8);
    out.extend(value.to_le_bytes().into_iter().take(bytes));
}

/// Groups of eight values; the last may be short, and is then filled up.
fn pack_groups(values: &[u32], groups: usize, width: u8, out: &mut Vec<u8>) {
    if groups == 0 {
        return;
    }
    varint((groups as u64) << 1 | 1, out);
    let values = values.get(..groups * 8).unwrap_or(values);
    let (mut bits, mut have) = (0_u64, 0_u32);
    for value in values {
        // At most 31 bits wait, and up to 32 are added.
        bits |= u64::from(*value) << have;
        have += u32::from(width);
        if have >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            have -= 32;
        }
    }
    let missing = (groups * 8 - values.len()) * usize::from(width);
    let bytes = (have as usize + missing) / 8;
    out.extend(bits.to_le_bytes().into_iter().chain(std::iter::repeat(0)).take(bytes));
}

/// The width in whole bytes, in which a compressor finds numbers that come again; in packed bits it finds few.
pub(crate) fn whole_bytes(width: u8) -> u8 {
    width.next_multiple_of(8)
}

/// DELTA_BINARY_PACKED: the first value, then differences in blocks, packed by the largest of each part; `round` may widen them.
pub(crate) fn delta(values: &[i64], round: impl Fn(u8) -> u8, out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / PART) as u64, out);
    varint(values.len() as u64, out);
    let Some((first, rest)) = values.split_first() else {
        varint(0, out);
        return;
    };
    varint(zigzag(*first), out);
    let mut last = *first;
    let mut deltas = [0_i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        let mut min = i64::MAX;
        for (delta, value) in deltas.iter_mut().zip(block) {
            // The format's arithmetic wraps, on both sides.
            *delta = value.wrapping_sub(last);
            last = *value;
            min = min.min(*delta);
        }
        varint(zigzag(min), out);
        let widths_at = out.len();
        out.extend_from_slice(&[0; BLOCK / PART]);
        let deltas = deltas.get(..block.len()).unwrap_or(&[]);
        for (part, deltas) in deltas.chunks(PART).enumerate() {
            let all = deltas.iter().fold(0, |all, delta| all | delta.wrapping_sub(min) as u64);
            // At most 64.
            let width = round((u64::BITS - all.leading_zeros()) as u8);
            if let Some(place) = out.get_mut(widths_at + part) {
                *place = width;
            }
            pack_part(deltas, min, width.into(), out);
        }
    }
}

/// One part of a block, filled up to its full length.
fn pack_part(deltas: &[i64], min: i64, width: u32, out: &mut Vec<u8>) {
    let end = out.len() + PART * width as usize / 8;
    let (mut bits, mut have) = (0_u64, 0_u32);
    for delta in deltas {
        let value = delta.wrapping_sub(min) as u64;
        bits |= value << have;
        have += width;
        if have >= 64 {
            out.extend_from_slice(&bits.to_le_bytes());
            have -= 64;
            // What did not fit: the upper `have` bits of the value, none when it ended at the word's end.
            bits = value.checked_shr(width - have).unwrap_or(0);
        }
    }
    out.extend(bits.to_le_bytes().into_iter().take(have.div_ceil(8) as usize));
    out.resize(end, 0);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::hybrid;
    use super::width_below;

    #[test]
    fn indices_take_as_many_bits_as_the_largest_needs() {
        for (count, width) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)] {
            assert_eq!(width_below(count), width, "{count}");
        }
    }

    #[test]
    fn the_example_of_the_specification_is_packed_as_it_says() {
        let mut out = Vec::new();
        hybrid(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut out);
        assert_eq!(out, [0b0000_0011, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
    }

    #[test]
    fn a_long_run_takes_a_few_bytes() {
        let mut out = Vec::new();
        hybrid(&[5; 100_000], 3, &mut out);
        assert_eq!(out, [0xc0, 0x9a, 0x0c, 5]);
    }
}
