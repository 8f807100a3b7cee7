//! Page headers, written here because the parquet crate's have no checksum.

use crate::recording::encode::varint;
use crate::recording::thrift::PageHeader;
use crate::recording::thrift::RLE;

/// Thrift's compact protocol: a field after the one before, of 32 bits or a structure.
const NEXT_INT: u8 = 0x15;
const NEXT_STRUCT: u8 = 0x1c;
/// A structure two fields after the one before.
const AFTER_NEXT_STRUCT: u8 = 0x3c;
/// A field after the one before that says 'false'.
const NEXT_FALSE: u8 = 0x12;
const END: u8 = 0;

/// Page types, by their numbers in a header.
pub(crate) const DATA: i64 = 0;
pub(crate) const DICTIONARY: i64 = 2;

/// Appends the header of a page, with the CRC-32 of the body as it is stored.
///
/// `page` says what the header says besides that: its type, values, encoding and the body's size before compression.
pub(crate) fn append(page: PageHeader, body: &[u8], out: &mut Vec<u8>) {
    let crc = crc32fast::hash(body).cast_signed();
    for number in [page.page_type, page.uncompressed, body.len() as i64, i64::from(crc)] {
        out.push(NEXT_INT);
        int(number, out);
    }
    // Fields 5 and 7: the header of a data page, that of a dictionary.
    out.push(if page.page_type == DATA { NEXT_STRUCT } else { AFTER_NEXT_STRUCT });
    for number in [page.values, page.encoding] {
        out.push(NEXT_INT);
        int(number, out);
    }
    if page.page_type == DATA {
        // How definition and repetition levels are encoded.
        for _ in 0..2 {
            out.push(NEXT_INT);
            int(RLE, out);
        }
    } else {
        // Whether it is sorted.
        out.push(NEXT_FALSE);
    }
    out.extend_from_slice(&[END, END]);
}

/// A signed number, zigzag.
fn int(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::DATA;
    use super::DICTIONARY;
    use super::append;
    use crate::recording::thrift::PageHeader;
    use crate::recording::thrift::page_header;

    #[test]
    fn a_header_reads_back_with_the_checksum_of_its_body() {
        for (page_type, encoding) in [(DATA, 8), (DICTIONARY, 0)] {
            let page = PageHeader { page_type, uncompressed: 70_000, values: 300, encoding, ..PageHeader::default() };
            let mut bytes = Vec::new();
            append(page, b"123456789", &mut bytes);
            let read = page_header(&bytes).unwrap();
            // The check value of the CRC-32 that Parquet names, for these nine digits.
            assert_eq!(read.crc, Some(i64::from(0xcbf4_3926_u32.cast_signed())));
            assert_eq!((read.page_type, read.uncompressed, read.compressed), (page_type, 70_000, 9));
            assert_eq!((read.values, read.encoding, read.len), (300, encoding, bytes.len()));
        }
    }
}
