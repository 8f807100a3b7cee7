//! The checksum of the footer.
//!
//! Parquet has checksums for pages only. So the footer's last metadata pair holds the CRC-32 of the footer itself, as
//! eight hexadecimal digits, computed with zeros in their place.

/// The pair's key.
pub(crate) const KEY: &str = "ebrec.checksum";
/// The digits while the checksum is computed.
pub(crate) const NONE: &str = "00000000";

/// In Thrift's compact protocol, what stands between the key and the digits: a text in the next field, of eight bytes.
const BETWEEN: [u8; 2] = [0x18, 0x08];

/// Puts the checksum into a footer that was made with [`NONE`] in its place.
pub(crate) fn seal(footer: &mut [u8]) {
    let Some(at) = digits_at(footer) else { return };
    let digits = format!("{:08x}", crc32fast::hash(footer));
    if let Some(place) = footer.get_mut(at..at + NONE.len()) {
        place.copy_from_slice(digits.as_bytes());
    }
}

/// Checks a footer against its checksum; recordings of earlier versions have none.
pub(crate) fn verify(footer: &[u8]) -> Result<(), String> {
    let Some(at) = digits_at(footer) else { return Ok(()) };
    let parts = (footer.get(..at), footer.get(at..at + NONE.len()), footer.get(at + NONE.len()..));
    let (Some(before), Some(digits), Some(after)) = parts else { return Err("its footer ends too early".to_owned()) };
    let mut crc = crc32fast::Hasher::new();
    [before, NONE.as_bytes(), after].into_iter().for_each(|part| crc.update(part));
    if format!("{:08x}", crc.finalize()).as_bytes() != digits {
        return Err("its footer does not match its checksum".to_owned());
    }
    Ok(())
}

/// Where the digits are. It is the last pair: others may quote the key.
fn digits_at(footer: &[u8]) -> Option<usize> {
    let key = footer.windows(KEY.len()).rposition(|window| window == KEY.as_bytes())?;
    let between = key + KEY.len();
    (footer.get(between..between + BETWEEN.len())? == BETWEEN).then_some(between + BETWEEN.len())
}

#[cfg(test)]
mod tests {
    use super::KEY;
    use super::NONE;
    use super::seal;
    use super::verify;

    #[test]
    fn every_flipped_bit_of_a_sealed_footer_shows_but_in_the_key_itself() {
        let mut footer = format!("…{KEY} is quoted… {KEY}\u{18}\u{8}{NONE} and the rest").into_bytes();
        seal(&mut footer);
        assert_eq!(verify(&footer), Ok(()));
        let key = footer.len() - "\u{18}\u{8}00000000 and the rest".len() - KEY.len();
        for bit in 0..footer.len() * 8 {
            let mut damaged = footer.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Without its key the checksum is not there, and nothing else changed.
            let blind = (key..key + KEY.len() + 2).contains(&(bit / 8));
            assert_eq!(verify(&damaged).is_ok(), blind, "bit {bit}");
        }
    }
}
