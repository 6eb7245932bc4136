//! The WebM file around coded frames of AV1 (RFC 9559, and "AV1 Codec Mapping" of the Alliance for Open Media).

use std::io::{self, Seek, SeekFrom, Write};

/// Nanoseconds of a tick.
const TICK: u64 = 1_000_000;

/// After so many ticks a cluster ends even without a keyframe; its blocks count in 16 bits.
const CLUSTER_TICKS: u64 = 30_000;

/// Of each position in the seek head, which is written last.
const POSITION_BYTES: usize = 8;

/// Elements that the seek head tells of.
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CUES: u32 = 0x1c53_bb6b;

/// What a file says of its frames.
pub(super) struct Description<'a> {
    pub(super) size: (u32, u32),
    pub(super) fps: f64,
    /// `av1C`.
    pub(super) codec_private: &'a [u8],
}

/// Writes a file, cluster after cluster.
pub(super) struct Matroska<W> {
    output: W,
    fps: f64,
    /// Where the segment's contents begin, which positions count from.
    segment: u64,
    /// Where the duration is filled in.
    duration: u64,
    seek_head: Vec<(u32, u64)>,
    /// Time and position of each cluster.
    cues: Vec<(u64, u64)>,
    cluster: Vec<u8>,
    num_frames: u64,
}

impl<W: Write + Seek> Matroska<W> {
    pub(super) fn begin(mut output: W, description: &Description) -> io::Result<Self> {
        let header = [
            uint(0x4286, 1),
            uint(0x42f7, 1),
            uint(0x42f2, 4),
            uint(0x42f3, 8),
            element(0x4282, b"webm"),
            uint(0x4287, 4),
            uint(0x4285, 2),
        ];
        output.write_all(&element(0x1a45_dfa3, &header.concat()))?;
        output.write_all(&id(0x1853_8067))?;
        // The size, filled in at the end.
        output.write_all(&size(0))?;
        let segment = output.stream_position()?;
        output.write_all(&seek_head(&[(INFO, 0), (TRACKS, 0), (CUES, 0)]))?;
        let mut this =
            Self { output, fps: description.fps, segment, duration: 0, seek_head: vec![], cues: vec![], cluster: vec![], num_frames: 0 };
        this.mark(INFO)?;
        let name = concat!("wan-animate ", env!("CARGO_PKG_VERSION")).as_bytes();
        let info = [uint(0x2ad7b1, TICK), element(0x4d80, name), element(0x5741, name), element(0x4489, &0f64.to_be_bytes())].concat();
        this.output.write_all(&element(INFO, &info))?;
        this.duration = this.output.stream_position()? - 8;
        this.mark(TRACKS)?;
        this.output.write_all(&element(TRACKS, &element(0xae, &track(description))))?;
        Ok(this)
    }

