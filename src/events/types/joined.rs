//! The BTF of the kernel and of a module as one.

/// Bytes of the header of BTF, and its magic number.
const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;

/// The kernel's BTF and that of one of its modules as one. A module's types and texts are numbered on from the kernel's.
pub(super) fn join(base: &[u8], module: &[u8]) -> Option<Vec<u8>> {
    let (base_types, base_texts) = parts(base)?;
    let (types, texts) = parts(module)?;
    let (types_length, texts_length) = (base_types.len() + types.len(), base_texts.len() + texts.len());
    let mut joined = MAGIC.to_le_bytes().to_vec();
    joined.extend([1, 0]);
    let numbers = [HEADER, 0, types_length, types_length, texts_length];
    for number in numbers {
        joined.extend(u32::try_from(number).ok()?.to_le_bytes());
    }
    for part in [base_types, types, base_texts, texts] {
        joined.extend(part);
    }
    Some(joined)
}

/// The types and the texts in BTF.
pub(super) fn parts(btf: &[u8]) -> Option<(&[u8], &[u8])> {
    let number = |at: usize| Some(u32::from_le_bytes(*btf.get(at..)?.first_chunk()?) as usize);
    if btf.get(..2)? != MAGIC.to_le_bytes() {
        return None;
    }
    let (header, types, types_length, texts, texts_length) =
        (number(4)?, number(8)?, number(12)?, number(16)?, number(20)?);
    let part = |offset: usize, length: usize| {
        let begin = header.checked_add(offset)?;
        btf.get(begin..begin.checked_add(length)?)
    };
    Some((part(types, types_length)?, part(texts, texts_length)?))
}
