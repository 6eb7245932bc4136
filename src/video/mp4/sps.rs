//! What an H.264 sequence parameter set says of colour and format (ITU-T H.264, 7.3.2.1.1 and annex E).

use super::bits::Bits;

/// The part of a sequence parameter set that decides whether and how its frames can be shown.
#[derive(Debug, PartialEq)]
pub(super) struct Sps {
    /// 66 is Baseline, 77 Main, 88 Extended, 100 High.
    pub(super) profile: u32,
    pub(super) id: u32,
    /// 1 is 4:2:0.
    pub(super) chroma_format: u32,
    /// Of luma and chroma, in bits.
    pub(super) bit_depths: (u32, u32),
    /// Bits of a slice's frame number.
    pub(super) frame_num_bits: u32,
    pub(super) picture_order: PictureOrder,
    /// Whether frames may be coded as two fields.
    pub(super) interlaced: bool,
    /// The matrix in H.273's numbers and whether the range is full, where the stream says.
    pub(super) matrix: Option<u8>,
    pub(super) full_range: Option<bool>,
}

/// How a slice tells when its picture is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PictureOrder {
    /// By a number of so many bits.
    Counted { bits: u32 },
    /// By what it is off a cycle; `deltas` says whether slices tell that.
    Cycle { deltas: bool },
    /// In the order of decoding.
    Decoded,
}

impl Sps {
    /// Reads a NAL unit, header byte included. `None` when it ends too soon.
    pub(super) fn parse(nal: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(nal.get(1..)?);
        let profile = bits.take(8)?;
        bits.take(16)?;
        let id = bits.unsigned()?;
        let (mut chroma_format, mut bit_depths) = (1, (8, 8));
        if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
            chroma_format = bits.unsigned()?;
            if chroma_format == 3 {
                bits.take(1)?;
            }
            bit_depths = (bits.unsigned()?.checked_add(8)?, bits.unsigned()?.checked_add(8)?);
            bits.take(1)?;
            if bits.flag()? {
                let lists = if chroma_format == 3 { 12 } else { 8 };
                (0..lists).try_for_each(|list| bits.skip_scaling_list(if list < 6 { 16 } else { 64 }))?;
            }
        }
        let frame_num_bits = exponent(&mut bits)?;
        let picture_order = bits.picture_order()?;
        bits.unsigned()?;
        bits.take(1)?;
        bits.unsigned()?;
        bits.unsigned()?;
        let interlaced = !bits.flag()?;
        if interlaced {
            bits.take(1)?;
        }
        bits.take(1)?;
        if bits.flag()? {
            (0..4).try_for_each(|_| bits.unsigned().map(drop))?;
        }
        let (full_range, matrix) = if bits.flag()? { bits.colour()? } else { (None, None) };
        Some(Self { profile, id, chroma_format, bit_depths, frame_num_bits, picture_order, interlaced, matrix, full_range })
    }
}

/// How many bits a number has whose size is given less 4.
fn exponent(bits: &mut Bits) -> Option<u32> {
    bits.unsigned()?.checked_add(4).filter(|&bits| bits <= 16)
}

/// What only a sequence parameter set has.
impl Bits {
    fn skip_scaling_list(&mut self, entries: u32) -> Option<()> {
        if !self.flag()? {
            return Some(());
        }
        let (mut last, mut next) = (8, 8);
        for _ in 0..entries {
            if next != 0 {
                next = (last + self.signed()?).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
        Some(())
    }

    fn picture_order(&mut self) -> Option<PictureOrder> {
        match self.unsigned()? {
            0 => exponent(self).map(|bits| PictureOrder::Counted { bits }),
            1 => {
                let deltas = !self.flag()?;
                self.signed()?;
                self.signed()?;
                let cycle = self.unsigned()?;
                (0..cycle.min(255)).try_for_each(|_| self.signed().map(drop))?;
                Some(PictureOrder::Cycle { deltas })
            }
            _ => Some(PictureOrder::Decoded),
        }
    }

    /// Of the usability information: whether the range is full, and the matrix.
    fn colour(&mut self) -> Option<(Option<bool>, Option<u8>)> {
        const EXTENDED_SHAPE: u32 = 255;
        if self.flag()? && self.take(8)? == EXTENDED_SHAPE {
            self.take(32)?;
        }
        if self.flag()? {
            self.take(1)?;
        }
        if !self.flag()? {
            return Some((None, None));
        }
        self.take(3)?;
        let full_range = self.flag()?;
        let described = self.flag()?;
        let matrix = if described { Some(self.take(24)? as u8) } else { None };
        Some((Some(full_range), matrix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameter sets as x264 writes them.
    #[test]
    fn parameter_sets_are_read() {
        let high = [
            0x67, 0x64, 0x00, 0x0b, 0xac, 0xd9, 0x46, 0xc4, 0xe8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x03, 0xc5, 0x0a,
            0x65, 0x80,
        ];
        let expected = Sps {
            profile: 100,
            id: 0,
            chroma_format: 1,
            bit_depths: (8, 8),
            frame_num_bits: 4,
            picture_order: PictureOrder::Counted { bits: 6 },
            interlaced: false,
            matrix: None,
            full_range: None,
        };
        assert_eq!(Sps::parse(&high), Some(expected));
        for length in 0..high.len() - 6 {
            // Cut anywhere, it is refused or read, never a panic.
            let _ = Sps::parse(&high[..length]);
        }
        assert_eq!(Sps::parse(&[0x67, 0, 0, 0, 0, 0, 0]), None);
    }
}
