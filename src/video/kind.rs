//! What a file is by its first bytes, whatever its name says.

use std::io::Read;

use image::ImageFormat;

use crate::location::Location;
use crate::{Error, Result};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A picture or an animation of the formats that are read.
    Picture(ImageFormat),
    /// An MP4 or MOV file.
    Mp4,
    /// Something known that is not read here, by its name with an article.
    Other(&'static str),
    /// Nothing at all, or text, such as a list of other files.
    Text,
    Unknown,
}

/// How files of other formats begin: at which byte, and how.
const OTHERS: [(usize, &[u8], &str); 16] = [
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska video"),
    (8, b"AVI ", "an AVI video"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video"),
    (0, b"OggS", "an Ogg file"),
    (0, b"\0\0\x01\xba", "an MPEG video"),
    (0, b"\0\0\x01\xb3", "an MPEG video"),
    (0, b"\0\0\0\x01", "a video stream without a container"),
    (0, b"YUV4MPEG2", "a Y4M video"),
    (0, b"DKIF", "an IVF video"),
    (0, b"\x47\x40", "an MPEG transport stream"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
];

/// Brands of pictures in the container of MP4.
const PICTURE_BRANDS: [(&[u8; 4], &str); 8] = [
    (b"avif", "an AVIF picture"),
    (b"avis", "an AVIF picture"),
    (b"heic", "a HEIC picture"),
    (b"heix", "a HEIC picture"),
    (b"heim", "a HEIC picture"),
    (b"heis", "a HEIC picture"),
    (b"hevc", "a HEIC picture"),
    (b"hevx", "a HEIC picture"),
];

impl Kind {
    /// Fails where the file cannot be read.
    pub(super) fn of(file: &Location) -> Result<Self> {
        let mut start = Vec::new();
        file.reader()?.take(64).read_to_end(&mut start).map_err(Error::io(file.path()))?;
        Ok(Self::of_bytes(&start))
    }

    fn of_bytes(start: &[u8]) -> Self {
        use ImageFormat::{Gif, Jpeg, Png, WebP};
        if let Some(format) = image::guess_format(start).ok().filter(|format| matches!(format, Png | Jpeg | WebP | Gif)) {
            return Self::Picture(format);
        }
        match start.get(4..8) {
            Some(b"ftyp") => return picture_brand(start).map_or(Self::Mp4, Self::Other),
            Some(b"moov" | b"mdat" | b"wide" | b"free" | b"skip") => return Self::Mp4,
            _ => {}
        }
        let other = OTHERS.iter().find(|(at, magic, _)| start.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
        let text = start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        other.map_or(if text { Self::Text } else { Self::Unknown }, |(_, _, name)| Self::Other(name))
    }
}

/// The kind of picture in a file that begins with `ftyp`. `mif1` and `msf1` are pictures by one of the brands that follow.
fn picture_brand(start: &[u8]) -> Option<&'static str> {
    let brands = start.get(8..)?.chunks_exact(4);
    let size = u32::from_be_bytes(*start.first_chunk()?) as usize;
    let named = |brand: &[u8]| PICTURE_BRANDS.iter().find(|(known, _)| *known == brand).map(|(_, name)| *name);
    match start.get(8..12)? {
        b"mif1" | b"msf1" => {
            let name = brands.take(size.saturating_sub(8) / 4).find_map(named);
            Some(name.unwrap_or("a HEIF picture"))
        }
        major => named(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let cases: [(&[u8], Kind); 10] = [
            (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", Kind::Mp4),
            (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", Kind::Other("an AVIF picture")),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Kind::Other("a HEIC picture")),
            (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", Kind::Other("an AVIF picture")),
            (b"\0\0\0\x14ftypmif1\0\0\0\0mif1heic", Kind::Other("a HEIF picture")),
            (b"\0\0\0\x08free\0\0\0\0", Kind::Mp4),
            (b"RIFF\0\0\0\0AVI LIST", Kind::Other("an AVI video")),
            (b"GIF89a", Kind::Picture(ImageFormat::Gif)),
            (b"#EXTM3U\n", Kind::Text),
            (b"\x80\x81", Kind::Unknown),
        ];
        for (start, kind) in cases {
            assert_eq!(Kind::of_bytes(start), kind);
            (0..start.len()).for_each(|length| {
                let _ = Kind::of_bytes(&start[..length]);
            });
        }
    }
}
