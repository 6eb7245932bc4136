//! Finding boxes in the bytes of others.

/// The payloads of the boxes in `bytes`, with their kinds, up to the first that is none. Zeros at the end, which QuickTime allows, end
/// them too.
pub(super) fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, header, size) = header(bytes)?;
        let payload = bytes.get(header..size)?;
        bytes = &bytes[size..];
        Some((kind, payload))
    })
}

/// The payload of the first box of a kind in `bytes`.
pub(super) fn find(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    boxes(bytes).find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

/// The payload of a box in a box, by the kinds on the way to it.
pub(super) fn find_mut<'a>(mut bytes: &'a mut [u8], path: &[[u8; 4]]) -> Option<&'a mut [u8]> {
    for &kind in path {
        loop {
            let (found, header, size) = header(bytes)?;
            if found == kind {
                bytes = bytes.get_mut(header..size)?;
                break;
            }
            bytes = bytes.get_mut(size..)?;
        }
    }
    Some(bytes)
}

/// The kind of the box that `bytes` begin with, and the sizes of its header and of all of it.
pub(super) fn header(bytes: &[u8]) -> Option<([u8; 4], usize, usize)> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?);
    let kind = *bytes.get(4..)?.first_chunk()?;
    let (header, size) = match size {
        1 => (16, u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)),
        size => (8, u64::from(size)),
    };
    let size = usize::try_from(size).ok().filter(|&size| size >= header && size <= bytes.len())?;
    Some((kind, header, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_and_zeros_end_them() {
        let mut bytes = b"\0\0\0\x0aaaaaxy\0\0\0\x19bbbb\0\0\0\x01cccc\0\0\0\0\0\0\0\x11z\0\0\0\0".to_vec();
        assert_eq!(boxes(&bytes).map(|(kind, _)| kind).collect::<Vec<_>>(), [*b"aaaa", *b"bbbb"]);
        assert_eq!(find(find(&bytes, *b"bbbb").expect("there"), *b"cccc"), Some(&b"z"[..]));
        find_mut(&mut bytes, &[*b"bbbb", *b"cccc"]).expect("there")[0] = b'y';
        assert_eq!(bytes[34], b'y');
        assert!(find_mut(&mut bytes, &[*b"bbbb", *b"dddd"]).is_none());
    }
}
