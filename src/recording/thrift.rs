//! Just enough of Thrift's compact protocol to look at a footer or a page header before anything is allocated by it.

/// Deeper than any structure of the Parquet format.
const MAX_DEPTH: u32 = 16;

const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(crate) const STRUCT: u8 = 12;

/// Why bytes are not a Thrift structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// They end before the structure does.
    Short,
    /// They contradict the protocol, or go beyond every bound.
    Invalid,
}

/// A place in bytes that hold Thrift.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A field's number and type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FieldHeader {
    pub(crate) id: i16,
    pub(crate) ty: u8,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Bytes passed so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = self.bytes.get(self.at).copied().ok_or(Fault::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, len: u64) -> Result<(), Fault> {
        let len = usize::try_from(len).map_err(|_| Fault::Short)?;
        if len > self.left() {
            return Err(Fault::Short);
        }
        self.at += len;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Invalid)
    }

    /// A signed integer of 16 to 64 bits.
    pub(crate) fn int(&mut self) -> Result<i64, Fault> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field of a structure, or `None` at its end; `last` is the number of the field before, 0 at first.
    pub(crate) fn field(&mut self, last: &mut i16) -> Result<Option<FieldHeader>, Fault> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let id = match header >> 4 {
            0 => i16::try_from(self.int()?).map_err(|_| Fault::Invalid)?,
            step => last.checked_add(i16::from(step)).ok_or(Fault::Invalid)?,
        };
        *last = id;
        Ok(Some(FieldHeader { id, ty: header & 0x0f }))
    }

    /// Bytes, which a text is too.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.varint()?;
        let start = self.at;
        self.pass(len)?;
        self.bytes.get(start..self.at).ok_or(Fault::Short)
    }

    /// The type and number of a list's elements; every element takes at least a byte of what is left.
    pub(crate) fn list(&mut self) -> Result<(u8, usize), Fault> {
        let header = self.byte()?;
        let len = match header >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| Fault::Invalid)?,
            short => usize::from(short),
        };
        if len > self.left() {
            return Err(Fault::Short);
        }
        Ok((header & 0x0f, len))
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self, ty: u8) -> Result<(), Fault> {
        self.skip_at(ty, 0, false)
    }

    fn skip_at(&mut self, ty: u8, depth: u32, in_list: bool) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Invalid);
        }
        match ty {
            // A truth value is in its field's header. A footer has no list of them, and readers differ about what one takes there:
            // parquet 60 passes over 2^31 in a list of no bytes, which takes seconds.
            1 | 2 if in_list => Err(Fault::Invalid),
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            BINARY => {
                let len = self.varint()?;
                self.pass(len)
            }
            LIST | SET => {
                let (ty, len) = self.list()?;
                for _ in 0..len {
                    self.skip_at(ty, depth + 1, true)?;
                }
                Ok(())
            }
            MAP => Err(Fault::Invalid),
            STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(&mut last)? {
                    self.skip_at(field.ty, depth + 1, false)?;
                }
                Ok(())
            }
            _ => Err(Fault::Invalid),
        }
    }
}

/// What a footer announces, counted before it is decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct FooterShape {
    pub(crate) schema_elements: usize,
    pub(crate) row_groups: usize,
}

/// Walks a whole footer and counts what a decoder would allocate for.
pub(crate) fn footer_shape(bytes: &[u8]) -> Result<FooterShape, Fault> {
    let mut cursor = Cursor::new(bytes);
    let mut shape = FooterShape::default();
    let mut last = 0;
    while let Some(field) = cursor.field(&mut last)? {
        if field.ty == LIST {
            let (_, len) = cursor.clone().list()?;
            match field.id {
                2 => shape.schema_elements = len,
                4 => shape.row_groups = len,
                _ => {}
            }
        }
        cursor.skip(field.ty)?;
    }
    Ok(shape)
}

/// The number of the encoding of levels: runs and packed groups.
pub(crate) const RLE: i64 = 3;

/// What a page's header announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PageHeader {
    /// 0 data, 1 index, 2 dictionary, 3 data of version 2.
    pub(crate) page_type: i64,
    pub(crate) uncompressed: i64,
    pub(crate) compressed: i64,
    pub(crate) values: i64,
    pub(crate) encoding: i64,
    /// How the levels of a data page are encoded, where it says so.
    pub(crate) levels: [i64; 2],
    /// CRC-32 of the page as it is stored.
    pub(crate) crc: Option<i64>,
    /// Length of the header itself.
    pub(crate) len: usize,
}

pub(crate) fn page_header(bytes: &[u8]) -> Result<PageHeader, Fault> {
    let mut cursor = Cursor::new(bytes);
    let mut header = PageHeader {
        page_type: -1,
        uncompressed: -1,
        compressed: -1,
        values: -1,
        encoding: -1,
        levels: [RLE; 2],
        crc: None,
        len: 0,
    };
    let mut last = 0;
    while let Some(field) = cursor.field(&mut last)? {
        match (field.id, field.ty) {
            (1, 5) => header.page_type = cursor.int()?,
            (2, 5) => header.uncompressed = cursor.int()?,
            (3, 5) => header.compressed = cursor.int()?,
            (4, 5) => header.crc = Some(cursor.int()?),
            (5 | 7 | 8, STRUCT) => {
                // The number of values comes first in all of them; the encoding second, or fourth in version 2.
                let encoding = if field.id == 8 { 4 } else { 2 };
                let mut last = 0;
                while let Some(inner) = cursor.field(&mut last)? {
                    match (inner.id, inner.ty) {
                        (1, 5) => header.values = cursor.int()?,
                        (id, 5) if id == encoding => header.encoding = cursor.int()?,
                        (id @ (3 | 4), 5) if field.id == 5 => {
                            let level = cursor.int()?;
                            header.levels.get_mut(usize::from(id == 4)).into_iter().for_each(|own| *own = level);
                        }
                        (_, ty) => cursor.skip(ty)?,
                    }
                }
            }
            (_, ty) => cursor.skip(ty)?,
        }
    }
    header.len = cursor.at();
    Ok(header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Fault;
    use super::footer_shape;
    use super::page_header;

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_a_panic(bytes: Vec<u8>, shift in any::<u8>()) {
            let _ = page_header(&bytes);
            let _ = footer_shape(&bytes);
            // Likelier beginnings of structures and lists.
            let tilted: Vec<u8> = bytes.iter().map(|byte| 0x10 | (byte & shift & 0x0f)).collect();
            let _ = page_header(&tilted);
            let _ = footer_shape(&tilted);
        }
    }

    #[test]
    fn a_list_longer_than_what_is_left_is_refused_before_it_is_walked() {
        // Field 4, a list of 2^28 structures, and nothing behind it.
        assert_eq!(footer_shape(&[0x49, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x01]), Err(Fault::Short));
    }

    #[test]
    fn a_list_of_truth_values_is_refused() {
        // Field 9, which no footer has: a list of two truth values, and the end.
        assert_eq!(footer_shape(&[0x99, 0x21, 1, 2, 0]), Err(Fault::Invalid));
    }

    #[test]
    fn structures_within_structures_end_at_a_depth() {
        assert_eq!(footer_shape(&[0x1c; 200]), Err(Fault::Invalid));
    }
}