    /// Appends a coded frame.
    pub(super) fn write(&mut self, frame: &[u8], keyframe: bool) -> io::Result<()> {
        let time = self.time();
        if self.cues.last().is_none_or(|&(begin, _)| keyframe || time - begin > CLUSTER_TICKS) {
            self.end_cluster()?;
            self.cues.push((time, self.output.stream_position()? - self.segment));
            self.cluster = uint(0xe7, time);
        }
        let begin = self.cues.last().map_or(0, |&(begin, _)| begin);
        let relative = (time - begin) as i16;
        let [high, low] = relative.to_be_bytes();
        let block = [&[0x81, high, low, if keyframe { 0x80 } else { 0 }], frame].concat();
        self.cluster.extend(element(0xa3, &block));
        self.num_frames += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.end_cluster()?;
        self.mark(CUES)?;
        let place = |&(time, position): &(u64, u64)| {
            let positions = element(0xb7, &[uint(0xf7, 1), uint(0xf1, position)].concat());
            element(0xbb, &[uint(0xb3, time), positions].concat())
        };
        let cues: Vec<u8> = self.cues.iter().flat_map(place).collect();
        self.output.write_all(&element(CUES, &cues))?;
        let end = self.output.stream_position()?;
        self.output.seek(SeekFrom::Start(self.segment - 8))?;
        self.output.write_all(&size(end - self.segment))?;
        self.output.write_all(&seek_head(&self.seek_head))?;
        self.output.seek(SeekFrom::Start(self.duration))?;
        self.output.write_all(&(self.num_frames as f64 * 1e9 / self.fps / TICK as f64).to_be_bytes())?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// When the next frame is shown, in ticks.
    fn time(&self) -> u64 {
        (self.num_frames as f64 * 1e9 / self.fps / TICK as f64).round() as u64
    }

    fn end_cluster(&mut self) -> io::Result<()> {
        let cluster = std::mem::take(&mut self.cluster);
        if cluster.is_empty() { Ok(()) } else { self.output.write_all(&element(0x1f43_b675, &cluster)) }
    }

    /// Remembers that an element begins here.
    fn mark(&mut self, id: u32) -> io::Result<()> {
        let position = self.output.stream_position()? - self.segment;
        self.seek_head.push((id, position));
        Ok(())
    }
}

fn track(description: &Description) -> Vec<u8> {
    // Matrix, range, transfer and primaries: BT.709, limited.
    let colour = element(0x55b0, &[uint(0x55b1, 1), uint(0x55b9, 1), uint(0x55ba, 1), uint(0x55bb, 1)].concat());
    let (width, height) = description.size;
    let video = element(0xe0, &[uint(0xb0, width.into()), uint(0xba, height.into()), colour].concat());
    let fields = [
        uint(0xd7, 1),
        uint(0x73c5, 1),
        uint(0x83, 1),
        uint(0x9c, 0),
        element(0x86, b"V_AV1"),
        element(0x63a2, description.codec_private),
        uint(0x23_e383, (1e9 / description.fps).round() as u64),
        video,
    ];
    fields.concat()
}

fn seek_head(places: &[(u32, u64)]) -> Vec<u8> {
    let seek = |&(of, position): &(u32, u64)| {
        let position = element(0x53ac, &position.to_be_bytes()[8 - POSITION_BYTES..]);
        element(0x4dbb, &[element(0x53ab, &id(of)), position].concat())
    };
    element(0x114d_9b74, &places.iter().flat_map(seek).collect::<Vec<_>>())
}

fn uint(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes()[(value.leading_zeros() as usize / 8).min(7)..])
}

fn element(of: u32, payload: &[u8]) -> Vec<u8> {
    [&id(of), &size(payload.len() as u64)[..], payload].concat()
}

/// An element's name, which says by its first bits how long it is.
fn id(id: u32) -> Vec<u8> {
    id.to_be_bytes()[id.leading_zeros() as usize / 8..].to_vec()
}

/// A size in eight bytes.
fn size(size: u64) -> [u8; 8] {
    (1 << 56 | size).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_can_be() {
        assert_eq!(uint(0x83, 1)[9..], [1]);
        assert_eq!(uint(0x83, 0)[9..], [0]);
        assert_eq!(uint(0x83, 0x1234)[9..], [0x12, 0x34]);
        assert_eq!(id(0x83), [0x83]);
        assert_eq!(id(0x23_e383), [0x23, 0xe3, 0x83]);
        assert_eq!(element(0xa3, b"x"), *b"\xa3\x01\0\0\0\0\0\0\x01x");
    }

    /// Positions lead to what they are said to lead to.
    #[test]
    fn elements_are_where_the_file_says() {
        let description = Description { size: (32, 16), fps: 25.0, codec_private: b"av1C" };
        let mut file = Matroska::begin(io::Cursor::new(Vec::new()), &description).expect("memory");
        (0..1000).for_each(|index| file.write(b"frame", index == 0).expect("memory"));
        let (segment, cues, places) = (file.segment as usize, file.cues.clone(), file.seek_head.clone());
        let bytes = file.finish().expect("memory").into_inner();
        assert_eq!(cues.iter().map(|&(time, _)| time).collect::<Vec<_>>(), [0, 30_040], "a block counts up to 32,767 ticks");
        for (_, position) in cues {
            assert_eq!(bytes[segment + position as usize..][..4], id(0x1f43_b675)[..]);
        }
        for (of, position) in places {
            assert_eq!(bytes[segment + position as usize..][..4], id(of)[..]);
        }
        assert_eq!(bytes[segment - 8..segment], size((bytes.len() - segment) as u64));
    }
}
